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

    Of an object with one key, as Label Studio writes it, the list under that key is taken. An object that
    marks each label with 0 or 1, as spaCy writes it, is the list of those with 1. A plain word beside lists
    is a list of one, as Label Studio writes a single choice. A column of which any cell is something else
    stays as it is.

    Args:
        table: The table.
        name: The column.
        one: Rows have one label each: a column with a longer list stays as it is, too.
    """
    cells = table.column(name)
    found = [None if blank(cell) else _list(cell) for cell in cells]
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


def _is_mark(value: Any) -> bool:
    return isinstance(value, bool | int | float) and value in (0, 1)


def _list(cell: Any) -> Sequence[Any] | None:
    """The list that a cell is, or holds as text or in an object; None for all else."""
    if isinstance(cell, str):
        return _read(cell.strip())
    if isinstance(cell, dict) and cell and all(map(_is_mark, cell.values())):
        return [name for name, one in cell.items() if one]
    if isinstance(cell, dict) and len(cell) == 1:
        cell = next(iter(cell.values()))
    return list(cell) if isinstance(cell, list | tuple) else None


def _read(text: str) -> Sequence[Any] | None:
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
        return _list(sorted(value, key=str) if isinstance(value, set) else value) if value != text else None
    return None
