"""From the labels of a table to classes or scores."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pats._errors import InputError
from pats.tasks._text import shown
from pats.tasks.audit import Finding, Row

FEW = 20  # different whole numbers that recur are classes up to here, whatever they are
ROWS_A_CLASS = 3  # on average: one for each of train, dev and test
RARELY = 1.5  # rows a number below which numbers do not recur

# Read as numbers, 007 would become 7, and of more digits than these some would become others.
_CODE = re.compile(r"[+-]?(0\d|\d{16})", re.ASCII)


class Labels(NamedTuple):
    """What the labels of a table mean."""

    classes: tuple[str, ...]  # empty for scores
    values: list[float]  # the class index or score of every row


def interpret(rows: Sequence[Row], kind: str | None, path: Path) -> tuple[Labels, list[Finding]]:
    """Classes or scores, and what was detected.

    Words, and codes such as 007, are classes in alphabetic order; whole numbers that recur are classes in
    numeric order; other numbers are scores.

    Args:
        rows: The rows; each has a label.
        kind: ``"classification"`` or ``"regression"``; None detects it.
        path: The table, for messages.

    Raises:
        InputError: A label is no number where scores are asked for, there is one label alone, or nobody
            can tell classes from scores.
    """
    if kind not in (None, "classification", "regression"):
        raise InputError(f"kind is {kind!r}, but must be classification or regression")
    numbers = [_number(row.label) for row in rows]
    scores = [number for number in numbers if number is not None]
    numeric = len(scores) == len(rows)
    for row, number in zip(rows, numbers, strict=True):
        if number is None and kind == "regression":
            raise InputError(f"{row.place} has the score {row.label!r}: write a number{_without_zeros(row)}")
        # A class may bear the name "inf" among words, but "nan" is always a lost value.
        if number is not None and (math.isnan(number) or (numeric and math.isinf(number))):
            raise InputError(
                f"{row.place} has the label {row.label!r}: write a class or a finite number, or "
                "remove the row"
            )
    distinct = len(set(scores) if numeric else {row.label for row in rows})
    if distinct < 2:
        raise InputError(
            f"{path} has one label only, {rows[0].label!r}: there is nothing to learn, add rows of another"
        )
    found: list[Finding] = []
    whole = numeric and all(score.is_integer() for score in scores)
    if kind is None:
        what = f"{distinct} different {'whole ' if whole else ''}{'numbers' if numeric else 'names'}"
        kind = _kind(scores) if numeric else "classification"
        if kind is None:
            raise InputError(
                f"the labels of {path} are {what}, which may be classes or scores: say --kind classification "
                "or --kind regression"
            )
        code = next((row.label for row in rows if _CODE.match(row.label)), None)
        if not numeric and code is not None:
            what += f" (a code such as {shown(code)} is no number)"
        message = f"The labels are {what}: this is {kind}; kind (--kind) overrides it."
        found.append(Finding("kind", message, {"labels": distinct}))
    if kind == "regression":
        return Labels((), scores), found
    # 1e3 is no name that anybody would know again as 1000.
    plain = numeric and not any("e" in row.label.lower() for row in rows)
    keys: Sequence[Any] = scores if plain else [row.label for row in rows]
    index = {key: float(place) for place, key in enumerate(sorted(set(keys)))}
    names = tuple(str(int(key) if plain and whole else key) for key in index)
    return Labels(names, [index[key] for key in keys]), found


def _kind(scores: Sequence[float]) -> str | None:
    """Whether numbers are classes or scores; None where that cannot be told."""
    counts = Counter(scores)
    recurrence = len(scores) / len(counts)
    if not all(score.is_integer() for score in counts) or recurrence < RARELY:
        return "regression"
    if len(counts) <= FEW and recurrence >= ROWS_A_CLASS:
        return "classification"
    low, high = min(counts), max(counts)
    # Ids without a gap; but all from 0 to 100 may as well be per cent.
    ids = low in (0, 1) and high - low + 1 == len(counts) and high != 100
    return "classification" if ids and min(counts.values()) > 1 else None


def _number(label: str) -> float | None:
    # Python reads "1_0" as ten, and digits of every script.
    if _CODE.match(label) or "_" in label or not label.isascii():
        return None
    try:
        return float(label)
    except ValueError:
        return None


def _without_zeros(row: Row) -> str:
    return " without leading zeros" if re.match(r"[+-]?0\d", row.label) else ""
