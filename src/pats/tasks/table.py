"""A user's own table, with or without splits of its own, as a task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pats._errors import InputError
from pats.tasks import audit, judging
from pats.tasks._data import Split, TaskData
from pats.tasks._task import Asked, Task
from pats.tasks.audit import Finding, Row
from pats.tasks.columns import Columns, Text, choose, spoken
from pats.tasks.folds import folded
from pats.tasks.groups import SCORED
from pats.tasks.labels import Labels, interpret
from pats.tasks.reading import STDIN, Table, is_frame, stem
from pats.tasks.rows import rows_of, tables_of, without_header
from pats.tasks.splits import check, parts_of, without_rare

MIN_ROWS = 20  # three parts of fewer rows measure nothing


class Examined(NamedTuple):
    """A table as it was understood."""

    columns: Columns
    rows: list[Row]
    labels: Labels
    findings: list[Finding]


class UserTable(Task):
    """A table of the user's own, which has no name but its file's."""

    sources = ("table",)

    @property
    def title(self) -> str:
        """What messages call it."""
        return "a table"

    def table(self, asked: Asked) -> TaskData:
        """The table, with the columns that were named."""
        return load(asked)


def load(asked: Asked) -> TaskData:
    """Read a table, or a folder with ``train``, ``dev`` and ``test`` tables, as a task.

    Splits that the data bring are kept: files of a folder, or a column ``split`` or ``fold`` (or of a like
    name, where it holds nothing else) with train, dev (val, validation, eval) and test (holdout). Without
    any, rows are split 70/15/15; where only dev is missing, 15 % of train become dev; where only test is
    missing there is none, and the
    verdict is from dev. Our splits are stratified (by class, or by quantile of the score),
    deterministic by ``seed``, and keep rows together whose texts differ in case, blanks, invisible
    characters and Unicode form alone. A test split without any label is left out. Rows without
    anything in them are skipped. Missing texts are empty. Labels are brought to one Unicode form (NFC)
    and lose blanks around them. The notes report everything that was detected.

    Args:
        asked: What the user says of it. Without a kind, words, codes such as 007 and whole numbers that recur
            are classes (in alphabetic or numeric order), other numbers are scores.

    Raises:
        InputError: The data are missing, damaged, unlabelled somewhere, or too few to split; rows have
            several labels; or the labels may be both classes and scores.
    """
    columns, rows, labels, findings = examine_asked(asked)
    classes, values, sets = labels
    name = called(asked.data)
    errors = [finding for finding in findings if finding.severity == audit.ERROR]
    if len(rows) < MIN_ROWS and not any(finding.code == "unlabelled" for finding in errors):
        raise InputError(f"{name} has {len(rows)} labelled rows: add some, {MIN_ROWS} are needed")
    if errors:
        raise InputError(f"{name} cannot be learnt: {errors[0].message}")
    if len(set(values)) < 2:
        raise InputError(
            f"{name} has one label only, {rows[0].label!r}: there is nothing to learn, add rows of another, "
            "or name another column with --label"
        )
    parts, divided, of_folds = division(rows, labels, asked, name)
    check(parts, labels, name)
    groups = [row.group for row in rows]
    scored = asked.group is not None and len(set(groups)) <= SCORED
    splits = {
        part: Split(
            tuple(rows[i].texts[0] for i in members),
            tuple(rows[i].texts[1] for i in members) if columns.text_pair else None,
            tuple(values[i] for i in members),
            tuple(str(groups[i]) for i in members) if scored else None,
        )
        for part, members in parts.items()
    }
    metrics, said = judging.chosen(classes, values, bool(sets))
    notes = tuple(map(str, audit.by_weight([*findings, *divided, *said])))
    return TaskData(
        *(task_name(asked.data), classes, splits, metrics[0], metrics, "table", notes, columns.texts, sets),
        of_folds,
    )


def division(
    rows: Sequence[Row], labels: Labels, asked: Asked, name: str
) -> tuple[Mapping[str, Sequence[int]], list[Finding], str | None]:
    """Rows of every split, findings about them, and of folds the fingerprint of all of them.

    Raises:
        InputError: The rows cannot be divided so.
    """
    if asked.folds is not None:
        found = folded(rows, labels, asked.folds, asked.seed, name)
        return found.parts(asked.fold), found.findings, found.fingerprint(rows, labels)
    return *parts_of(rows, labels, asked.seed, name), None


def examine(
    data: Any,
    text: Text | None = None,
    text_pair: str | None = None,
    label: Text | None = None,
    kind: str | None = None,
    **options: Any,
) -> Examined:
    """Read a table as ``load`` does, and return what to know about it before it is split.

    Args:
        data: A table, a folder of tables, or a table that Python holds.
        text: Column of the first text, or several to join.
        text_pair: Column of the second text.
        label: Column of the label, or several, one for each label.
        kind: One of ``pats.tasks.labels.KINDS``.
        options: Other fields of ``Asked``.

    Raises:
        InputError: It cannot be read, or a row has a label that does not fit ``kind``. What else is wrong is
            a finding.
    """
    return examine_asked(Asked(data, text, text_pair, label, kind, **options))


def examine_asked(asked: Asked) -> Examined:
    """What ``examine`` returns, of what the user asks for."""
    return examine_tables(tables_of(asked), asked)


def examine_tables(tables: Mapping[str | None, Table], asked: Asked) -> Examined:
    """What ``examine`` returns, of tables that were read."""
    plain = {split: without_header(table) for split, table in tables.items()}
    tables = {split: table for split, (table, _) in plain.items()}
    columns, findings = choose_columns(next(iter(tables.values())), asked)
    findings += [finding for _, repeated in plain.values() for finding in repeated]
    rows = rows_of(tables, columns, findings, asked)
    if not rows:
        if any(finding.severity == audit.ERROR for finding in findings):
            raise InputError(
                f"no row of {called(asked.data)} has a label: name the right column with --label"
            )
        raise InputError(f"{called(asked.data)} holds blank rows only: check that this is the file you mean")
    labels, detected = interpret(rows, asked.kind, named=asked.label is not None)
    findings += detected
    if asked.drop_rare and labels.classes:
        rows, labels, rare = without_rare(rows, labels, asked.folds)
        if not rows:
            raise InputError(
                f"every class of {called(asked.data)} is too rare: add rows, or leave out --drop-rare"
            )
        findings += rare
    findings += audit.audit(rows, *labels, divided=not any(row.split for row in rows))
    return Examined(columns, rows, labels, findings)


def choose_columns(table: Table, asked: Asked) -> tuple[Columns, list[Finding]]:
    """The columns to use, and why.

    Raises:
        InputError: See ``pats.tasks.columns.choose``.
    """
    if asked.group is not None and asked.time is not None:
        raise InputError("--group and --time both say how to divide the rows: leave one out")
    if asked.folds is not None and asked.time is not None:
        raise InputError(
            "--folds makes every row test once, but --time tests the newest rows alone: leave one out"
        )
    reserved = [name for name in (asked.group, asked.time) if name is not None]
    columns, detected = choose(
        table, asked.text, asked.text_pair, asked.label, reserved=reserved, kind=asked.kind
    )
    given: Mapping[str, Any] = {
        "text": asked.text,
        "second text": asked.text_pair,
        "group": asked.group,
        "time": asked.time,
        "label": asked.label if isinstance(asked.label, str) else None,
    }
    named = [f"The {what} is {spoken(name)}, as named." for what, name in given.items() if name is not None]
    if isinstance(asked.label, tuple):
        named.append(f"The labels are the columns {', '.join(map(repr, asked.label))}, as named.")
    return columns, [Finding("columns", note) for note in (*named, *detected)]


def called(data: Any) -> str:
    """What messages call the data."""
    return "the table" if is_frame(data) else "standard input" if str(data) == STDIN else str(data)


def task_name(data: Any) -> str:
    """What a study calls the task of these data: a folder's name, or a file's without its endings."""
    if is_frame(data):
        return "table"
    path = Path(data)
    return path.resolve().name if path.is_dir() else stem(path)
