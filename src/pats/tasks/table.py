"""A user's own table: CSV, TSV, JSON lines or Parquet, with or without splits of its own."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pats._errors import InputError
from pats.tasks import audit
from pats.tasks._data import Split, TaskData, stratify
from pats.tasks._task import Asked, Task
from pats.tasks._text import key
from pats.tasks.audit import Finding, Row
from pats.tasks.columns import SPLIT_COLUMNS, Columns, choose, usual
from pats.tasks.folder import FORMATS, Table, read
from pats.tasks.labels import Labels, interpret

MIN_ROWS = 20  # three parts of fewer rows measure nothing

_NAMES = {"train": ("train", "training"), "dev": ("dev", "val", "valid", "validation")}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names} | {"test": "test"}


def load(
    data: str | Path,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    kind: str | None = None,
    seed: int = 0,
) -> TaskData:
    """Read a table, or a folder with ``train``, ``dev`` and ``test`` tables, as a task.

    Splits that the data bring are kept: files of a folder, or a column ``split`` or ``fold`` with
    train, dev (val, valid, validation) and test. Without any, rows are split 70/15/15; where only
    dev is missing, 15 % of train become dev; where only test is missing there is none, and the
    verdict is from dev. Our splits are stratified (by class, or by quantile of the score),
    deterministic by ``seed``, and keep rows together whose texts differ in case, blanks, invisible
    characters and Unicode form alone. A test split without any label is left out. Rows without
    anything in them are skipped. Missing texts are empty. Labels are brought to one Unicode form (NFC)
    and lose blanks around them. The notes report everything that was detected.

    Args:
        data: The table or folder.
        text: Column of the first text; None detects both text columns by their usual names.
        text_pair: Column of the second text.
        label: Column of the label; None detects it.
        kind: ``"classification"`` or ``"regression"``; None takes words, codes such as 007 and whole
            numbers that recur for classes (in alphabetic or numeric order), other numbers for scores.
        seed: Seed of the split.

    Raises:
        InputError: The data are missing, damaged, unlabelled somewhere, or too few to split; rows have
            several labels; or the labels may be both classes and scores.
    """
    path = Path(data)
    columns, rows, (classes, values), findings = examine(path, text, text_pair, label, kind)
    if len(rows) < MIN_ROWS:
        raise InputError(f"{path} has {len(rows)} labelled rows: add some, {MIN_ROWS} are needed")
    for finding in findings:
        if finding.severity == audit.ERROR:
            raise InputError(f"{path} cannot be learnt: {finding.message}")
    if len(set(values)) < 2:
        raise InputError(
            f"{path} has one label only, {rows[0].label!r}: there is nothing to learn, add rows of another"
        )
    parts, divided = _parts(rows, classes, values, seed, path)
    _check(parts, classes, values, path)
    splits = {
        part: Split(
            tuple(rows[i].texts[0] for i in members),
            tuple(rows[i].texts[1] for i in members) if columns.text_pair else None,
            tuple(values[i] for i in members),
        )
        for part, members in parts.items()
    }
    metrics = ("accuracy", "macro_f1") if classes else ("pearson", "spearman")
    name = path.resolve().name if path.is_dir() else path.stem
    notes = tuple(map(str, (*findings, *divided)))
    return TaskData(name, classes, splits, metrics[0], metrics, "table", notes, columns.texts)


class UserTable(Task):
    """A table of the user's own, which has no name but its file's."""

    sources = ("table",)

    @property
    def title(self) -> str:
        """What messages call it."""
        return "a table"

    def table(self, asked: Asked) -> TaskData:
        """The table, with the columns that were named."""
        assert asked.data is not None
        return load(
            asked.data,
            text=asked.text,
            text_pair=asked.text_pair,
            label=asked.label,
            kind=asked.kind,
            seed=asked.seed,
        )


class Examined(NamedTuple):
    """A table as it was understood."""

    columns: Columns
    rows: list[Row]
    labels: Labels
    findings: list[Finding]


def examine(
    path: Path,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    kind: str | None = None,
) -> Examined:
    """Read a table as ``load`` does, and return what to know about it before it is split.

    Raises:
        InputError: It cannot be read, or a row has no label, or one that does not fit ``kind``. What else
            is wrong is a finding.
    """
    tables = _tables(path)
    columns, detected_columns = choose(next(iter(tables.values())), text, text_pair, label)
    given = {"text": text, "second text": text_pair, "label": label}
    named = [f"The {what} is column {name!r}, as named." for what, name in given.items() if name is not None]
    findings = [Finding("columns", note) for note in (*named, *detected_columns)]
    rows = _rows(tables, columns, findings)
    if not rows:
        raise InputError(f"{path} holds blank rows only: check that this is the file you mean")
    labels, detected = interpret(rows, kind)
    findings += detected + audit.audit(rows, *labels, divided=not any(row.split == "dev" for row in rows))
    return Examined(columns, rows, labels, findings)


def _tables(path: Path) -> dict[str | None, Table]:
    """The table under no split, or a folder's tables by split, train first."""
    if not path.is_dir():
        return {None: read(path)}
    files: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        split = _SPLITS.get(file.stem.lower())
        if split is not None and file.suffix.lower() in FORMATS:
            if split in files:
                raise InputError(f"{path} has {files[split].name} and {file.name}: keep one")
            files[split] = file
    if "train" not in files:
        raise InputError(
            f"{path} has no train table: put train.csv there (or {', '.join(FORMATS)}), or name "
            "the task if this is a GLUE folder"
        )
    if len(files) == 1:
        return {None: read(files["train"])}
    return {split: read(files[split]) for split in ("train", "dev", "test") if split in files}


