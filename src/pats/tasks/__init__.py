"""Tasks: GLUE's nine, the embedded one and users' own tables, each as a ``TaskData``.

Adding one is a file here with one subclass of ``Task``.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from pats._errors import InputError, did_you_mean
from pats._registry import members, of_ones_own
from pats.tasks._data import Split, TaskData
from pats.tasks._task import Asked, Task
from pats.tasks.glue import GLUE, canonical
from pats.tasks.reading import stem
from pats.tasks.table import UserTable

__all__ = ["GLUE", "Asked", "Split", "Task", "TaskData", "find", "load", "registry", "stem", "takes_data"]


@cache
def registry() -> Mapping[str, Task]:
    """Every task of this package by its name; tables, which are named by their files, are not among them."""
    every = [task for kind in members(__name__, Task) for task in kind.every()]
    return {task.name: task for task in every if task.name}


def find(name: str) -> Task:
    """The task of this name.

    Args:
        name: One of ``registry()`` in any usual spelling, an alias, or ``my_module:MyTask`` for a class of
            your own, which is looked for in Python's path and the current folder.

    Raises:
        InputError: There is no such task.
    """
    if ":" in name:
        task = of_ones_own(name, Task, "task", __name__)()
        if not (task.name and task.metrics):
            raise InputError(f"the task {name!r} cannot be used: give its class a name and metrics")
        return task
    names = {alias: task for task in registry().values() for alias in (task.name, *task.aliases)}
    if canonical(name) not in names:
        raise InputError(
            f"there is no task {name!r}{did_you_mean(name, names)}: name one of {', '.join(registry())}, or "
            "leave it out and pass a table of your own to --data"
        )
    return names[canonical(name)]


def takes_data(name: str) -> bool:
    """Whether ``--data`` may say where a task's examples are; a name that nobody knows does not forbid it."""
    try:
        return find(name).takes_data
    except InputError:  # which loading reports
        return True


def load(
    task: str | None = None,
    data: Any = None,
    *,
    text: str | tuple[str, ...] | None = None,
    text_pair: str | None = None,
    label: str | tuple[str, ...] | None = None,
    kind: str | None = None,
    seed: int = 0,
    options: Mapping[str, int] = MappingProxyType({}),
    need: Sequence[str] = ("train", "dev"),
    quoting: str | None = None,
    sheet: str | None = None,
    drop_rare: bool = False,
    drop_unlabelled: bool = False,
    group: str | None = None,
    time: str | None = None,
    folds: int | None = None,
    fold: int | None = None,
    dev: Any = None,
    test: Any = None,
) -> TaskData:
    """Load a task from its source.

    Args:
        task: One of ``registry()``, in any usual spelling; ``my_module:MyTask`` for a class of your own;
            None where ``data`` is a table.
        data: For GLUE a folder in the official layout, or None for the Hugging Face hub. Without a
            task a table (see ``pats.tasks.reading``), a folder with train, dev and test tables, or a
            table that Python holds, such as a frame of pandas.
        text: Column of the first text of a table, or several to join; None detects it and reports it in
            the notes.
        text_pair: Column of the second text of a table.
        label: Column of the label of a table, or several of 0 and 1, one for each label; None detects it and
            reports it in the notes.
        kind: ``"classification"``, ``"regression"`` or ``"multilabel"`` for a table; None detects it and
            reports it.
        seed: Seed of the split of a table that brings none.
        options: Options of the embedded task, such as ``{"size": 1000, "seed": 0}``.
        need: Which of ``"train"`` and ``"dev"`` to read of a GLUE task.
        quoting: What quotes mean in a CSV or TSV, one of ``pats.tasks.reading.QUOTINGS``; None detects it.
        sheet: The sheet of a workbook; None takes the first that holds anything.
        drop_rare: Leave out classes of a table that are too rare to be in every split.
        drop_unlabelled: Leave out rows of a table without a label.
        group: Column of a table whose rows of one cell, such as an author, stay in one split.
        time: Column of a table that says when a row was written: the oldest rows are for training, the newest
            for the verdict.
        folds: Parts of a table, each of which is test once, in place of one split.
        fold: Which of them is test, from 1; None is none: train and dev are all rows.
        dev: The table of the dev split, where ``data`` is that of train.
        test: The table of the test split, beside that of train.

    Raises:
        InputError: The task is unknown, an argument is not for this kind of task, or the data are
            missing or damaged.
    """
    asked = Asked(
        *(
            data,
            text,
            text_pair,
            label,
            kind,
            seed,
            options,
            need,
            quoting,
            sheet,
            drop_rare,
            drop_unlabelled,
        ),
        group=group,
        time=time,
        folds=folds,
        fold=fold,
        dev=dev,
        test=test,
    )
    if task is not None:
        return find(task).load(asked)
    if data is None:
        raise InputError(
            f"there is nothing to load: name a task ({', '.join(registry())}), or pass a table of "
            "your own to --data"
        )
    return UserTable().load(asked)
