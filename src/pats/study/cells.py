"""The cells of a study with what results there are: one reading for the study itself and for its page."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pats import results
from pats.run.folder.files import PREDICTIONS
from pats.run.spec import Run
from pats.study import folds
from pats.study.plan.planned import PlannedCell
from pats.study.store.attempt import read_error
from pats.study.store.results import Store


def with_results(store: Store, planned: Iterable[PlannedCell]) -> tuple[results.Cell, ...]:
    """The planned cells with the outcome of every run."""
    return tuple(
        results.Cell(
            cell.task,
            cell.model,
            cell.label,
            cell.method,
            cell.lr,
            tuple(_of_seed(store, runs) for runs in cell.rounds),
            cell.control,
        )
        for cell in planned
    )


def _of_seed(store: Store, runs: Sequence[Run]) -> results.Outcome:
    """The outcome of a seed: of its run, or of the runs of all folds."""
    parts = [outcome(store, run) for run in runs]
    return parts[0] if runs[0].fold is None else folds.pooled(store, parts, runs)


def outcome(store: Store, run: Run) -> results.Outcome:
    """The result of a run, or why its last attempt failed; neither for a run that has not ended."""
    result = store.result(run.id)
    attempts = [] if result is not None else store.attempts(run.id)
    error = read_error(attempts[-1]) if attempts else None
    return results.Outcome(run.data_seed, run.id, result, error)


def row_file(store: Store, task: str) -> Path:
    """Where a study keeps the rows of a table that its models are judged on."""
    return store.root / "rows" / f"{task}.csv.gz"


def row_files(store: Store, cells: Iterable[results.Cell]) -> dict[str, Path]:
    """These files by task, of the tasks that have one."""
    files = {cell.task: row_file(store, cell.task) for cell in cells}
    return {task: file for task, file in files.items() if file.is_file()}


def predictions(store: Store, cells: Iterable[results.Cell]) -> dict[str, Path]:
    """Where the predictions of every run are, or would be, by the run's id."""
    outcomes = (outcome for cell in cells for outcome in cell.outcomes)
    ids = (part.run_id for outcome in outcomes for part in (outcome.parts or (outcome,)))
    return {run_id: store.folder(run_id) / PREDICTIONS for run_id in ids}
