"""Files that are there whole or not at all, and the names of those that a run writes."""

import os
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from pats._errors import InputError

# What a run's folder holds.
RESULT, PREDICTIONS, EVENTS = "result.json", "predictions.csv.gz", "events.jsonl"
MODEL, CHECKPOINT, PROGRESS = "model", "checkpoint", "progress.json"
SEAL = "seal.json"  # of a folder in CHECKPOINT, see ``pats.run.folder.checkpoint``
MARK = "pats.json"  # says that a folder is ours, see ``pats.run.folder.owned``; beside weights, what they are


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Raises:
        InputError: The path is a symbolic link.
    """
    refuse_link(path)
    temporary = beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """A new name in the same folder for what is to become ``path``; ``clean`` finds it after a kill."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


def clean(folder: Path, names: Collection[str], before: float | None = None) -> None:
    """Delete what a process that was killed left of files that it was to write.

    Args:
        folder: Where.
        names: The files.
        before: Delete only what was last written before this time; None deletes all.
    """
    for name in names:
        for left in folder.glob(f".{name}.*"):
            if left.is_file() and (before is None or left.stat().st_mtime < before):
                left.unlink(missing_ok=True)


def refuse_link(path: Path) -> None:
    """Raise where something of ours has become a symbolic link: what it leads to is not ours.

    Raises:
        InputError: The path is a symbolic link.
    """
    if path.is_symlink():
        raise InputError(
            f"{path} is a symbolic link, which PATS neither follows nor replaces: remove the link, or choose "
            "another path"
        )


def remove(folder: Path) -> None:
    """Delete a folder and what is in it; nothing happens where there is none.

    Raises:
        InputError: It is a symbolic link.
    """
    refuse_link(folder)
    if folder.exists():
        shutil.rmtree(folder)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable: it survives a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
