"""What stands in the folder of a run, and what is still to be done."""

from pathlib import Path

from pats._errors import InputError
from pats.run import model
from pats.run._training import Progress
from pats.run.files import CHECKPOINT, MODEL, RESULT, remove
from pats.run.result import Result
from pats.run.spec import Run


def finished(folder: Path, run: Run, keep_model: bool) -> Result | None:
    """The result that stands in the folder; None where the run is still to be done."""
    try:
        result = Result.from_json((folder / RESULT).read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not whole: the run is made (again)
    _refuse_other(folder, run, result.run_id)
    if result.status != "done" or (keep_model and best_weights(folder, _step(result)) is None):
        return None
    settle(folder, keep_model)
    return result


def _step(result: Result) -> int | None:
    return None if result.best_epoch is None else result.epochs[result.best_epoch].step


def progress_of(folder: Path, run: Run) -> Progress:
    """Where to continue; a fresh start where nothing whole is there."""
    checkpoints = folder / CHECKPOINT
    progress = Progress.load(checkpoints)
    if progress is not None:
        _refuse_other(folder, run, progress.run_id)
        whole = (checkpoints / str(progress.checkpoint)).is_dir()
        if whole and best_weights(folder, progress.best_step) is not None:
            return progress
    remove(checkpoints)
    return Progress(run.id)


def best_weights(folder: Path, step: int | None) -> Path | None:
    """Where the weights of the best epoch stand: with the checkpoints, at the end in ``model``."""
    for candidate in (folder / CHECKPOINT / f"best-{step}", folder / MODEL):
        card = model.read_card(candidate)
        if card is not None and card.get("step") == step:
            return candidate
    return None


def _refuse_other(folder: Path, run: Run, run_id: str) -> None:
    if run_id != run.id:
        raise InputError(
            f"the folder {folder} holds another run ({run_id}, this one is {run.id}): choose another "
            "folder, or delete it"
        )


def settle(folder: Path, keep_model: bool) -> None:
    """Delete what a finished run needs no more."""
    remove(folder / CHECKPOINT)
    if not keep_model:
        remove(folder / MODEL)
