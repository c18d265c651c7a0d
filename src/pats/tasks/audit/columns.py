"""Columns that are not used."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence

from pats.tasks import multilabel
from pats.tasks._text import shown
from pats.tasks.audit.finding import NOTE, WARNING, Finding, count
from pats.tasks.columns import TEXTS, Columns, usual
from pats.tasks.label_columns import LABELS
from pats.tasks.reading import Table, blank
from pats.tasks.split_names import NAMES

_PARTS = ("test", "train", "dev", "val", "valid", "validation")
_SPLITS = {"test", "train", "val", "valid", *(f"is{one}" for one in _PARTS), *(f"is_{one}" for one in _PARTS)}
_TRUTH = {"0", "1", "0.0", "1.0", "true", "false", "yes", "no"}
_KAGGLE = {"training", "public", "private", "publictest", "privatetest"}
_REFUSED = {"reject", "ignore"}  # what Prodigy writes beside "accept"
_GROUP = re.compile(
    r"((?!n[_ -]|num|no[_ -]).*[_ -])?(user|author|writer|speaker|customer|client|patient|student|participant"
    r"|respondent|conversation|dialog|dialogue|thread|session|document|doc|article)([_ -]?(id|name|number))?"
    r"|(subject|case|product|book|movie|group)([_ -]?(id|name|number))?"
)
_GROUPS, _RECUR = 5, 0.8  # different cells of a column of groups: at least, and at most of its rows
_SHORT = ("title", "question")  # names of texts that others may be about
_LISTED = 30  # columns that a sentence names
_LONGER, _DIFFERENT = 3, 3  # times as many words or different cells as the column that is read
_FEW = 8  # different cells that a column of splits has at most
_WORDS = 4  # of the mean cell of a column of texts


def left_out(
    table: Table, columns: Columns, others: Sequence[str] = (), named: bool = False
) -> list[Finding]:
    """The columns that are not used.

    Args:
        table: The table.
        columns: The columns that are used.
        others: More columns that are used or that were spoken of.
        named: Somebody named the label.
    """
    used = columns.names
    rest = [name for name in table.columns if name not in (*used, *others)]
    if not rest:
        return []
    listed = ", ".join(repr(name) if name.strip() else "one without a name" for name in rest[:_LISTED])
    listed += f" and {len(rest) - _LISTED} more" if len(rest) > _LISTED else ""
    message = f"{'Columns' if len(rest) > 1 else 'Column'} left out: {listed}."
    taken = {usual(name): name for name in used}
    alike = [name for name in rest if usual(name) in taken]
    for name in alike:
        message += f" {name!r} differs from {taken[usual(name)]!r}, which is used, in case or blanks alone."
    texts = [
        name for name in rest if name not in alike and (usual(name) in TEXTS or _holds_texts(table, name))
    ]
    labels = [name for name in rest if not named and name not in alike and usual(name) in LABELS]
    if labels:
        verb = "may be labels, too" if len(labels) > 1 else "may be the label, too"
        message += f" {', '.join(map(repr, labels))} {verb}: --label names one."
    if texts:
        joined = " ".join(
            map(shlex.quote, (name for name in table.columns if name in (*columns.parts, *texts)))
        )
        message += (
            f" To read {', '.join(map(repr, texts[:_LISTED]))}, too, join the columns: --text {joined}."
        )
    severity = WARNING if alike or labels else NOTE
    return [
        *_refused(table, rest),
        Finding("left-out", message, {"columns": len(rest)}, severity),
    ]


def unused_splits(table: Table, columns: Columns) -> list[Finding]:
    """Columns that seem to tell which rows are for the verdict, in a way that is not read."""
    found = []
    for name in table.columns:
        if name in columns.names:
            continue
        values = _KAGGLE if usual(name) == "usage" else _TRUTH if usual(name) in _SPLITS else set()
        held = {str(cell).strip().lower() for cell in table.column(name) if not blank(cell)}
        named = len(held) <= _FEW and "train" in held and {NAMES.get(cell) for cell in held} & {"dev", "test"}
        if named or (values and held <= values):
            message = (
                f"Column {name!r} seems to tell which rows are for test, but is not read: write train, dev "
                "or test into a column named split."
            )
            found.append(Finding("splits", message, severity=WARNING))
    return found


def may_group(table: Table, columns: Columns) -> list[Finding]:
    """A column that says whose a row is or what it is of, by which nobody asked to divide the rows."""
    for name in table.columns:
        if name in columns.names or not _GROUP.fullmatch(usual(name)):
            continue
        cells = [str(cell).strip() for cell in table.column(name) if not blank(cell)]
        words = sum(map(len, map(str.split, cells)))  # of texts, such as the subject of a mail
        recurring = _GROUPS <= len(set(cells)) <= _RECUR * len(cells) and len(cells) > len(table) / 2
        if recurring and words < _WORDS * len(cells):
            groups = len(set(cells))
            message = (
                f"Column {name!r} has {groups} different cells: --group {shlex.quote(name)} keeps rows with "
                "the same one together, so that test rows are of others than those that were learnt."
            )
            return [Finding("may-group", message, {"groups": groups})]
    return []


def other_texts(table: Table, columns: Columns) -> list[Finding]:
    """A column that is read for its name, beside one that rather holds the texts.

    It has a word a row, as ids are, or titles; or its cells recur, as a question does with many answers.
    """
    if not isinstance(columns.text, str):
        return []
    cells = _strings(table, columns.text)
    others = [name for name in table.columns if name not in columns.names and _holds_texts(table, name)]
    if not cells or not others:
        return []
    words = sum(len(cell.split()) > 1 or not cell.isascii() for cell in cells)  # some scripts have no blanks
    if words > len(cells) / 10:
        return _better_texts(table, columns.text, others) if columns.text_pair is None else []
    message = (
        f"Column {columns.text!r}, which is read, holds one word a row, such as {shown(cells[0][:40])}, and "
        f"column {others[0]!r} holds texts: --text {shlex.quote(others[0])} reads that one."
    )
    return [Finding("one-word-texts", message, {"rows": len(cells)}, WARNING)]


def _better_texts(table: Table, read: str, others: Sequence[str]) -> list[Finding]:
    """The column of the longest texts, where what is read is far shorter, or far fewer different ones."""
    cells = {name: _strings(table, name) for name in (read, *others)}
    length = {name: sum(len(cell.split()) for cell in own) / len(own) for name, own in cells.items()}
    best = max(others, key=length.__getitem__)
    few = _DIFFERENT * len({*cells[read]}) <= len({*cells[best]})
    if not few and (usual(read) not in _SHORT or length[best] < _LONGER * length[read]):
        return []
    what = f"{length[read]:.0f} words a row in {len({*cells[read]})} different cells"
    other = f"{length[best]:.0f} in {len({*cells[best]})}"
    both = " ".join(shlex.quote(name) for name in table.columns if name in (read, best))
    message = (
        f"Column {read!r}, which is read, holds {what}, and column {best!r} holds {other}: --text "
        f"{shlex.quote(best)} reads that one, --text {both} both."
    )
    return [Finding("other-texts", message, {"words": round(length[best])}, WARNING)]


def blank_marks(table: Table, names: Sequence[str]) -> list[Finding]:
    """Blank cells beside 0 and 1 in columns that mark labels: they count as 0, but may be unknown."""
    blanks = {}
    for name in names:
        held = Counter("" if blank(cell) else str(cell).strip().lower() for cell in table.column(name))
        if held[""] and held.keys() & multilabel.NO:
            blanks[name] = held[""]
    if not blanks:
        return []
    name, rows = next(iter(blanks.items()))
    more = f", and so {count(len(blanks) - 1, 'other column', 'other columns')}" if len(blanks) > 1 else ""
    message = (
        f"Column {name!r} has {count(rows, 'blank cell', 'blank cells')} beside 0 and 1{more}: they count as "
        "0. Remove these rows if nobody has looked whether the label fits."
    )
    return [Finding("blank-marks", message, {"cells": sum(blanks.values())}, WARNING)]


def _refused(table: Table, names: Sequence[str]) -> list[Finding]:
    """Rows that somebody refused in Prodigy."""
    for name in (one for one in names if usual(one) == "answer"):
        cells = [str(cell).strip().lower() for cell in table.column(name) if not blank(cell)]
        refused = sum(cell in _REFUSED for cell in cells)
        if refused and set(cells) <= {"accept", *_REFUSED}:
            message = (
                f"{count(refused, 'row has', 'rows have')} 'reject' or 'ignore' in column {name!r}, as "
                "Prodigy writes for a label that somebody refused: remove these rows."
            )
            return [Finding("refused", message, {"rows": refused}, WARNING)]
    return []


def _holds_texts(table: Table, name: str) -> bool:
    """Whether most cells of a column are texts of several words, each another."""
    cells = _strings(table, name)
    several = len({*cells}) > len(cells) / 2 > len(table) / 4
    return several and sum(map(len, map(str.split, cells))) >= _WORDS * len(cells)


def _strings(table: Table, name: str) -> list[str]:
    """The cells of a column that hold text."""
    return [cell for cell in table.column(name) if isinstance(cell, str) and cell.strip()]
