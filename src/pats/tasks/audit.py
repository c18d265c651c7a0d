"""What a user should know of a table before anything is trained on it."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pats.tasks._text import key, shown
from pats.tasks.columns import Columns, usual
from pats.tasks.folder import Table

NOTE, WARNING, ERROR = "note", "warning", "error"
SHOWN = 5  # groups of labels that a sentence names

_SEPARATORS = (",", ";", "|")


@dataclass(frozen=True)
class Row:
    """An example of a table.

    Args:
        texts: Its one or two texts.
        cell: The label as written in the table.
        label: The label in one Unicode form (NFC), without blanks around it; empty where there is none.
        place: Where the row is, such as ``"line 7 of reviews.csv"``.
        split: The split that the table gives; None if it gives none.
    """

    texts: tuple[str, ...]
    cell: str
    label: str
    place: str
    split: str | None

    @cached_property
    def key(self) -> tuple[str, ...]:
        """What rows with the same texts share, see ``pats.tasks._text.key``."""
        return tuple(map(key, self.texts))


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        code: What kind of thing, such as ``"twins"``.
        message: What was found and what follows from it, in sentences.
        counts: The numbers of the message, by name.
        severity: ``"note"``; ``"warning"`` where results may mislead; ``"error"`` where nothing can be
            trained.
    """

    code: str
    message: str
    counts: Mapping[str, int] = field(default_factory=dict)
    severity: str = NOTE

    def __str__(self) -> str:
        return f"Warning: {self.message}" if self.severity == WARNING else self.message


def audit(
    rows: Sequence[Row], classes: Sequence[str], values: Sequence[float], divided: bool
) -> list[Finding]:
    """What is to be known of the rows of a table.

    Args:
        rows: The rows.
        classes: Names of the classes; empty for scores.
        values: The class index or score of every row.
        divided: Train and dev are made from these rows, and do not come with them.
    """
    names = [classes[int(value)] for value in values] if classes else []
    alike = spellings(rows, names) if classes else []
    return [*alike, *twins(rows, divided), *two_labels(rows, values, regression=not classes)]


def left_out(table: Table, columns: Columns, others: Sequence[str] = ()) -> list[Finding]:
    """The columns that are not used.

    Args:
        table: The table.
        columns: The columns that are used.
        others: More columns that are used or that were spoken of.
    """
    rest = [name for name in table.columns if name not in (*columns, *others)]
    if not rest:
        return []
    named = ", ".join(repr(name) if name.strip() else "one without a name" for name in rest)
    message = f"{'Columns' if len(rest) > 1 else 'Column'} left out: {named}."
    taken = {usual(name): name for name in columns if name is not None}
    alike = [name for name in rest if usual(name) in taken]
    for name in alike:
        message += f" {name!r} differs from {taken[usual(name)]!r}, which is used, in case or blanks alone."
    return [Finding("left-out", message, {"columns": len(rest)}, WARNING if alike else NOTE)]


def spellings(rows: Sequence[Row], classes: Sequence[str]) -> list[Finding]:
    """Labels that differ in case, blanks, invisible characters or Unicode form alone.

    Args:
        rows: The rows.
        classes: The class of every row.
    """
    groups: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row, name in zip(rows, classes, strict=True):
        groups[key(name)][name, row.cell] += 1
    lookalikes: list[str] = []
    apart = 0
    for group in groups.values():
        names = {name for name, _ in group}
        if len(group) > 1:
            apart += len(names) > 1
            end = f"stay {len(names)} classes" if len(names) > 1 else f"are read as {shown(*names)}"
            lookalikes.append(f"{_listed({cell: count for (_, cell), count in group.items()})} {end}")
    if not lookalikes:
        return []
    more = f"; and {len(lookalikes) - SHOWN} more such groups" if len(lookalikes) > SHOWN else ""
    message = (
        f"Some labels look alike: {'; '.join(lookalikes[:SHOWN])}{more}. Blanks around labels are removed "
        "and Unicode forms are unified (NFC), but case is never folded."
    )
    if apart:
        message += " Where classes mean the same, write them alike."
    return [Finding("label-spellings", message, {"groups": len(lookalikes), "apart": apart}, WARNING)]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{shown(cell)} ({_count(count, 'row', 'rows')})" for cell, count in counts.items())


