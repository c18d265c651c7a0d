"""Labels that are numbers, but perhaps no scores: names of sections, row numbers, words between, marks."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from itertools import pairwise
from statistics import quantiles

from pats.tasks._text import shown
from pats.tasks.audit.finding import ERROR, SHOWN, WARNING, Finding, Row, count
from pats.tasks.audit.labels import doubtful

_MOSTLY = 0.8  # the share of numbers from which words between them are strange
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
_ASK = "say --kind classification or --kind regression"
FEW, RECUR = 20, 3  # different fractions, and rows of each, up to and from which they may be names
_BEYOND = 1e6  # spreads of the middle half of scores, from their median, that are no score's
_APART = 20  # such spreads beyond which a score or two are strange, as a total is
_TOLD = 1e-5  # the range of scores, of their size, that float32 divides into a hundred steps
_RARE = 0.02  # the share of rows up to which they may be slips
_ROWS = 0.95  # the share of neighbours in order from which numbers count rows
_MARKS = {-1.0, -9.0, -99.0, 99.0, -999.0, 999.0, 9999.0}  # codes of no answer in surveys


def strays(rows: Sequence[Row]) -> list[Finding]:
    """Words among labels that are numbers otherwise: as classes, every number would be one."""
    others = [row for row in rows if not _NUMBER.fullmatch(row.label)]
    if not others or len(others) > (1 - _MOSTLY) * len(rows):
        return []
    numbers = [row.label for row in rows if _NUMBER.fullmatch(row.label)]
    whole = all(label.lstrip("+-").isdigit() for label in numbers)
    if len(numbers) >= RECUR * len(set(numbers)) and (
        whole or not all(doubtful(row.label) for row in others)
    ):
        return []  # numbers that recur are classes, and so may be a word
    more = f" (and {len(others) - 1} more rows have no number)" if len(others) > 1 else ""
    message = (
        f"{len(numbers)} of {len(rows)} labels are numbers, but {others[0].place} has "
        f"{shown(others[0].label)}{more}: write numbers alone to learn them as scores, and nothing where one "
        "is missing (--drop-unlabelled leaves such rows out), or say --kind classification if each is the "
        "name of a class"
    )
    return [Finding("stray-labels", message, {"rows": len(others)}, ERROR)]


def stray_fractions(rows: Sequence[Row], scores: Sequence[float]) -> list[Finding]:
    """A fraction or two among whole numbers that recur: one makes scores of what else are classes."""
    places = [i for i, score in enumerate(scores) if not score.is_integer()]
    whole = [score for score in scores if score.is_integer()]
    if not 0 < len(places) <= max(1, _RARE * len(scores)) or len(set(whole)) > FEW:
        return []
    if len(whole) < RECUR * len(set(whole)):
        return []
    first = rows[places[0]]
    more = f", as {count(len(places) - 1, 'other has', 'others have')}" if len(places) > 1 else ""
    message = (
        f"{len(whole)} of {len(rows)} labels are whole numbers that recur, but {first.place} has "
        f"{shown(first.label)}{more}: remove such a row if it is an average or a total; or {_ASK}"
    )
    return [Finding("stray-fractions", message, {"rows": len(places)}, ERROR)]


def offset_scores(scores: Sequence[float]) -> list[Finding]:
    """Scores that differ by less than the numbers of a model can tell, beside their size."""
    low, high = min(scores), max(scores)
    size = max(abs(low), abs(high))
    if low == high or high - low > _TOLD * size:
        return []
    message = (
        f"its scores lie from {low:.10g} to {high:.10g}, and the numbers of a model (float32) hardly tell "
        f"them apart: subtract {low:.10g} from all of them"
    )
    return [Finding("offset-scores", message, severity=ERROR)]


def constant_scores(scores: Sequence[float]) -> list[Finding]:
    """A score that most rows have."""
    score, rows = next(iter(Counter(scores).most_common(1)), (0.0, 0))
    if not _MOSTLY * len(scores) <= rows < len(scores):
        return []
    message = (
        f"{100 * rows / len(scores):.4g} % of the rows have the score {score:g}: there is little to learn "
        "from the others, and little to judge by."
    )
    return [Finding("uneven", message, {"rows": rows}, WARNING)]


def names_with_a_point(labels: Sequence[str], scores: Sequence[float]) -> list[Finding]:
    """Fractions that recur and may be names, as of sections, versions or diseases.

    That is where two spellings would be one score, where one follows another as names do (3.10 after 3.9),
    where every whole part counts from its own first fraction (1.1, 1.2, 2.1), and where all are
    of three digits with a short fraction (401.9). Scores from -1 to 1, halves, and those with three decimals
    are none.
    """
    different = sorted(set(scores))
    fractions = {label: score for label, score in zip(labels, scores, strict=True) if not score.is_integer()}
    fine = any(len(label.partition(".")[2]) > 2 for label in fractions)
    if not fractions or fine or len(scores) < RECUR * len(different):
        return []
    if max(map(abs, different)) <= 1 or all((2 * score).is_integer() for score in different):
        return []
    pointed = any("." in label and score.is_integer() for label, score in zip(labels, scores, strict=True))
    spelled: dict[float, list[str]] = defaultdict(list)
    for label, score in sorted(fractions.items()):
        spelled[score].append(label)
    double = next((names for names in spelled.values() if len(names) > 1), None)
    zero = next((label for label in fractions if _follows(label, fractions)), None)
    what = None
    if zero is not None and (double is None or not pointed):
        what = f"{shown(zero)} would be the score {fractions[zero]:g}"
    elif double is not None and not pointed:
        what = f"{shown(double[0])} and {shown(double[1])} would be one score"
    elif 1 < len(different) <= FEW and (_counted(labels) or all(abs(score) >= 100 for score in different)):
        what = f"such as {', '.join(f'{one:g}' for one in different[:SHOWN])}"
    if what is None:
        return []
    message = f"its labels may be names with a point, as of sections or versions ({what}): {_ASK}"
    return [Finding("kind", message, {"labels": len(different)}, ERROR)]


def _follows(label: str, others: Container[str]) -> bool:
    """Whether a label such as 3.10 is beside one that comes before or after it, as 3.9 and 3.11 do."""
    whole, _, part = label.partition(".")
    counts = part.isdigit() and len(part) == 2 and part[1] == "0" and part != "00"
    return counts and any(f"{whole}.{int(part) + one}" in others for one in (-1, 1))


def codes_with_an_e(labels: Sequence[str]) -> list[Finding]:
    """Labels that are all of the form 12E3, which may be codes, or 12000."""
    if len(labels) < 2 or not all(map(re.compile(r"\d+[eE]\d+", re.ASCII).fullmatch, labels)):
        return []
    message = (
        f"its labels may be codes, such as {shown(labels[0])}, or numbers ({float(labels[0]):g}): {_ASK}"
    )
    return [Finding("kind", message, {"labels": len(set(labels))}, ERROR)]


def _counted(labels: Sequence[str]) -> bool:
    """Whether the parts after the point count, for two whole parts or more, from 0 or 1 on."""
    parts: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        whole, _, part = label.partition(".")
        parts[whole].add(part)
    counts = [{*map(str, range(first, first + len(own)))} for own in parts.values() for first in (0, 1)]
    fits = [own in counts[2 * i : 2 * i + 2] for i, own in enumerate(parts.values())]
    return len(parts) > 1 and all(fits) and max(map(len, parts.values())) > 1


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
    """Scores that are codes of no answer, such as -99 among 0 to 10, or beyond all measure."""
    held = Counter(scores)
    if len(scores) < FEW or len(held) < 2:
        return []
    low, middle, high = quantiles(scores, n=4)
    far = {score for score in held if abs(score - middle) > _BEYOND * (high - low) > 0}
    apart = [score for score in scores if abs(score - middle) > _APART * (high - low) > 0]
    far |= set(apart) if len(apart) <= max(2, _RARE * len(scores) / 4) else set()
    for code in _MARKS & held.keys():
        others = [score for score in held if score != code]
        sign = code < 0 <= min(others)
        if (sign and abs(code) > 1) or (code > 0 and held[code] > 1 and max(map(abs, others)) < code / 5):
            far.add(code)
    if not far:
        return []
    places = [i for i, score in enumerate(scores) if score in far]
    first = rows[places[0]]
    more = f" and {count(len(places) - 1, 'other', 'others')} too" if len(places) > 1 else ""
    message = (
        f"{first.place} has the score {shown(first.label)}, far from the others (half of them lie from "
        f"{low:g} to {high:g}){more}: look whether it is a score. Remove the row if it is a total, and leave "
        "the cell blank if it stands for a missing score."
    )
    return [Finding("far-scores", message, {"rows": len(places)}, WARNING)]


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
