"""The folds of a small table: their runs as one, whose scores are over all rows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean, median_low

from pats.page.numbers.examples import Damaged, measured, read, together
from pats.results import Outcome
from pats.run.data import load_data
from pats.run.folder.files import PREDICTIONS
from pats.run.result import Epoch, Result
from pats.run.spec import Run
from pats.study.store.results import Store
from pats.tasks import Split, multilabel


def on_all_rows(runs: Sequence[Run]) -> Run:
    """The run on all rows: it has the scores of the runs of all folds, and its model is exported.

    Its learning rate is the median of theirs, the lower one of two: each fold may have found another.
    """
    return replace(runs[0], fold=None, lr=median_low(run.lr for run in runs))


def pooled(store: Store, parts: Sequence[Outcome], runs: Sequence[Run]) -> Outcome:
    """The outcomes of all folds of a seed as one: every row is predicted by the run that tested it.

    Test scores are of all rows together, those on dev the mean over folds. As long as a fold is missing there
    is no outcome, and where one has failed there is no score.
    """
    run = on_all_rows(runs)
    for part, one in zip(parts, runs, strict=True):
        if part.failure is not None and not part.missing:
            why = f"fold {one.fold} of {one.folds} failed: {part.failure}"
            return Outcome(run.data_seed, run.id, None, why, tuple(parts))
    results = [part.result for part in parts if part.result is not None]
    if len(results) < len(runs):
        return Outcome(run.data_seed, run.id)
    try:
        test = _tested(store, results)
    except Damaged as why:
        return Outcome(run.data_seed, run.id, None, str(why), tuple(parts))
    return Outcome(run.data_seed, run.id, _joined(run, results, test), None, tuple(parts))


def _tested(store: Store, results: Sequence[Result]) -> dict[str, float]:
    """The test metrics of all rows together.

    Raises:
        Damaged: The predictions of a fold cannot be read.
    """
    answers = []
    for result in results:
        several = result.run.kind == multilabel.KIND
        path = store.folder(result.run_id) / PREDICTIONS
        try:
            answers.append(read(path, result.labels, "test", result.predictions.get("blake2b"), several))
        except Damaged as why:
            raise Damaged(
                f"the predictions of fold {result.run.fold} cannot be read, and no score is of all rows: "
                f"{path} {why}; delete its folder, and start the same command again"
            ) from None
    (every,) = together(answers)
    return {name: measured(every, name) for name in results[0].test or {} if "/" not in name}


def _joined(run: Run, results: Sequence[Result], test: dict[str, float]) -> Result:
    """The results of all folds as one."""
    best = [result.epochs[result.best_epoch or 0] for result in results]
    last = [result.epochs[-1] for result in results]
    epochs = tuple(_mean(epochs) for epochs in ([best] if best == last else [best, last]))
    seconds: Counter[str] = Counter()
    for result in results:
        seconds.update(result.timings)
    if "examples_per_second" in seconds:
        seconds["examples_per_second"] /= len(results)  # type: ignore[assignment]
    return replace(
        results[-1],
        run=run,
        run_id=run.id,
        epochs=epochs,
        best_epoch=0,
        test=test,
        sizes={**results[-1].sizes, "test": sum(result.sizes.get("test", 0) for result in results)},
        predictions={},
        timings=dict(seconds),
    )


def _mean(epochs: Sequence[Epoch]) -> Epoch:
    """The mean of an epoch of every fold; it is constant where all of them are."""
    names = [name for name in epochs[0].metrics if all(name in one.metrics for one in epochs)]
    return Epoch(
        fmean(one.epoch for one in epochs),
        round(fmean(one.step for one in epochs)),
        fmean(one.train_loss for one in epochs),
        {name: fmean(one.metrics[name] for one in epochs) for name in names},
        all(one.degenerate for one in epochs),
    )


def tested(run: Run, folds: Iterable[int | None]) -> Split:
    """The test rows of all folds, in the order in which their predictions are pooled."""
    splits = [load_data(replace(run, fold=fold)).splits["test"] for fold in folds]

    def column(name: str) -> tuple[str, ...] | None:
        own = [getattr(split, name) for split in splits]
        return None if None in own else tuple(cell for cells in own for cell in cells)

    return Split(
        column("text") or (),
        column("text_pair"),
        tuple(label for split in splits for label in split.label or ()),
        column("group"),
    )
