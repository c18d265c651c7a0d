"""Tables in which a row may have several labels: how they are recognised, and that they are refused."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pats._errors import InputError
from pats.tasks.reading import Table

_SEPARATORS = (",", ";", "|")
_MARKS = {"", "0", "1", "0.0", "1.0", "true", "false"}  # cells of a column that marks one label of many


class Separated(NamedTuple):
    """Cells that hold several labels each."""

    rows: int
    example: str


def refused(where: str, mend: str) -> str:
    """The sentence that refuses such a table.

    Args:
        where: What shows it, with a verb.
        mend: What to do.
    """
    return f"{where}: this is a multi-label table, but a row has one label here; {mend}"


def check_marks(table: Table, names: Sequence[str]) -> None:
    """Refuse a table with a column of 0 and 1 for every label.

    Raises:
        InputError: It is one.
    """
    cells = {
        name: {"" if cell is None else str(cell).strip().lower() for cell in table.column(name)}
        for name in names
    }
    marks = [name for name, values in cells.items() if values <= _MARKS and values != {""}]
    if len(marks) > 1:
        listed = ", ".join(map(repr, marks))
        mend = "name one of these columns with --label, or make one column of them"
        raise InputError(refused(f"columns {listed} of {table.name} hold 0 and 1 alone", mend))


def check_lists(table: Table, name: str) -> None:
    """Refuse a column that holds a list of labels.

    Raises:
        InputError: It does.
    """
    for row, cell in enumerate(table.column(name)):
        if isinstance(cell, list | tuple):
            where = f"{table.line(row)} has a list of labels in column {name!r}"
            raise InputError(refused(where, "keep one of them"))


def separated(labels: Sequence[str]) -> Separated | None:
    """The cells that hold several labels each, such as ``a,b`` beside ``a`` and ``b``; None if none do."""
    for separator in _SEPARATORS:
        parts = {label: _parts(label, separator) for label in set(labels)}
        seen = Counter(part for pieces in parts.values() for part in pieces)
        joint = [label for label in labels if len(parts[label]) > 1]
        used = {part for label in joint for part in parts[label]}
        # The parts of "Paris, France" and "Lyon, France" hardly recur, those of lists of labels do.
        if joint and sum(seen[part] > 1 for part in used) >= len(used) * 2 / 3:
            return Separated(len(joint), joint[0])
    return None


def _parts(label: str, separator: str) -> set[str]:
    bare = re.sub(r"^[\[({]|[\])}]$", "", label)  # of a list that was written out
    return {part.strip(" '\"") for part in bare.split(separator)} - {""}
