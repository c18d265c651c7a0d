"""Files that are there whole or not at all."""

import os
import shutil
from pathlib import Path

# What a run's folder holds.
RESULT, PREDICTIONS, EVENTS = "result.json", "predictions.csv.gz", "events.jsonl"
MODEL, CHECKPOINT, PROGRESS = "model", "checkpoint", "progress.json"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def remove(folder: Path) -> None:
    """Delete a folder and what is in it; nothing happens where there is none."""
    if folder.exists():
        shutil.rmtree(folder)