def _rows(tables: Mapping[str | None, Table], columns: Columns, findings: list[Finding]) -> list[Row]:
    """All examples, in the order of the files, without a test split that has no labels."""
    rows: list[Row] = []
    blank = 0
    first = True
    for file_split, whole in tables.items():
        table = whole.without_blank_rows()
        blank += len(whole.places) - len(table.places)
        texts = [table.texts(name) for name in columns.texts]
        count = len(table.places)
        if file_split == "test" and columns.label not in table.columns:
            cells = [""] * count
        else:
            cells = _label_cells(table, str(columns.label))
        splits: Sequence[str | None] = [file_split] * count
        if file_split is None:
            splits = _split_column(table, columns, findings) or splits
        if first:
            findings += audit.left_out(table, columns, _split_columns(table) if file_split is None else ())
            first = False
        for i, words in enumerate(zip(*texts, strict=True)):
            rows.append(Row(words, cells[i], _label(cells[i]), table.where(i), splits[i]))
    if blank:
        findings.append(Finding("blank-rows", f"{blank} blank rows are skipped.", {"rows": blank}))
    tests = [row for row in rows if row.split == "test"]
    if tests and not any(row.label for row in tests):
        rows = [row for row in rows if row.split != "test"]
        message = f"The test split has no labels: its {len(tests)} rows are left out."
        findings.append(Finding("test-without-labels", message, {"rows": len(tests)}))
    for row in rows:
        if not row.label:
            raise InputError(f"{row.place} has no label: give it one, or remove the row")
    empty = sum(not any(text.strip() for text in row.texts) for row in rows)
    if empty:
        findings.append(Finding("no-text", f"{empty} rows have no text.", {"rows": empty}))
    return rows


def _label(cell: str) -> str:
    """A label in one Unicode form, without blanks around it; empty if nothing of it is visible."""
    return unicodedata.normalize("NFC", cell).strip() if key(cell) else ""


def _label_cells(table: Table, name: str) -> list[str]:
    for row, cell in enumerate(table.column(name)):
        if isinstance(cell, list):
            raise InputError(
                f"{table.where(row)} has a list of labels in column {name!r}: this is a multi-label table, "
                "but a row has one label here; keep one of them"
            )
    return table.texts(name)


def _split_columns(table: Table) -> list[str]:
    return [name for name in table.columns if usual(name) in SPLIT_COLUMNS]


