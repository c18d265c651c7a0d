"""Tasks: GLUE's nine, the embedded one and tables of one's own, each as a ``TaskData``."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pats._errors import InputError
from pats.tasks import folder, hub, table
from pats.tasks._data import Split, TaskData
from pats.tasks.glue import GLUE, canonical

__all__ = ["GLUE", "NAMES", "Split", "TaskData", "load"]

NAMES: tuple[str, ...] = (*GLUE, "grammar")


def load(
    task: str | None = None,
    data: str | Path | None = None,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    kind: str | None = None,
    seed: int = 0,
    options: Mapping[str, int] = MappingProxyType({}),
    need: Sequence[str] = ("train", "dev"),
) -> TaskData:
    """Load a task from its source.

    Args:
        task: A GLUE task or ``"grammar"``, in any usual spelling; None where ``data`` is a table.
        data: For GLUE a folder in the official layout, or None for the Hugging Face hub. Without a
            task a table (CSV, TSV, JSONL, Parquet), or a folder with train, dev and test tables.
        text: Column of the first text of a table; None guesses it and says so in the notes.
        text_pair: Column of the second text of a table.
        label: Column of the label of a table; None guesses it and says so in the notes.
        kind: ``"classification"`` or ``"regression"`` for a table; None detects it and says so.
        seed: Seed of the split of a table that brings none.
        options: Options of the embedded task, such as ``{"size": 1000, "seed": 0}``.
        need: Which of ``"train"`` and ``"dev"`` to read of a GLUE task.

    Raises:
        InputError: The task is unknown, an argument is not for this kind of task, or the data are
            missing or damaged.
    """
    columns = {"text": text, "text_pair": text_pair, "label": label, "kind": kind}
    if task is None:
        if data is None:
            raise InputError(
                f"there is nothing to load: name a task ({', '.join(NAMES)}), or pass a table of "
                "your own to --data"
            )
        _refuse("a table", {f"option {name}": value for name, value in options.items()})
        return table.load(data, **columns, seed=seed)
    name = canonical(task)
    if name not in NAMES:
        raise InputError(
            f"there is no task {task!r}: name one of {', '.join(NAMES)}, or leave it out and pass "
            "a table of your own to --data"
        )
    if name == "grammar":
        _refuse("the embedded task", {"data": data, **columns})
        return _grammar(options)
    _refuse(
        f"GLUE task {name}",
        {**columns, **{f"option {option}": value for option, value in options.items()}},
    )
    return hub.load(GLUE[name], need) if data is None else folder.load(GLUE[name], data, need)


def _refuse(what: str, given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{what} takes no {name}, but {value!r} was given: leave it out")


def _grammar(options: Mapping[str, int]) -> TaskData:
    from pats.tasks import grammar

    parameters = inspect.signature(grammar.load).parameters.values()
    values = {known.name: known.default for known in parameters if known.kind is not known.KEYWORD_ONLY}
    for name, value in options.items():
        if name not in values:
            raise InputError(f"the embedded task has no option {name!r}, but {', '.join(values)}")
        if not isinstance(value, int):
            raise InputError(f"option {name} of the embedded task is {value!r}: give a whole number")
    return grammar.load(*(values | dict(options)).values())
