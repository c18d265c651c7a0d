"""GLUE from the Hugging Face hub (``nyu-mll/glue``)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats._imports import try_import
from pats.tasks._data import Split, TaskData
from pats.tasks.glue import GlueTask, assemble, check_need
from pats.tasks.reading import arrow
from pats.tasks.reading.source import opened

REPO = "nyu-mll/glue"


def load(task: GlueTask, need: Sequence[str] = ("train", "dev"), revision: str | None = None) -> TaskData:
    """Download a GLUE task, or take it from the hub's local cache.

    Args:
        task: The task.
        need: Which of ``"train"`` and ``"dev"`` to read.
        revision: Commit, tag or branch of the dataset; None is its default branch. The commit that
            was used is in the notes.

    Raises:
        InputError: The hub cannot be reached, or answers with something else than the dataset.
    """
    check_need(need)
    splits: dict[str, Split] = {}
    commits: dict[str, None] = {}
    for name in task.split_names(need):
        path = _download(task, name.replace("dev", "validation"), revision)
        splits[name] = _read(task, path)
        commits[path.parent.parent.name] = None  # the cache keeps snapshots/<commit>/<task>/<file>
    return assemble(task, splits, "hub", [f"{REPO} at revision {' and '.join(commits)}."])


def _download(task: GlueTask, split: str, revision: str | None) -> Path:
    hub = try_import("huggingface_hub", "run")
    file = f"{task.name}/{split}-00000-of-00001.parquet"
    try:
        return Path(hub.hf_hub_download(REPO, file, repo_type="dataset", revision=revision))
    # The client's exceptions share no base class, and whatever fails here has the same remedy.
    except Exception as error:
        raise InputError(
            f"{file} of {REPO} could not be fetched from the hub ({type(error).__name__}): "
            f"check the connection, or pass --data FOLDER with GLUE's official files "
            f"({task.folder}/)"
        ) from error


def _read(task: GlueTask, path: Path) -> Split:
    with opened(path) as source:
        table = arrow.parquet(source)
    for column in (*task.hub, "label"):
        if column is not None and column not in table.column_names:
            raise InputError(
                f"{path} of {REPO} has no column {column!r}, but {', '.join(table.column_names)}: "
                "pass --data FOLDER with GLUE's official files"
            )
    first, second = task.hub
    text = tuple(table.column(first).to_pylist())
    text_pair = None if second is None else tuple(table.column(second).to_pylist())
    return Split(text, text_pair, _labels(task, table, path))


def _labels(task: GlueTask, table: Any, path: Path) -> tuple[float, ...]:
    """Labels in the task's own order of classes, mapped by the dataset's names where it has any."""
    values = table.column("label").to_pylist()
    names = arrow.class_names(table.schema, "label") if task.labels else None
    if names is not None and sorted(names) != sorted(task.labels):
        raise InputError(
            f"{path} of {REPO} has the classes {', '.join(names)}, but {task.name} has "
            f"{', '.join(task.labels)}: pass --data FOLDER with GLUE's official files"
        )
    order = [task.labels.index(name) for name in names or task.labels]
    for row, value in enumerate(values, 1):
        known = value is not None and (value in range(len(order)) if task.labels else math.isfinite(value))
        if not known:
            raise InputError(
                f"row {row} of {path} of {REPO} has the label {value!r}, which {task.name} does "
                "not know: pass --data FOLDER with GLUE's official files"
            )
    return tuple(float(order[int(value)] if task.labels else value) for value in values)