def several_labels(labels: Sequence[str]) -> list[Finding]:
    """Cells that hold several labels each, such as ``a,b`` beside ``a`` and ``b``."""
    for separator in _SEPARATORS:
        parts = {label: _parts(label, separator) for label in set(labels)}
        seen = Counter(part for pieces in parts.values() for part in pieces)
        joint = [label for label in labels if len(parts[label]) > 1]
        used = {part for label in joint for part in parts[label]}
        # The parts of "Paris, France" and "Lyon, France" hardly recur, those of lists of labels do.
        if joint and sum(seen[part] > 1 for part in used) >= len(used) * 2 / 3:
            decimal = all(re.fullmatch(r"[+-]?\d+(,\d+)?", label) for label in parts)
            message = (
                f"{_count(len(joint), 'row has', 'rows have')} several labels, such as {shown(joint[0])}: "
                f"this is a multi-label table{' (or its numbers have a decimal comma)' * decimal}, but a row "
                "has one label here; keep one of them, or say --kind classification if each cell is one class"
            )
            return [Finding("multi-label", message, {"rows": len(joint)}, ERROR)]
    return []


def _parts(label: str, separator: str) -> set[str]:
    bare = re.sub(r"^[\[({]|[\])}]$", "", label)  # of a list that was written out
    return {part.strip(" '\"") for part in bare.split(separator)} - {""}


def twins(rows: Sequence[Row], divided: bool) -> list[Finding]:
    """Rows with the same texts but for case, blanks and invisible characters.

    Args:
        rows: The rows.
        divided: Train and dev are made from these rows, and do not come with them.
    """
    sizes = [size for size in Counter(row.key for row in rows).values() if size > 1]
    if not sizes:
        return []
    message = (
        f"{sum(sizes)} rows hold {_count(len(sizes), 'text', 'texts')} only, but for case, blanks and "
        f"invisible characters{': the rows of a text stay in one split' if divided else ''}."
    )
    return [Finding("twins", message, {"rows": sum(sizes), "texts": len(sizes)})]


def two_labels(rows: Sequence[Row], labels: Sequence[float], regression: bool) -> list[Finding]:
    """Texts with different labels, and the highest accuracy that they leave possible.

    Args:
        rows: The rows.
        labels: The class index or score of every row.
        regression: The labels are scores.
    """
    exact: dict[tuple[str, ...], Counter[float]] = defaultdict(Counter)
    alike: dict[tuple[str, ...], set[float]] = defaultdict(set)
    for row, label in zip(rows, labels, strict=True):
        exact[row.texts][label] += 1
        alike[row.key].add(label)
    what = "scores" if regression else "labels"
    same = [tally for tally in exact.values() if len(tally) > 1]
    near = sum(len(values) > 1 for values in alike.values())
    clauses = []
    if same:
        two = "two" if max(map(len, same)) == 2 else "two or more"
        clauses.append(f"{_count(len(same), 'text has', 'texts have')} {two} {what}")
        if not regression:
            best = sum(max(tally.values()) for tally in exact.values()) / len(rows)
            clauses[0] += f": no method can be above {100 * best:.4g} % accuracy"
    if near > len(same):
        more = _count(near - len(same), "text has", "texts have")
        clauses.append(f"{more} two {what} or more where case, blanks and invisible characters are set aside")
    counts = {"texts": len(same), "alike": near}
    return [Finding("two-labels", f"{'; '.join(clauses)}.", counts, WARNING)] if clauses else []


def across(rows: Sequence[Row], parts: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Rows of dev and test whose texts are in an earlier part, but for case, blanks and invisible characters.

    Args:
        rows: The rows.
        parts: The rows of train, dev and test, in this order.
    """
    seen: set[tuple[str, ...]] = set()
    before: list[str] = []
    findings = []
    for part, members in parts.items():
        keys = [rows[i].key for i in members]
        count = sum(own in seen for own in keys)
        if count:
            message = (
                f"{count} of {len(keys)} rows of {part} have the same text as a row of "
                f"{' or '.join(before)}, but for case, blanks and invisible characters: scores on {part} "
                "are flattered."
            )
            findings.append(Finding("twins-across", message, {"rows": count}, WARNING))
        seen.update(keys)
        before.append(part)
    return findings


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
