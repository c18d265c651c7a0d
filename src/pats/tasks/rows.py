"""From the files of a table to its rows."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats.tasks import audit, multilabel, unsupported
from pats.tasks._task import Asked
from pats.tasks._text import key
from pats.tasks.audit import Finding, Row
from pats.tasks.audit.finding import count
from pats.tasks.audit.labels import NO_GOLD, lost
from pats.tasks.cell_lists import unwritten
from pats.tasks.columns import SPLIT_COLUMNS, Columns, names_of, usual
from pats.tasks.reading import WARNING, Table, is_frame, open_table
from pats.tasks.split_names import NAMES
from pats.tasks.table_folder import tables_in
from pats.tasks.times import times_of

_LIKE_A_SPLIT = re.compile(r"split|^((data|sub)?_?sets?|dataset_type|part|partition|phase)$")


def tables_of(asked: Asked) -> dict[str | None, Table]:
    """The table under no split, or those of files and of a folder by split, train first.

    Raises:
        InputError: One cannot be read, or the folder has none for train, or two for a split, or files for dev
            or test are named beside it.
    """
    data, quoting, sheet = asked.data, asked.quoting, asked.sheet
    named: dict[str | None, Any] = {"train": data, "dev": asked.dev, "test": asked.test}
    others = [str(split) for split, one in named.items() if split != "train" and one is not None]
    if others:
        for split, one in named.items():
            if one is not None and not is_frame(one) and Path(one).is_dir():
                raise InputError(
                    f"{one} is a folder, but with --{others[0]} every split is one table: name the {split} "
                    "table"
                )
        return {
            split: open_table(one, quoting=quoting, sheet=sheet)
            for split, one in named.items()
            if one is not None
        }
    if is_frame(data) or not Path(data).is_dir():
        return {None: open_table(data, quoting=quoting, sheet=sheet)}
    return tables_in(Path(data), quoting, sheet)


def rows_of(
    tables: Mapping[str | None, Table], columns: Columns, findings: list[Finding], asked: Asked
) -> list[Row]:
    """All examples with a label, in the order of the files, without a test split that has no labels.

    Args:
        tables: The tables, by split.
        columns: The columns to read.
        findings: Takes what was found.
        asked: What the user says of the table.

    Raises:
        InputError: A table lacks a column, or a cell is no text or holds several labels.
    """
    rows: list[Row] = []
    blank = 0
    for first, (file_split, whole) in enumerate(tables.items()):
        findings += [reading_note(note) for note in whole.notes]
        table = whole.without_blank_rows()
        blank += len(whole) - len(table)
        splits: Sequence[str | None] = [file_split] * len(table)
        if file_split is None:
            splits = _split_column(table, columns, findings, asked) or splits
        if not first:
            others = split_columns(table) if file_split is None else []
            others += [name for name in (asked.group, asked.time) if name]
            findings += audit.left_out(table, columns, others, named=asked.label is not None)
            findings += audit.other_texts(table, columns) if asked.text is None else []
            undivided = asked.group is None and asked.time is None and not any(splits)
            findings += audit.may_group(table, columns) if undivided else []
        if len(names_of(columns.label)) > 1 and set(names_of(columns.label)) <= set(table.columns):
            findings += audit.blank_marks(table, names_of(columns.label))
        rows += _of_table(table, columns, splits, asked)
    if blank:
        findings.append(Finding("blank-rows", f"{blank} blank rows are skipped.", {"rows": blank}))
    tests = [row for row in rows if row.split == "test"]
    if tests and (bare := _bare(rows, tests)):
        rows = [row for row in rows if row.split != "test"]
        message = f"The test split has {bare}: its {len(tests)} rows are left out."
        findings.append(Finding("test-without-labels", message, {"rows": len(tests)}))
    return _labelled(rows, findings, asked.drop_unlabelled, asked.kind)


def _bare(rows: Sequence[Row], tests: Sequence[Row]) -> str | None:
    """Why the labels of the test split are none; None where they are some."""
    held = {row.label for row in tests}
    if not any(held):
        return "no labels"
    # As the test splits of public benchmarks are handed out.
    hidden = held <= {"-1", "-1.0"} and not any(row.label in held for row in rows if row.split != "test")
    return "the label -1 alone, which stands for hidden ones" if hidden else None


def _of_table(
    table: Table,
    columns: Columns,
    splits: Sequence[str | None],
    asked: Asked,
) -> list[Row]:
    for name in (*columns.parts, *names_of(columns.text_pair)):
        unsupported.check_text(table, name, named=asked.text is not None)
    texts = [table.texts(name) for name in columns.texts]
    for column in columns.texts:
        unsupported.check_whole(table, column)
    names = names_of(columns.label)
    listed: Sequence[tuple[str, ...] | None] | None = None
    cells = [""] * len(table)
    if "test" in splits and not set(names) <= set(table.columns):
        pass  # a test split without labels
    elif len(names) > 1:
        listed = multilabel.marked(table, names)
    else:
        table = unwritten(table, names[0], one=asked.kind == "classification")
        unsupported.check_label(table, names[0])
        listed = multilabel.lists(table, names[0])
        if listed is None:
            unsupported.check_whole(table, names[0])
            cells = table.texts(names[0])
    labels = None if listed is None else [own and tuple(filter(None, map(_label, own))) for own in listed]
    if labels is not None:
        cells = ["" if own is None else ", ".join(own) or multilabel.NOTHING for own in labels]
    groups = None if asked.group is None else [_group(cell) for cell in table.texts(asked.group)]
    times = None if asked.time is None else times_of(table, asked.time)
    return [
        Row(
            words,
            cells[i],
            _label(cells[i]),
            table.line(i),
            splits[i],
            None if labels is None else labels[i],
            None if groups is None else groups[i] or table.line(i),  # a row without a group is one by itself
            None if times is None else times[i],
            "" if asked.time is None else str(table.column(asked.time)[i]).strip(),
        )
        for i, words in enumerate(zip(*texts, strict=True))
    ]


def _labelled(rows: list[Row], findings: list[Finding], drop: bool, kind: str | None) -> list[Row]:
    signs = any(row.label == "+" for row in rows)  # beside which a minus is a label

    def lacks(row: Row) -> bool:
        gone = lost(row.label) or (row.label == NO_GOLD and not signs)
        return not row.label or (kind == "classification" and row.labels == ()) or (drop and gone)

    missing = [row for row in rows if lacks(row)]
    if not missing:
        return rows
    kept = [row for row in rows if not lacks(row)]
    more = f" (and {len(missing) - 1} more rows have none)" if len(missing) > 1 else ""
    if drop:
        message = f"{len(missing)} rows have no label, and are left out."
        findings.append(Finding("unlabelled", message, {"rows": len(missing)}, audit.WARNING))
    else:
        message = (
            f"{missing[0].place} has no label{more}: give it one, or leave such rows out with "
            "--drop-unlabelled"
        )
        if len(missing) > len(kept) > 1 and not lacks(rows[0]):  # as of cells that were merged
            message += "; if a label is also that of the rows below it, fill it down"
        findings.append(Finding("unlabelled", message, {"rows": len(missing)}, audit.ERROR))
    return kept


def without_header(table: Table) -> tuple[Table, list[Finding]]:
    """The table without rows that repeat the names of its columns, as of files that were put together."""
    names = [name.strip().lower() for name in table.columns]
    again = [
        i
        for i, row in enumerate(zip(*table.cells.values(), strict=True))
        if len(row) > 1 and all(map(_is_name, row, names))
    ]
    if not again:
        return table, []
    more = f", and so {count(len(again) - 1, 'other row does', 'other rows do')}" if len(again) > 1 else ""
    message = f"{table.line(again[0])} repeats the names of the columns{more}: such rows are skipped."
    found = Finding("repeated-header", message, {"rows": len(again)}, audit.WARNING)
    return table.without({*again}), [found]


def _is_name(cell: Any, name: str) -> bool:
    return isinstance(cell, str) and cell.strip().lower() == name


def reading_note(note: str) -> Finding:
    """What was detected while reading, as a finding."""
    mild = note.removeprefix(WARNING)
    return Finding("reading", mild, severity=audit.NOTE if mild == note else audit.WARNING)


def _label(cell: str) -> str:
    """A label in one Unicode form, without blanks around it; empty if nothing of it is visible."""
    return unicodedata.normalize("NFC", cell).strip() if key(cell) else ""


def _group(cell: str) -> str:
    return unicodedata.normalize("NFC", cell).strip()


def split_columns(table: Table) -> list[str]:
    """Columns that are called so, then others of a like name that hold names of splits, train among them."""
    called = [name for name in table.columns if usual(name) in SPLIT_COLUMNS]
    alike = [name for name in table.columns if name not in called and _LIKE_A_SPLIT.search(usual(name))]
    return called + [name for name in alike if _names_splits(table, name)]


def _names_splits(table: Table, name: str) -> bool:
    held: set[str] = set()
    for cell in table.column(name):
        split = NAMES.get(cell.strip().lower()) if isinstance(cell, str) else None
        if split is None:
            return False
        held.add(split)
    return len(held) > 1 and "train" in held


def _split_column(table: Table, columns: Columns, findings: list[Finding], asked: Asked) -> list[str] | None:
    """The split of every row, if the table has a column for it."""
    found: dict[str, list[str]] = {}
    divided = asked.folds is not None or asked.time is not None  # the user says how, whatever a name suggests
    for name in split_columns(table):
        if name in (*columns.names, asked.group, asked.time):
            continue
        if divided and usual(name) not in SPLIT_COLUMNS:
            continue
        cells = [cell.strip() for cell in table.texts(name)]
        splits = [NAMES.get(cell.lower()) for cell in cells]
        if not any(splits):
            message = f"Column {name!r} is not used: it does not hold {', '.join(NAMES)}."
            severity = audit.WARNING if usual(name) == "split" else audit.NOTE  # folds may be numbers
            findings.append(Finding("splits", message, severity=severity))
            continue
        for i, split in enumerate(splits):
            if split is None:
                raise InputError(
                    f"{table.line(i)} has {cells[i]!r} in column {name!r}: write one of {', '.join(NAMES)}"
                )
        found[name] = [split for split in splits if split is not None]
    if not found:
        findings += audit.unused_splits(table, columns)
        return None
    name, splits_used = next(iter(found.items()))
    findings.append(Finding("splits", f"The splits are those of column {name!r}."))
    other = next((other for other, own in found.items() if own != splits_used), None)
    if other is not None:
        message = (
            f"Column {other!r} names other splits than column {name!r}, which is used: remove one of them."
        )
        findings.append(Finding("splits", message, severity=audit.WARNING))
    return splits_used
