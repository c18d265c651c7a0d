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

    Of an object with one key, as Label Studio writes it, the list under that key is taken. A column of which
    any cell is something else stays as it is.

    Args:
        table: The table.
        name: The column.
        one: Rows have one label each: a column with a longer list stays as it is, too.
    """
    cells = table.column(name)
    found = [cell if blank(cell) or not isinstance(cell, str) else _list(cell.strip()) for cell in cells]
    pairs = zip(cells, found, strict=True)
    written = [new for cell, new in pairs if isinstance(cell, str) and not blank(cell)]
    if not written or any(cell is None or (one and len(cell) > 1) for cell in written):
        return table
    return replace(table, cells={**table.cells, name: found})


def _list(text: str) -> Sequence[Any] | None:
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
        if isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        if isinstance(value, set):
            value = sorted(value, key=str)
        return list(value) if isinstance(value, list | tuple) else None
    return None
