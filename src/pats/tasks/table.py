"""A user's own table: CSV, TSV, JSON lines or Parquet, with or without splits of its own."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pats._errors import InputError
from pats.tasks._data import Split, TaskData, stratify
from pats.tasks.folder import FORMATS, Table, read

MIN_ROWS = 20  # three parts of fewer rows measure nothing
MAX_CLASSES = 20  # more distinct whole numbers than these are scores

_NAMES = {"train": ("train", "training"), "dev": ("dev", "val", "valid", "validation")}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names} | {"test": "test"}
_SPLIT_COLUMNS = ("split", "fold")
_PAIRS = (
    *(("text", "text_pair"), ("text1", "text2"), ("text_a", "text_b")),
    *(("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis")),
    *(("question", "sentence"), ("question", "answer"), ("question", "context")),
)
_TEXTS = ("text", "sentence", "review", "content", "comment", "message", "question", "title")
_LABELS = ("label", "labels", "class", "target", "category", "score", "rating", "stars", "y")


class Columns(NamedTuple):
    """The columns of a table that are used."""

    text: str
    text_pair: str | None
    label: str | None


class _Row(NamedTuple):
    texts: tuple[str, ...]
    label: str  # empty where there is none
    place: str  # such as "line 7 of reviews.csv"
    split: str | None


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
    deterministic by ``seed``, and keep rows with the same texts together. A test split without any
    label is left out. Missing texts are empty. Everything guessed is said in the notes.

    Args:
        data: The table or folder.
        text: Column of the first text; None guesses both text columns by their usual names.
        text_pair: Column of the second text.
        label: Column of the label; None guesses it.
        kind: ``"classification"`` or ``"regression"``; None takes words and up to 20 distinct
            whole numbers for classes (in alphabetic or numeric order), other numbers for scores.
        seed: Seed of the split.

    Raises:
        InputError: The data are missing, damaged, unlabelled somewhere, or too few to split.
    """
    path = Path(data)
    tables = _tables(path)
    columns, notes = choose(next(iter(tables.values())), text, text_pair, label)
    rows = _rows(tables, columns, notes)
    if len(rows) < MIN_ROWS:
        raise InputError(f"{path} has {len(rows)} labelled rows: add some, {MIN_ROWS} are needed")
    classes, values = _labels(rows, kind, path, notes)
    parts = _parts(rows, classes, values, seed, path, notes)
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
    return TaskData(name, classes, splits, metrics[0], metrics, "table", tuple(notes))


def choose(
    table: Table,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    labelled: bool = True,
) -> tuple[Columns, list[str]]:
    """The columns to use, those not named guessed by usual names, and what to say about it.

    Args:
        table: The table.
        text: Column of the first text; None guesses it, and the second unless that is named.
        text_pair: Column of the second text.
        label: Column of the label; None guesses it.
        labelled: False where no label is needed.

    Raises:
        InputError: A named column is not there, none has a usual name, or one is named twice.
    """
    named = [name for name in (text, text_pair, label) if name is not None]
    for name in named:
        table.column(name)
    if len(set(named)) < len(named):
        raise InputError(f"text, text pair and label are {', '.join(named)}: name each column once")
    free = {name.lower(): name for name in table.columns if name not in named}
    notes: list[str] = []

    def guess(what: str, usual: Sequence[str], flag: str) -> str:
        name = next((name for name in usual if name in free), None)
        if name is None:
            raise InputError(
                f"{table.path} has no column with a usual name for its {what}: name one with "
                f"{flag}; its columns are {', '.join(table.columns)}"
            )
        notes.append(f"The {what} is column {free[name]!r}, by its name.")
        return free.pop(name)

    if label is None and labelled:
        label = guess("label", _LABELS, "--label")
    if text is None:
        pair = next((pair for pair in _PAIRS if pair[0] in free and pair[1] in free), None)
        rest = [name for name in free if name not in _SPLIT_COLUMNS]
        if text_pair is None and pair is not None:
            text = guess("text", pair[:1], "--text")
            text_pair = guess("second text", pair[1:], "--text-pair")
        else:
            # The only column left needs no usual name.
            text = guess("text", _TEXTS if len(rest) > 1 else rest, "--text")
    return Columns(text, text_pair, label), notes


def _tables(path: Path) -> dict[str | None, Table]:
    """The table under no split, or a folder's tables by split, train first."""
    if not path.is_dir():
        return {None: read(path)}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        split = _SPLITS.get(file.stem.lower())
        if split is not None and file.suffix.lower() in FORMATS:
            if split in found:
                raise InputError(f"{path} has {found[split].name} and {file.name}: keep one")
            found[split] = file
    if "train" not in found:
        raise InputError(
            f"{path} has no train table: put train.csv there (or {', '.join(FORMATS)}), or name "
            "the task if this is a GLUE folder"
        )
    if len(found) == 1:
        return {None: read(found["train"])}
    return {split: read(found[split]) for split in ("train", "dev", "test") if split in found}


