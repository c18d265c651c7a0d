"""When the rows of a table were written: one clear rule, and a sentence where it does not fit."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from pats._errors import InputError
from pats.tasks.reading import Table

RULE = (
    "write dates as 2024-05-31, with a time as 2024-05-31T12:00 if you like, as 31.05.2024, months as "
    "05.2024, or numbers that grow, such as years or seconds"
)
_DAYS = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})", re.ASCII)
_MONTHS = re.compile(r"(0?[1-9]|1[0-2])[./]((?:19|20)\d\d)", re.ASCII)
# Numbers that do not grow with the time: 31.01, and 31012024, which begin with the day or the month.
_BACKWARD = re.compile(
    r"(0?[1-9]|[12]\d|3[01])\.(0[1-9]|1[0-2])|(0?[1-9]|[12]\d|3[01])(0[1-9]|[12]\d|3[01])(19|20)\d\d",
    re.ASCII,
)
_FORWARD = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)  # 20240131


def times_of(table: Table, name: str) -> list[float]:
    """When every row was written, as numbers that grow.

    The cells of a column are all ISO 8601 dates, with or without a time (UTC, unless they say otherwise), all
    numbers, all months such as 05.2024, all days such as 31.05.2024, or all such as 31/05/2024 where one of
    them shows which number is the day.

    Raises:
        InputError: A row has no such time, or the column mixes them.
    """
    cells = table.column(name)
    written = [str(cell).strip() for cell in cells]
    if all(map(_BACKWARD.fullmatch, written)) and not all(map(_FORWARD.fullmatch, written)) and cells:
        raise InputError(
            f"{table.line(0)} has {written[0]!r:.40} in column {name!r}, which may begin with the day or the "
            f"month, and does not grow with the time: {RULE}"
        )
    for read in (_months, _numbers, _iso, _days):
        found = read(cells)
        if found is not None and None not in found:
            return [one for one in found if one is not None]
    readers = [found for read in (_months, _numbers, _iso, _days) if (found := read(cells)) is not None]
    best = max(readers, key=lambda found: sum(one is not None for one in found), default=[None] * len(cells))
    row = best.index(None)
    if all(isinstance(cell, str) and _DAYS.fullmatch(cell.strip()) for cell in cells):
        raise InputError(
            f"column {name!r} of {table.name} has dates such as {cells[row]!r}, which may begin with the "
            f"day or the "
            f"month: {RULE}"
        )
    what = f"{cells[row]!r:.40}" if cells[row] is not None and str(cells[row]).strip() else "nothing"
    raise InputError(
        f"{table.line(row)} has {what} in column {name!r}, which is no time like the others: {RULE}"
    )


def _months(cells: Sequence[Any]) -> list[float | None] | None:
    """Months of the form 05.2024 or 05/2024."""
    found = (_MONTHS.fullmatch(str(cell).strip()) for cell in cells)
    return [None if one is None else _day(int(one[2]), int(one[1]), 1) for one in found]


def _numbers(cells: Sequence[Any]) -> list[float | None] | None:
    return [_number(cell) for cell in cells]


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool) or cell is None or isinstance(cell, date):
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _iso(cells: Sequence[Any]) -> list[float | None] | None:
    return [_moment(cell) for cell in cells]


def _moment(cell: Any) -> float | None:
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime.combine(cell, time())
    if not isinstance(cell, datetime):
        try:
            cell = datetime.fromisoformat(str(cell).strip())
        except ValueError:
            return None
    return float((cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp())


def _days(cells: Sequence[Any]) -> list[float | None] | None:
    """Days of the form 31.05.2024, or 31/05/2024 where one of them shows the order; None where none does."""
    found = [_DAYS.fullmatch(str(cell).strip()) for cell in cells]
    slashed = [one for one in found if one and one[2] == "/"]
    day_first = not slashed or any(int(one[1]) > 12 for one in slashed)
    month_first = any(int(one[3]) > 12 for one in slashed)
    if day_first == month_first:
        return None
    order = (4, 3, 1) if day_first else (4, 1, 3)
    return [None if one is None else _day(*(int(one[place]) for place in order)) for one in found]


def _day(year: int, month: int, day: int) -> float | None:
    try:
        return datetime(year, month, day, tzinfo=UTC).timestamp()
    except ValueError:
        return None
