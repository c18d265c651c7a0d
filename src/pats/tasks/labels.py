"""From the labels of a table to classes or scores."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from pats._errors import InputError
from pats.tasks import audit, multilabel
from pats.tasks._text import shown
from pats.tasks.audit import ERROR, Finding, Row
from pats.tasks.audit.finding import count as counted
from pats.tasks.audit.labels import lost

FEW = 20  # different whole numbers that recur are classes up to here, whatever they are
ROWS_A_CLASS = 3  # on average: one for each of train, dev and test
KINDS = ("classification", "regression", multilabel.KIND)
STEPS = 11  # of the longest scale, 0 to 10
RARELY = 1.5  # rows a number below which numbers do not recur

# Read as numbers, 007 would become 7, and of more digits than these some would become others.
_CODE = re.compile(r"[+-]?(0\d|\d{16})", re.ASCII)


_LISTED = "listed"
_FEW = 0.2  # the share of rows without any label up to which they may be unlabelled


class Labels(NamedTuple):
    """What the labels of a table mean."""

    classes: tuple[str, ...]  # empty for scores
    values: list[float]  # the class index, score or number of the label set of every row
    sets: tuple[tuple[int, ...], ...] = ()  # where rows have several labels: the labels of every set

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return multilabel.KIND if self.sets else "classification" if self.classes else "regression"

    def names(self, row: int) -> tuple[str, ...]:
        """The classes of a row: one, or its labels; none of a score."""
        if self.sets:
            return tuple(self.classes[label] for label in self.sets[int(self.values[row])])
        return (self.classes[int(self.values[row])],) if self.classes else ()


def interpret(rows: Sequence[Row], kind: str | None, named: bool = False) -> tuple[Labels, list[Finding]]:
    """Classes or scores, and what was detected.

    Words, and codes such as 007, are classes in alphabetic order; whole numbers that recur are classes in
    numeric order; other numbers are scores.

    Args:
        rows: The rows; each has a label.
        kind: One of ``KINDS``; None detects it. What may be several of them is an error among the findings.
        named: Somebody named the column; else it may not be the label at all.

    Raises:
        InputError: A label is no number where scores are asked for, or not finite; or the rows hold several
            labels where one is asked for, or the other way round.
    """
    if kind not in (None, *KINDS):
        raise InputError(f"kind is {kind!r}, but must be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    rows, findings = audit.with_minus(rows)
    if any(row.labels is not None for row in rows):
        if kind == multilabel.KIND or any(len(row.labels or ()) != 1 for row in rows):
            return _listed(rows, kind)
        rows = [replace(row, label=(row.labels or ("",))[0]) for row in rows]
        if kind is None:
            kind = "classification"
            message = (
                "Every row has exactly one of the labels: this is classification; kind (--kind) overrides it."
            )
            findings.append(Finding("kind", message))
    elif kind is None and (strange := audit.strays(rows)) and not any(_CODE.match(row.label) for row in rows):
        return _classes([row.label for row in rows]), strange
    elif kind in (None, multilabel.KIND):
        several, doubts = _separated([row.label for row in rows], kind)
        if several is not None:
            return several, doubts
        findings += doubts
        if doubts:
            kind = "classification"
    names = [row.label for row in rows]
    if kind == "regression":
        findings += audit.thousands(names)
    commas = kind == "regression" and audit.has_decimal_commas(names)
    numbers = [_number(row.label.replace(",", ".") if commas else row.label) for row in rows]
    scores = [number for number in numbers if number is not None]
    numeric = len(scores) == len(rows)
    for row, number in zip(rows, numbers, strict=True):
        if number is None and kind == "regression":
            zeros = " without leading zeros" if _CODE.match(row.label) else ""
            raise InputError(f"{row.place} has the score {row.label!r}: write a number{zeros}")
        # A class may bear the name "inf" among words, but "nan" is always a lost value.
        if number is not None and (math.isnan(number) or (numeric and math.isinf(number))):
            leave = ", or leave such rows out with --drop-unlabelled" if lost(row.label) else ""
            raise InputError(
                f"{row.place} has the label {row.label!r}: write a class or a finite number, or "
                f"remove the row{leave}"
            )
    if commas:
        findings.append(Finding("decimal-comma", "The commas of the scores are read as decimal commas."))
    if kind is None and numeric and (strange := audit.stray_fractions(rows, scores)):
        return _classes(names), [*findings, *strange]
    if kind is None:
        kind, finding = _detect(names, scores if numeric else None, named)
        findings += [*(audit.ambiguous_numbers(names) or audit.marked_numbers(names)), finding]
    if kind == "regression":
        return Labels((), scores), findings
    # 1e3 is no name that anybody would know again as 1000, and section 1.10 is another one than 1.1.
    plain = numeric and not any("e" in row.label.lower() for row in rows)
    if plain and all(score.is_integer() for score in scores):
        return _classes([str(int(score)) for score in scores], by=float), findings
    return _classes([row.label for row in rows], by=float if plain else None), findings


def _classes(names: Sequence[str], by: Callable[[str], float] | None = None) -> Labels:
    """Names as classes, in alphabetic order, or first by a number."""
    ordered = sorted(set(names), key=lambda name: (by(name) if by else 0.0, name))
    index = {name: float(place) for place, name in enumerate(ordered)}
    return Labels(tuple(ordered), [index[name] for name in names])


def _listed(rows: Sequence[Row], kind: str | None) -> tuple[Labels, list[Finding]]:
    """What rows mean that list their labels."""
    sizes = [len(row.labels or ()) for row in rows]
    if kind not in (None, multilabel.KIND):
        row = next(row for row in rows if len(row.labels or ()) != 1)
        mend = "leave --kind out, or name one column with --label"
        if max(sizes) == 1:
            mend = "give it one, or leave such rows out with --drop-unlabelled"
        raise InputError(f"{row.place} has {len(row.labels or ())} labels, but {kind} has one a row: {mend}")
    labels, found = _several([row.labels or () for row in rows], _LISTED)
    if kind is None and max(sizes) == 1 and sizes.count(0) <= _FEW * len(sizes):
        message = (
            f"{counted(sizes.count(1), 'row lists', 'rows list')} exactly one label and {sizes.count(0)} "
            "none: say --kind classification --drop-unlabelled if these have no label yet, or --kind "
            "multilabel if none of the labels fits them"
        )
        found = [Finding("kind", message, {"rows": sizes.count(0)}, ERROR)]
    return labels, found


def _separated(names: Sequence[str], kind: str | None) -> tuple[Labels | None, list[Finding]]:
    """What cells mean that hold several labels each; None where they hold one."""
    if kind is None:
        if audit.ambiguous_numbers(names) or audit.marked_numbers(names):
            return None, []
        found = multilabel.separated(names)
        asked = _votes(names) or ([] if found else _perhaps(names))
        if found is None or asked:
            return None, asked
        separator = found.separator
        if found.one_name:  # as of 'Brown, John'
            parts = len(multilabel.parts_of(found.example, separator))
            message = (
                f"{counted(found.rows, 'label has', 'labels have')} {parts} parts with {separator!r} between "
                f"them, such as {shown(found.example)}: say --kind multilabel if the parts are labels, or "
                "--kind classification if each is the name of a class"
            )
            return None, [Finding("kind", message, {"rows": found.rows}, ERROR)]
    else:
        known = multilabel.separator_of(names)
        if known is None:
            raise InputError(
                "kind is multilabel, but no row has several labels: separate them by a comma, a semicolon "
                "or |, list them, or give each label a column of 0 and 1 and name all of these with --label"
            )
        separator = known
    rows = multilabel.parts_of_all(names, separator)
    also = rows != [multilabel.parts_of(name, separator) for name in names]
    return _several(rows, f"separated by {separator!r}" + " and other signs or 'and'" * also)


def _votes(names: Sequence[str]) -> list[Finding]:
    """A question where cells name a label twice."""
    found = multilabel.votes(names)
    if found is None:
        return []
    message = (
        f"{counted(found.rows, 'label names', 'labels name')} one twice, such as {shown(found.example)}, as "
        "the votes of several people do: write one label of each row, such as the majority's, or say --kind "
        "multilabel if what a cell names are its labels, --kind classification if each cell is a name"
    )
    return [Finding("kind", message, {"rows": found.rows}, ERROR)]


def _perhaps(names: Sequence[str]) -> list[Finding]:
    """A question where cells may hold several labels, or one whose name has several words."""
    found = multilabel.perhaps_separated(names)
    if found is None:
        return []
    between = "a blank" if found.separator == " " else repr(found.separator.strip())
    message = (
        f"{counted(found.rows, 'label is', 'labels are')} made of others with {between} between them, such "
        f"as {shown(found.example)}: say --kind multilabel if these rows have several labels, or --kind "
        "classification if each is the name of a class"
    )
    return [Finding("kind", message, {"rows": found.rows}, ERROR)]


def _several(rows: Sequence[Sequence[str]], how: str) -> tuple[Labels, list[Finding]]:
    labels = Labels(*multilabel.numbered(rows))
    sizes = [len(row) for row in rows]
    several = sum(size > 1 for size in sizes)
    message = (
        f"{counted(several, 'row has', 'rows have')} several labels, {how}: this is multi-label, "
        f"{len(labels.classes)} labels, {sum(sizes) / len(sizes):.3g} a row on average, and each is learnt "
        "by itself"
    )
    message += "." if how == _LISTED else "; --kind classification makes each cell one class."
    counts = {"labels": len(labels.classes), "rows": several}
    return labels, [Finding("multi-label", message, counts)]


def _detect(names: Sequence[str], scores: Sequence[float] | None, named: bool) -> tuple[str, Finding]:
    """Classification or regression, and what to say about it; scores are None where not all are numbers."""
    count = len(set(names if scores is None else scores))
    if scores is None:
        what, kind = counted(count, "name", "different names"), "classification"
        code = next((name for name in names if _CODE.match(name)), None)
        if code is not None and all(_float(name) is not None for name in names):
            why = "is a code" if re.match(r"[+-]?0", code) else "has more digits than a number keeps"
            what += f" ({shown(code)} {why})"
    else:
        whole = all(score.is_integer() for score in scores)
        side = "whole " if whole else ""
        what, detected = counted(count, f"{side}number", f"different {side}numbers"), _kind(scores)
        doubts = audit.names_with_a_point(names, scores)
        doubts += audit.codes_with_an_e(names) if detected == "regression" else []
        doubts += audit.row_numbers(scores) if detected == "regression" and not named else []
        if doubts:
            return "classification", doubts[0]
        if detected is None:
            message = (
                f"its labels are {what}, which may be classes or scores; say --kind classification or "
                "--kind regression"
            )
            return "classification", Finding("kind", message, {"labels": count}, ERROR)
        kind = detected
    message = f"The labels are {what}: this is {kind}; kind (--kind) overrides it."
    if scores is not None and kind == "classification" and _steps(scores):
        message += (
            " They may be steps of a scale, such as stars: --kind regression learns their order, and is "
            "judged by correlation and mean absolute error."
        )
    return kind, Finding("kind", message, {"labels": count})


def _kind(scores: Sequence[float]) -> str | None:
    """Whether numbers are classes or scores; None if they may be both."""
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


def _steps(scores: Sequence[float]) -> bool:
    """Whether classes look like the steps of a scale, such as 1 to 5 stars: three or more without a gap."""
    low, high = min(scores), max(scores)
    return low in (0, 1) and 3 <= high - low + 1 <= STEPS and len(set(scores)) == high - low + 1


def _number(label: str) -> float | None:
    return None if _CODE.match(label) else _float(label)


def _float(label: str) -> float | None:
    if "_" in label or not label.isascii():  # Python reads "1_0" as ten, and digits of every script
        return None
    try:
        return float(label)
    except ValueError:
        return None
