"""Lists of labels that are written out in a cell, as programs do that know no lists."""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pats.tasks.reading import Table, blank

_ENDS = {"[": "]", "(": ")", "{": "}"}
_PART = r"""(?:'[^']*'|"[^"]*"|[+-]?[\d.]+)"""
_SPACED = re.compile(rf"\[\s*({_PART}(?:\s+{_PART})*)\s*\]")  # as numpy prints an array


def unwritten(table: Table, name: str, one: bool = False) -> Table:
    """The table with the lists that a column holds as text, in JSON's, Python's or numpy's form.

    Of an object with one key, as Label Studio writes it, the list under that key is taken. Objects that mark
    labels with 0 or 1, as spaCy writes them, are lists of those with 1. A plain word beside lists is a list
    of one, as Label Studio writes a single choice. A column of which any cell is something else stays as it
    is.

    Args:
        table: The table.
        name: The column.
        one: Rows have one label each: a column with a longer list stays as it is, too.
    """
    cells = table.column(name)
    parsed = [None if blank(cell) else _parsed(cell) for cell in cells]
    words = any(value is None and not blank(cell) for cell, value in zip(cells, parsed, strict=True))
    found = (None if words else _marked(parsed)) or [_list(value) for value in parsed]
    pairs = list(zip(cells, found, strict=True))
    lists = [new for _, new in pairs if new is not None]
    if not any(lists):
        return table
    plain = [cell for cell, new in pairs if new is None and not blank(cell)]
    if any(one and len(new) > 1 for new in lists) or not all(map(_is_word, plain)):
        return table
    if all(isinstance(cell, list | tuple) for cell, new in pairs if new is not None):
        return table  # nothing is written out
    read = [cell if blank(cell) else [cell] if new is None else new for cell, new in pairs]
    return replace(table, cells={**table.cells, name: read})


def _is_word(cell: Any) -> bool:
    return isinstance(cell, str) and not blank(cell) and cell.strip()[0] not in _ENDS


def _marked(values: Sequence[Any]) -> list[Sequence[Any] | None] | None:
    """The lists of labels that objects mark with 1; None where a value is none, or all name one label."""
    marks = [value for value in values if value is not None]
    if not all(isinstance(value, dict) and all(map(_is_mark, value.values())) for value in marks):
        return None
    if len({name for value in marks for name in value}) < 2:
        return None
    return [None if value is None else [name for name, mark in value.items() if mark] for value in values]


def _is_mark(value: Any) -> bool:
    # None is what Parquet makes of a label that an object does not name.
    return value is None or (isinstance(value, bool | int | float) and value in (0, 1))


def _parsed(cell: Any) -> Any:
    """A cell, or what is written out in it; None for a text in which nothing is."""
    return _read(cell.strip()) if isinstance(cell, str) else cell


def _list(value: Any) -> Sequence[Any] | None:
    """The list that a value is, or holds under the only key of an object; None for all else."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    return list(value) if isinstance(value, list | tuple) else None


def _read(text: str) -> Any:
    if _ENDS.get(text[:1]) != text[-1:]:
        return None
    spaced = _SPACED.fullmatch(text)
    if spaced is not None:  # first, since Python joins adjacent strings
        return [part.strip("'\"") for part in re.findall(_PART, spaced[1])]
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return sorted(value, key=str) if isinstance(value, set) else value
    return None