def _rows(tables: Mapping[str | None, Table], columns: Columns, notes: list[str]) -> list[_Row]:
    """All examples, in the order of the files, without a test split that has no labels."""
    rows: list[_Row] = []
    for file_split, table in tables.items():
        texts = [table.texts(name) for name in columns[:2] if name is not None]
        count = len(table.places)
        if file_split == "test" and columns.label not in table.columns:
            labels = [""] * count
        else:
            labels = table.texts(str(columns.label))
        splits: Sequence[str | None] = [file_split] * count
        if file_split is None:
            splits = _split_column(table, columns, notes) or splits
        for i, words in enumerate(zip(*texts, strict=True)):
            rows.append(_Row(words, labels[i].strip(), table.where(i), splits[i]))
    tests = [row for row in rows if row.split == "test"]
    if tests and not any(row.label for row in tests):
        rows = [row for row in rows if row.split != "test"]
        notes.append(f"The test split has no labels: its {len(tests)} rows are left out.")
    for row in rows:
        if not row.label:
            raise InputError(f"{row.place} has no label: give it one, or remove the row")
    empty = sum(not any(text.strip() for text in row.texts) for row in rows)
    if empty:
        notes.append(f"{empty} rows have no text.")
    return rows


def _split_column(table: Table, columns: Columns, notes: list[str]) -> list[str] | None:
    """The split of every row, where the table has a column that says it."""
    for name in table.columns:
        if name.lower() not in _SPLIT_COLUMNS or name in columns:
            continue
        cells = [cell.strip() for cell in table.texts(name)]
        splits = [_SPLITS.get(cell.lower()) for cell in cells]
        if not any(splits):
            notes.append(f"Column {name!r} is not used: it does not hold {', '.join(_SPLITS)}.")
            continue
        for i, split in enumerate(splits):
            if split is None:
                raise InputError(
                    f"{table.where(i)} has {cells[i]!r} in column {name!r}: write one of {', '.join(_SPLITS)}"
                )
        notes.append(f"The splits are those of column {name!r}.")
        return [split for split in splits if split is not None]
    return None


def _labels(
    rows: Sequence[_Row], kind: str | None, path: Path, notes: list[str]
) -> tuple[tuple[str, ...], list[float]]:
    """Names of the classes (none for scores), and every row's class index or score."""
    if kind not in (None, "classification", "regression"):
        raise InputError(f"kind is {kind!r}, but must be classification or regression")
    numbers = [_number(row.label) for row in rows]
    scores = [number for number in numbers if number is not None]
    numeric = len(scores) == len(rows)
    for row, number in zip(rows, numbers, strict=True):
        if number is None and kind == "regression":
            raise InputError(f"{row.place} has the score {row.label!r}: write a number")
        # A class may bear the name "inf" among words, but "nan" is always a lost value.
        if number is not None and (math.isnan(number) or (numeric and math.isinf(number))):
            raise InputError(
                f"{row.place} has the label {row.label!r}: write a class or a finite number, or "
                "remove the row"
            )
    whole = numeric and all(score.is_integer() for score in scores)
    distinct = len(set(scores) if numeric else {row.label for row in rows})
    if kind is None:
        kind = "regression" if numeric and not (whole and distinct <= MAX_CLASSES) else "classification"
        what = f"{distinct} different {'whole ' if whole else ''}{'numbers' if numeric else 'names'}"
        notes.append(f"The labels are {what}: this is {kind}; kind (--kind) overrides it.")
    if distinct < 2:
        raise InputError(
            f"{path} has one label only, {rows[0].label!r}: there is nothing to learn, add rows of another"
        )
    if kind == "regression":
        return (), scores
    keys: Sequence[Any] = scores if numeric else [row.label for row in rows]
    index = {key: float(place) for place, key in enumerate(sorted(set(keys)))}
    return tuple(str(int(key) if whole else key) for key in index), [index[key] for key in keys]


def _number(label: str) -> float | None:
    try:
        return None if "_" in label else float(label)  # Python reads "1_0" as ten
    except ValueError:
        return None


def _parts(
    rows: Sequence[_Row],
    classes: Sequence[str],
    values: Sequence[float],
    seed: int,
    path: Path,
    notes: list[str],
) -> dict[str, list[int]]:
    """Rows of every split: those that the data bring, the missing ones divided off by seed."""
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
        groups = [rows[i].texts for i in members]
        if classes:
            _check_classes(groups, [classes[int(values[i])] for i in members], shares, path)
            strata = [int(values[i]) for i in members]
        else:
            strata = _quantiles([values[i] for i in members])
        divided = stratify(groups, strata, shares, seed)
        parts |= {part: [members[i] for i in chosen] for part, chosen in divided.items()}
        sizes = ", ".join(f"{len(parts[part])} {part}" for part in shares)
        notes.append(f"The rows were divided into {sizes}, by seed {seed}.")
    seen = {rows[i].texts for i in parts["train"]}
    for part in ("dev", "test"):
        count = sum(rows[i].texts in seen for i in parts.get(part, ()))
        if count:
            notes.append(f"{count} rows of {part} have the same text as a row of train.")
    if "test" not in parts:
        notes.append("There is no test split: the verdict is from dev, on which epochs are chosen.")
    return {part: parts[part] for part in ("train", "dev", "test") if part in parts}


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
