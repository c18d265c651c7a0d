"""Results made by hand, for what reads results only."""

from collections.abc import Sequence
from typing import Any

from pats import results
from pats.page.content.summary import Summary, summary_of
from pats.page.numbers import tables
from pats.run.result import Epoch, Result
from pats.run.spec import Run

PLAIN = [0.60, 0.61, 0.62]
BETTER = [0.70, 0.71, 0.735]


def make_result(
    run: Run,
    dev: Sequence[float],
    test: float | None = None,
    metric: str = "accuracy",
    degenerate: bool = False,
    status: str = "done",
    **more: Any,
) -> Result:
    """A result with these dev scores, one an epoch."""
    epochs = tuple(Epoch(i + 1, 10 * (i + 1), 0.5, {metric: s}, degenerate) for i, s in enumerate(dev))
    best = max(range(len(dev)), key=lambda i: dev[i]) if dev else None
    tests = None if test is None else {metric: test}
    return Result(run, run.id, status, metric, epochs, best, tests, **more)


def make_cell(
    label: str,
    scores: Sequence[float | tuple[float, float] | None],
    task: str = "cola",
    model: str = "bert-base-uncased",
    method: str | None = None,
    control: bool = False,
    **more: Any,
) -> results.Cell:
    """A cell with one score a seed; None is a failed run, a pair is dev and test."""
    outcomes = []
    for seed, score in enumerate(scores):
        run = Run(task=task, model=model, method=method or label).with_seed(seed)
        if score is None:
            outcomes.append(results.Outcome(seed, run.id, None, "its process was killed 3 times"))
            continue
        dev, test = score if isinstance(score, tuple) else (score, None)
        outcomes.append(results.Outcome(seed, run.id, make_result(run, [dev, dev - 0.1], test, **more)))
    return results.Cell(task, model, label, method or label, 1e-4, tuple(outcomes), control)


def two_tasks() -> list[results.Cell]:
    """Plain fine-tuning and the paper's method on two tasks with a model of the paper."""
    first = [make_cell("vanilla", PLAIN), make_cell("pats", BETTER, method="pats-paper")]
    return [
        *first,
        make_cell("vanilla", [0.8, 0.8], task="rte"),
        make_cell("pats", [0.7, 0.7], method="pats-paper", task="rte"),
    ]


def summarised(cells: Sequence[results.Cell], **more: Any) -> Summary:
    """The summary of a study with these cells."""
    return summary_of(tables.groups(cells), **more)
