"""What the folder of a run holds, and what is still to be done."""

from pathlib import Path

from pats import _schema
from pats._errors import InputError
from pats.run.folder import checkpoint, owned
from pats.run.folder.checkpoint import Progress
from pats.run.folder.files import (
    CHECKPOINT,
    EVENTS,
    MARK,
    MODEL,
    PREDICTIONS,
    PROGRESS,
    RESULT,
    clean,
    remove,
)
from pats.run.model import exported
from pats.run.result import Result
from pats.run.spec import Run


def finished(folder: Path, run: Run, keep_model: bool) -> Result | None:
    """The result in the folder; None where the run is still to be done."""
    try:
        result = Result.from_json(_schema.read(folder / RESULT).decode())
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not whole: the run starts (again)
    _refuse_other(folder, run, result.run_id)
    if result.status != "done" or (keep_model and damaged_model(folder, result) is not None):
        return None
    settle(folder, keep_model)
    return result


def damaged_model(folder: Path, result: Result) -> str | None:
    """What is wrong with the model of a finished run, in words; None where it is whole."""
    step = None if result.best_epoch is None else result.epochs[result.best_epoch].step
    best = best_weights(folder, step)
    return f"{MODEL} is gone" if best is None else exported.damage(best)


def begin(folder: Path, run: Run) -> tuple[Progress, tuple[str, ...]]:
    """Make a folder the run's own, and find where to continue.

    Returns:
        The progress, a fresh one where nothing whole is there, and sentences on what was found damaged.

    Raises:
        InputError: The folder is not ours, holds another run, or cannot be written to; or the run would
            replace the model that it starts from.
    """
    if owned.inside(run.model, folder / MODEL):
        raise InputError(
            f"the model {run.model!r} lies where this run puts its own, in {folder / MODEL}: choose another "
            "folder for the run"
        )
    owned.claim(folder, owned.RUN)
    mark = exported.read_mark(folder / MODEL)
    if mark is not None and "run_id" in mark:
        _refuse_other(folder, run, str(mark["run_id"]))
    elif (folder / MODEL).exists():
        raise InputError(
            f"{folder / MODEL} is not of PATS's making, and this run would replace it: move it, or choose "
            "another folder for the run"
        )
    clean(folder, (MARK, RESULT, PREDICTIONS, EVENTS))
    clean(folder / CHECKPOINT, (PROGRESS,))
    progress, notes = _continue(folder, run)
    flaw = exported.damage(folder / MODEL) if mark is not None and progress.checkpoint is None else None
    return progress, (*notes, *((f"In {folder}, {flaw}: the run is made again.",) if flaw else ()))


def _continue(folder: Path, run: Run) -> tuple[Progress, tuple[str, ...]]:
    """The newest checkpoint that is whole; what is newer is deleted, as Trainer would write into it."""
    checkpoints = folder / CHECKPOINT
    damages: list[str] = []
    for progress in checkpoint.candidates(checkpoints):
        _refuse_other(folder, run, progress.run_id)
        flaw = _damage(folder, progress)
        if flaw is not None:
            damages.append(flaw)
            continue
        if damages or Progress.load(checkpoints) is None:
            checkpoint.prune(checkpoints, progress.folders)
            progress.save(checkpoints)
        return progress, _damage_notes(damages, f"from step {progress.step}")
    if not damages and (checkpoints / PROGRESS).exists():
        damages.append(f"{PROGRESS} is cut")
    remove(checkpoints)
    return Progress(run.id), _damage_notes(damages, "from the start")


def _damage(folder: Path, progress: Progress) -> str | None:
    flaw = checkpoint.broken(folder / CHECKPOINT / str(progress.checkpoint))
    if flaw is not None:
        return f"{progress.checkpoint}/{flaw}"
    if progress.best is None:
        return None
    best = best_weights(folder, progress.best_step)
    flaw = "is gone" if best is None else checkpoint.broken(best)
    return None if flaw is None else f"best-{progress.best_step}/{flaw}"


def _damage_notes(damages: list[str], where: str) -> tuple[str, ...]:
    if not damages:
        return ()
    return (f"The last checkpoint is damaged ({'; '.join(damages)}): the run goes on {where}.",)


def best_weights(folder: Path, step: int | None) -> Path | None:
    """Where the weights of the best epoch are: with the checkpoints, at the end in ``model``."""
    for candidate in (folder / CHECKPOINT / f"best-{step}", folder / MODEL):
        mark = exported.read_mark(candidate)
        if mark is not None and mark.get("step") == step:
            return candidate
    return None


def _refuse_other(folder: Path, run: Run, run_id: str) -> None:
    if run_id != run.id:
        raise InputError(
            f"the folder {folder} holds another run, with other settings, data or weights ({run_id}, this "
            f"one is {run.id}): choose another folder, or delete it"
        )


def settle(folder: Path, keep_model: bool) -> None:
    """Delete what a finished run needs no more."""
    remove(folder / CHECKPOINT)
    if not keep_model:
        remove(folder / MODEL)
