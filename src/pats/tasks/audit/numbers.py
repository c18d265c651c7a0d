"""Labels that are numbers, but perhaps no scores: names of sections, row numbers, words between, marks."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles

from pats.tasks._text import shown
from pats.tasks.audit.finding import ERROR, SHOWN, WARNING, Finding, Row, count

_MOSTLY = 0.8  # the share of numbers from which words between them are strange
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
_ASK = "say --kind classification or --kind regression"
FEW, RECUR = 20, 3  # different fractions, and rows of each, up to and from which they may be names
_FULL = 0.5  # the share of the steps of a scale that its scores take
_FAR, _BEYOND = 10.0, 1000.0  # spreads of the middle half of scores, from their median
_ROWS = 0.95  # the share of neighbours in order from which numbers count rows
_MARKS = {-1.0, -9.0, -99.0, 99.0, -999.0, 999.0, 9999.0}  # codes of no answer in surveys


def strays(rows: Sequence[Row]) -> list[Finding]:
    """Words among labels that are numbers otherwise: as classes, every number would be one."""
    others = [row for row in rows if not _NUMBER.fullmatch(row.label)]
    if not others or len(others) > (1 - _MOSTLY) * len(rows):
        return []
    numbers = {row.label for row in rows if _NUMBER.fullmatch(row.label)}
    whole = all(label.lstrip("+-").isdigit() for label in numbers)
    if whole and len(rows) - len(others) >= RECUR * len(numbers):
        return []  # numbers that recur are classes, and so may be a word
    more = f" (and {len(others) - 1} more rows have no number)" if len(others) > 1 else ""
    message = (
        f"{len(rows) - len(others)} of {len(rows)} labels are numbers, but {others[0].place} has "
        f"{shown(others[0].label)}{more}: "
        "write numbers alone to learn them as scores, and nothing where one is missing (--drop-unlabelled "
        "leaves such rows out), or say --kind classification if each is the name of a class"
    )
    return [Finding("stray-labels", message, {"rows": len(others)}, ERROR)]


def names_with_a_point(labels: Sequence[str], scores: Sequence[float]) -> list[Finding]:
    """Fractions that may be names, as of sections or versions: spelled in two ways, or few with wide gaps."""
    spelled: dict[float, set[str]] = defaultdict(set)
    for label, score in zip(labels, scores, strict=True):
        if not score.is_integer():
            spelled[score].add(label)
    double = next((sorted(names) for names in spelled.values() if len(names) > 1), None)
    different = sorted(set(scores))
    what = None
    # Scores of several raters have many values, and whole ones such as 3.00 among them.
    mixed = len(different) > FEW and any(
        "." in label and score.is_integer() for label, score in zip(labels, scores, strict=True)
    )
    if double is not None and not mixed and len(scores) >= RECUR * len(different):
        what = f"{shown(double[0])} and {shown(double[1])} would be one score"
    elif spelled and 1 < len(different) <= FEW and len(scores) >= RECUR * len(different):
        gaps = [high - low for low, high in pairwise(different)]
        if len(different) / ((different[-1] - different[0]) / min(gaps) + 1) < _FULL:
            listed = ", ".join(f"{one:g}" for one in different[:SHOWN])
            what = f"{count(len(different), 'number recurs', 'numbers recur')}, with gaps between: {listed}"
    if what is None:
        return []
    message = f"its labels may be names with a point, as of sections or versions ({what}): {_ASK}"
    return [Finding("kind", message, {"labels": len(different)}, ERROR)]


def row_numbers(scores: Sequence[float]) -> list[Finding]:
    """Whole numbers, each another, that grow from row to row."""
    if len(set(scores)) < len(scores) or not all(score.is_integer() for score in scores):
        return []
    grows = sum(low < high for low, high in pairwise(scores))
    if max(grows, len(scores) - 1 - grows) < _ROWS * (len(scores) - 1):
        return []
    message = (
        "its labels grow from row to row, as row numbers, ids or times do: name the label with --label, or "
        "say --kind regression if these are scores"
    )
    return [Finding("row-numbers", message, severity=ERROR)]


def far_scores(rows: Sequence[Row], scores: Sequence[float]) -> list[Finding]:
    """Scores far from all others, such as -99 among 0 to 10."""
    if len(scores) < FEW:
        return []
    low, middle, high = quantiles(scores, n=4)
    spread = high - low
    far = [i for i, score in enumerate(scores) if abs(score - middle) > _FAR * spread]
    # Counts have a long tail, too: a mark recurs, or is beyond all measure.
    beyond = any(abs(scores[i] - middle) > _BEYOND * spread for i in far)
    if not far or spread == 0 or not (beyond or len(far) > 1 == len({scores[i] for i in far})):
        return []
    first = rows[far[0]]
    more = f" and {count(len(far) - 1, 'other is', 'others are')} likewise" if len(far) > 1 else ""
    message = (
        f"{first.place} has the score {shown(first.label)}, far from the others (half of them lie from "
        f"{low:g} to {high:g}){more}: leave it blank if it stands for a missing score."
    )
    return [Finding("far-scores", message, {"rows": len(far)}, WARNING)]


def marks(names: Sequence[str]) -> list[Finding]:
    """Classes such as -1 or 99 among small whole numbers, which mean no answer in many tables."""
    held = Counter(names)
    if not all(re.fullmatch(r"[+-]?\d{1,4}", name, re.ASCII) for name in held):
        return []
    others = [int(name) for name in held if int(name) not in _MARKS]
    found = [name for name in held if int(name) in _MARKS]
    if {int(name) for name in held} == {-1, 0, 1}:
        return []  # negative, neutral, positive
    if len(others) < 2 or not found or not 0 <= min(others) <= max(others) <= FEW:
        return []
    listed = ", ".join(f"{shown(name)} ({count(held[name], 'row', 'rows')})" for name in found)
    message = (
        f"Read as a class of its own, but perhaps a mark for no label: {listed}. Leave it blank if so, and "
        "say --drop-unlabelled."
    )
    return [Finding("missing-marks", message, {"rows": sum(held[name] for name in found)}, WARNING)]
