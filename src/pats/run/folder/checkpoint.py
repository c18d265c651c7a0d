"""Checkpoints of a run: what is in one, whether it is whole, and which are kept.

    checkpoint/progress.json              how far the run is; names the checkpoint to continue from
    checkpoint/checkpoint-<step>/         Trainer's files, the method's state, and a copy of progress.json
    checkpoint/best-<step>/               the weights of the best epoch so far

The last two checkpoints are kept, with the weights that they name. Each folder has a seal: sizes and hashes
of its files, written when they are on the disk. A folder that does not match its seal is not used.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from pats import _schema, methods
from pats._errors import DAMAGED_ARCHIVE
from pats.run.folder import files
from pats.run.folder.files import SEAL, remove, write_atomic
from pats.run.result import Epoch

METHOD_FILE = "method.safetensors"


@dataclass
class Progress:
    """What a run knows of itself between epochs; saved beside every checkpoint.

    Args:
        run_id: The run that it belongs to.
        checkpoint: Name of Trainer's checkpoint folder to continue from.
        step: The checkpoint's optimizer step.
        epochs: Evaluations so far.
        best: Index of the first best one on dev.
        losses: Training losses of the epoch under way.
        order: What its order came from: the state of the global generator, in hexadecimal digits.
    """

    run_id: str
    checkpoint: str | None = None
    step: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best: int | None = None
    losses: list[float] = field(default_factory=list)
    order: str | None = None

    @property
    def best_step(self) -> int | None:
        """The optimizer step of the best epoch."""
        return None if self.best is None else self.epochs[self.best].step

    @property
    def folders(self) -> set[str]:
        """Names of the folders that a resume needs."""
        return {str(self.checkpoint), f"best-{self.best_step}"}

    def save(self, folder: Path) -> None:
        """Write the file that a resume starts from."""
        write_atomic(folder / files.PROGRESS, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> "Progress | None":
        """What ``save`` wrote; None where there is nothing whole."""
        try:
            made = _schema.build(cls, _schema.parse(_schema.read(folder / files.PROGRESS)))
        except (OSError, ValueError):
            return None
        fits = made.checkpoint == f"checkpoint-{made.step}"
        return made if fits and (made.best is None or 0 <= made.best < len(made.epochs)) else None


def save(progress: Progress, method: methods.Method[Any], folder: Path) -> None:
    """Make Trainer's newest checkpoint the one to continue from, once it is on the disk; older ones go.

    Args:
        progress: Names the checkpoint.
        method: Its state goes with it.
        folder: Where checkpoints are.
    """
    newest = folder / str(progress.checkpoint)
    before = Progress.load(folder)
    state = {name: value.detach().contiguous() for name, value in method.state().items()}
    if state:
        save_file(state, newest / METHOD_FILE)
    progress.save(newest)
    seal(newest)
    progress.save(folder)
    files.sync(folder)
    prune(folder, progress.folders | (before.folders if before else set()))


def load_state(method: methods.Method[Any], checkpoint: Path) -> None:
    """Give the method what ``save`` put there."""
    if (checkpoint / METHOD_FILE).exists():
        method.load_state(load_file(checkpoint / METHOD_FILE))


def prune(folder: Path, keep: set[str]) -> None:
    """Delete every folder of checkpoints but some."""
    for other in folder.iterdir():
        if other.is_dir() and other.name not in keep:
            remove(other)


def candidates(folder: Path) -> Iterator[Progress]:
    """What a run may continue from, newest first: ``progress.json``, then its copies in older checkpoints."""
    if not (folder / files.PROGRESS).exists():
        return
    named = Progress.load(folder)
    if named is not None:
        yield named
    copies = [Progress.load(path) for path in folder.glob("checkpoint-*") if (path / SEAL).exists()]
    older = [copy for copy in copies if copy is not None and (named is None or copy.step < named.step)]
    yield from sorted(older, key=lambda copy: -copy.step)


def seal(folder: Path) -> None:
    """Put every file of a folder on the disk, and write down what they are."""
    listed = {}
    for path in _files(folder):
        with path.open("rb") as file:
            listed[str(path.relative_to(folder))] = [path.stat().st_size, _digest(path)]
            os.fsync(file.fileno())
    for inner in (path for path in folder.rglob("*") if path.is_dir()):
        files.sync(inner)
    write_atomic(folder / SEAL, json.dumps({"files": listed}).encode())
    files.sync(folder)
    files.sync(folder.parent)


def broken(folder: Path) -> str | None:
    """The first file of a folder that is not as it was written, in words; None where all are.

    A folder of version 0.1.0 has no seal: of its files only the form can be checked.
    """
    if not folder.is_dir():
        return " is gone"
    if not (folder / SEAL).exists():
        return next((f"{path.name} is cut" for path in _files(folder) if not well_formed(path)), None)
    try:
        listed = json.loads(_schema.read(folder / SEAL))["files"]
        found = (str(path.relative_to(folder)) for path in _files(folder) if not path.name.startswith("."))
        more = next((name for name in found if name not in listed), None)
        if more is not None:
            return f"{more} is not what was written"
        for name, (size, digest) in listed.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is gone"
            if path.stat().st_size != size:
                return f"{name} is cut"
            if _digest(path) != digest:
                return f"{name} is not what was written"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"{SEAL} is cut"
    return None


def well_formed(path: Path) -> bool:
    """Whether a file is whole as far as its format shows: weights, torch's archives and JSON."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt"):
                return True
        if path.suffix in (".pt", ".pth", ".bin"):
            with zipfile.ZipFile(path) as archive:
                return archive.testzip() is None
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (*DAMAGED_ARCHIVE, SafetensorError):  # a RecursionError is a RuntimeError
        return False
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
