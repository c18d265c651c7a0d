"""Results made by hand, for what reads results only."""

from pats import results
from pats.run.result import Epoch, Result
from pats.run.spec import Run


def made(run: Run, dev, test=None, metric="accuracy", degenerate=False, status="done", **more) -> Result:
    """A result with these dev scores, one an epoch."""
    epochs = tuple(Epoch(i + 1, 10 * (i + 1), 0.5, {metric: s}, degenerate) for i, s in enumerate(dev))
    best = max(range(len(dev)), key=lambda i: dev[i]) if dev else None
    tests = None if test is None else {metric: test}
    return Result(run, run.id, status, metric, epochs, best, tests, **more)


def cell(label, scores, task="cola", model="bert-base-uncased", method=None, control=False, **more):
    """A cell with one score a seed; None is a failed run, a pair is dev and test."""
    outcomes = []
    for seed, score in enumerate(scores):
        run = Run(task=task, model=model, method=method or label).with_seed(seed)
        if score is None:
            outcomes.append(results.Outcome(seed, run.id, None, "its process was killed 3 times"))
            continue
        dev, test = score if isinstance(score, tuple) else (score, None)
        outcomes.append(results.Outcome(seed, run.id, made(run, [dev, dev - 0.1], test, **more)))
    return results.Cell(task, model, label, method or label, 1e-4, tuple(outcomes), control)
