"""Which model a local folder holds: the hash that is part of a run's id.

A name on the hub has a revision, the embedded model is checked against a hash of its own; a folder may hold
other weights tomorrow.
"""

import hashlib
import json
import os
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from pats import _schema
from pats._errors import InputError
from pats.run.folder.files import CHECKPOINT, PROGRESS, RESULT
from pats.run.spec import Run

# All that decides what is loaded: the weights, the architecture, the tokenizer.
_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
)


def digest(model: str) -> str | None:
    """Hash of a local model's weights, architecture and tokenizer, 16 hexadecimal digits.

    A file is read once a process, unless its size or time changes.

    Returns:
        None for what is no folder: a name on the hub, or the embedded model.
    """
    whole = hashlib.blake2b(digest_size=8)
    files = _files(model)
    for file in files:
        stat = file.stat()
        whole.update(f"{file.name}:{_of_file(str(file), stat.st_size, stat.st_mtime_ns)}\n".encode())
    return whole.hexdigest() if files else None


def _files(model: str) -> list[Path]:
    folder = Path(os.path.expanduser(model))
    if model == "minilm" or not folder.is_dir():
        return []
    return sorted({file for pattern in _FILES for file in folder.glob(pattern) if file.is_file()})


@lru_cache(maxsize=256)
def _of_file(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:  # SHA-256, as processors have instructions for it
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed_since(model: str, time: float) -> bool:
    """Whether a file of a local model was written, or put where it is, after a time in seconds since 1970."""
    stats = [file.stat() for file in _files(model)]
    return any(max(stat.st_mtime, stat.st_ctime) > time for stat in stats)


def identified(run: Run, fingerprint: str, folder: Path) -> Run:
    """A run as its id has it: with the data's fingerprint and the hash of a local model.

    A run with a fingerprint was planned by a study and is left as it is. One that ``folder`` holds from
    before the hash was part of the id stays that run while the model's files are older than what is there.

    Raises:
        InputError: The run was planned with other weights.
    """
    now = digest(run.model)
    if run.weights not in (None, now):
        raise InputError(
            f"the weights of the model {run.model!r} have changed since this run was planned (hash {now}, "
            f"expected {run.weights}): bring the old ones back, or start the command again"
        )
    if run.fingerprint is not None:
        return run
    before = replace(run, fingerprint=fingerprint)
    known = replace(before, weights=now)
    begun = _held(folder) if now is not None and run.weights is None else None
    if begun is not None and begun[0] == before.id and not changed_since(run.model, begun[1]):
        return before
    return known


def _held(folder: Path) -> tuple[str, float] | None:
    """The id of the run in a folder, and when it was written down; None where there is none."""
    for file in (folder / RESULT, folder / CHECKPOINT / PROGRESS):
        try:
            content = json.loads(_schema.read(file))
            return str(content["run_id"]), made_at(content.get("environment"), file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return None


def made_at(environment: object, file: Path) -> float:
    """When a result was made: as it says itself, which a copy keeps, else by its file's time."""
    time = environment.get("time") if isinstance(environment, dict) else None
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return os.stat(file).st_mtime