def _split_column(table: Table, columns: Columns, findings: list[Finding]) -> list[str] | None:
    """The split of every row, if the table has a column for it."""
    for name in _split_columns(table):
        if name in columns:
            continue
        cells = [cell.strip() for cell in table.texts(name)]
        splits = [_SPLITS.get(cell.lower()) for cell in cells]
        if not any(splits):
            message = f"Column {name!r} is not used: it does not hold {', '.join(_SPLITS)}."
            findings.append(Finding("splits", message))
            continue
        for i, split in enumerate(splits):
            if split is None:
                raise InputError(
                    f"{table.where(i)} has {cells[i]!r} in column {name!r}: write one of {', '.join(_SPLITS)}"
                )
        findings.append(Finding("splits", f"The splits are those of column {name!r}."))
        return [split for split in splits if split is not None]
    return None


def _parts(
    rows: Sequence[Row],
    classes: Sequence[str],
    values: Sequence[float],
    seed: int,
    path: Path,
) -> tuple[dict[str, list[int]], list[Finding]]:
    """Rows of every split, and findings about them; missing splits are made by the seed."""
    findings: list[Finding] = []
    parts: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        parts.setdefault(row.split or "train", []).append(i)
    if "train" not in parts:
        raise InputError(f"{path} has no train rows: mark some as train in its split column")
    if "dev" not in parts:
        shares = {"train": 0.7, "dev": 0.15, "test": 0.15}
        if "test" in parts:
            shares = {"train": 0.85, "dev": 0.15}
        members = parts["train"]
        groups = [rows[i].key for i in members]
        if classes:
            _check_classes(groups, [classes[int(values[i])] for i in members], shares, path)
            strata = [int(values[i]) for i in members]
        else:
            strata = _quantiles([values[i] for i in members])
        divided = stratify(groups, strata, shares, seed)
        parts |= {part: [members[i] for i in chosen] for part, chosen in divided.items()}
        sizes = ", ".join(f"{len(parts[part])} {part}" for part in shares)
        message = f"The rows were divided into {sizes}, by split seed {seed}: all runs share them."
        findings.append(Finding("divided", message, {part: len(parts[part]) for part in shares}))
    parts = {part: parts[part] for part in ("train", "dev", "test") if part in parts}
    findings += audit.across(rows, parts)
    if "test" not in parts:
        message = "There is no test split: the verdict is from dev, on which epochs are chosen."
        findings.append(Finding("no-test", message, severity=audit.WARNING))
    return parts, findings


def _check_classes(
    groups: Sequence[tuple[str, ...]], names: Sequence[str], parts: Mapping[str, float], path: Path
) -> None:
    """Refuse a class with fewer different texts than there are parts."""
    texts = Counter(name for _, name in set(zip(groups, names, strict=True)))
    for name, count in sorted(texts.items()):
        if count < len(parts):
            raise InputError(
                f"class {name!r} has {count} different texts in {path}, too few to be in "
                f"{', '.join(parts)}: add rows of it, or remove it"
            )


def _quantiles(scores: Sequence[float]) -> list[int]:
    """The quantile of every score: ten of them, fewer where each would hold under ten rows."""
    bins = max(1, min(10, len(scores) // 10))
    strata = [0] * len(scores)
    for rank, row in enumerate(sorted(range(len(scores)), key=scores.__getitem__)):
        strata[row] = rank * bins // len(scores)
    return strata


def _check(
    parts: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    values: Sequence[float],
    path: Path,
) -> None:
    """Refuse splits from which nothing can be learnt, or in which nothing can be measured."""
    train = {values[i] for i in parts["train"]}
    if len(train) < 2:
        raise InputError(f"train of {path} has one label only: add rows of another to it")
    for part, members in parts.items():
        if not members:
            raise InputError(f"{path} leaves {part} empty: add rows with other texts")
        unknown = {values[i] for i in members} - train
        if classes and unknown:
            raise InputError(
                f"class {classes[int(min(unknown))]!r} is in {part} of {path}, but never in train: "
                "add rows of it to train, or remove it"
            )
