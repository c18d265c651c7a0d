"""A real table: what is known of it, how it is cut and split, and its files.

A source gives more rows than a table has. Texts that differ in case, blanks and Unicode form alone count
once, and not at all where their labels differ. Of the rest, in alphabetic order, ``Random(0)`` draws the
table. Classes with fewer than ``RAREST`` rows are left out, since each part needs some. Each of the splits is
70/15/15, stratified by class or by fifths of the score; its number is its seed. Test rows that a table brings
are the same in all splits, which divide the others 85/15.
"""

import csv
import dataclasses
import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from sklearn.model_selection import train_test_split

from pats._schema import build, parse
from pats.run.folder.files import write_atomic
from pats.tasks.judging import UNEVEN

Kind = Literal["classes", "scores", "labels"]
METRICS = ("accuracy", "macro-F1", "Spearman", "micro-F1")
RAREST = 10
SHARE = 0.15  # of dev, and of test
INDEX = "tables.json"
SEPARATOR = ", "  # between the labels of a row with several


class Example(NamedTuple):
    """A row: one text or two, and its label as it stands in the file."""

    texts: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class About:
    """What a person should know of a table before anything is measured.

    Args:
        name: Of the table.
        kind: Of its labels: one class a row, a score, or several labels.
        source: Where the texts and labels come from.
        licence: Of the texts, as the source gives it.
        covers: What is special: pairs, many classes, uneven, another language and so on.
        quality: How far the labels can be trusted, from looking at rows.
        rows: How many at most, test rows of a table that brings them apart.
        language: Of the texts.
    """

    name: str
    kind: Kind
    source: str
    licence: str
    covers: str
    quality: str
    rows: int = 1000
    language: str = "English"


@dataclass(frozen=True)
class Table:
    """A table that was built, as the index lists it.

    Args:
        about: What it is.
        rows: How many.
        classes: How many; None for scores.
        largest: Share of the largest class, None for scores.
        pair: Whether rows have two texts.
        metric: What it is judged by.
        sha256: Of ``table.csv``.
        words: Median words of a row.
        counts: Rows of every class.
    """

    about: About
    rows: int
    classes: int | None
    largest: float | None
    pair: bool
    metric: str
    sha256: str
    words: int
    counts: dict[str, int] = field(default_factory=dict)


def key(texts: Iterable[str]) -> str:
    """What texts have in common that count as the same."""
    return "\n".join(" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts)


def cleaned(examples: Iterable[Example]) -> list[Example]:
    """Every text once and with one label, in alphabetic order."""
    found: dict[str, list[Example]] = {}
    for example in examples:
        if example.label and all(text.strip() for text in example.texts):
            found.setdefault(key(example.texts), []).append(example)
    agreed = (same for same in found.values() if len({example.label for example in same}) == 1)
    return sorted(min(same) for same in agreed)


def cut(about: About, examples: Iterable[Example], test: Sequence[Example] = ()) -> list[Example]:
    """The table's own rows of all that a source gives; none of them stands in test."""
    taken = {key(example.texts) for example in test}
    rows = [example for example in cleaned(examples) if key(example.texts) not in taken]
    rows = Random(0).sample(rows, min(about.rows, len(rows)))
    if about.kind == "scores":
        return rows
    counts = Counter(label for row in rows for label in labels(about, row.label))
    kept = []
    for row in rows:
        own = [label for label in labels(about, row.label) if counts[label] >= RAREST]
        if own:
            kept.append(Example(row.texts, SEPARATOR.join(own)))
    return kept


def labels(about: About, cell: str) -> list[str]:
    """The labels in a cell."""
    return cell.split(SEPARATOR) if about.kind == "labels" else [cell]


def strata(about: About, rows: Sequence[Example]) -> list[str]:
    """What rows are stratified by; groups too small to be in three parts join the largest."""
    if about.kind == "scores":
        ordered = sorted(float(row.label) for row in rows)
        edges = [ordered[len(ordered) * fifth // 5] for fifth in range(1, 5)]
        groups = [str(sum(float(row.label) >= edge for edge in edges)) for row in rows]
    else:
        counts = Counter(label for row in rows for label in labels(about, row.label))
        groups = [max(labels(about, row.label), key=lambda label: (counts[label], label)) for row in rows]
    sizes = Counter(groups)
    largest = max(sizes, key=lambda group: (sizes[group], group))
    return [group if sizes[group] >= 7 else largest for group in groups]


def divide(
    about: About, rows: Sequence[Example], test: Sequence[Example], seed: int
) -> dict[str, list[Example]]:
    """Train, dev and test rows of a split."""
    size, parts = round(SHARE * len(rows)), {"test": [*test]}
    places, groups = [*range(len(rows))], strata(about, rows)
    if not test:
        places, held = train_test_split(places, test_size=size, stratify=groups, random_state=seed)
        parts["test"] = [rows[place] for place in held]
    here = [groups[place] for place in places]
    train, dev = train_test_split(places, test_size=size, stratify=here, random_state=seed)
    return {"train": [rows[i] for i in train], "dev": [rows[i] for i in dev], **parts}


def write(
    folder: Path, about: About, examples: Iterable[Example], test: Iterable[Example], splits: int
) -> Table:
    """Write a table and its splits into a folder of its name."""
    held = cleaned(test)
    held = Random(0).sample(held, min(1000, len(held)))
    rows = cut(about, examples, held)
    if not rows:
        raise SystemExit(f"{about.name} has no rows: its source is not what it was")
    home = folder / about.name
    home.mkdir(parents=True, exist_ok=True)
    _csv(home / "table.csv", ((row, "") for row in (*rows, *held)))
    for seed in range(splits):
        parts = divide(about, rows, held, seed)
        _csv(split_file(folder, about.name, seed), ((row, part) for part in parts for row in parts[part]))
    return described(about, [*rows, *held], hashlib.sha256((home / "table.csv").read_bytes()).hexdigest())


def described(about: About, rows: Sequence[Example], sha256: str) -> Table:
    """What the index says of a table."""
    words = sorted(sum(len(text.split()) for text in row.texts) for row in rows)[len(rows) // 2]
    pair = len(rows[0].texts) == 2
    if about.kind == "scores":
        return Table(about, len(rows), None, None, pair, "Spearman", sha256, words)
    counts = Counter(label for row in rows for label in labels(about, row.label))
    uneven = max(counts.values()) >= UNEVEN * min(counts.values())
    metric = "micro-F1" if about.kind == "labels" else "macro-F1" if uneven else "accuracy"
    largest = round(max(counts.values()) / len(rows), 4)
    return Table(
        about, len(rows), len(counts), largest, pair, metric, sha256, words, dict(counts.most_common())
    )


def split_file(folder: Path, name: str, seed: int) -> Path:
    """The table of a split, with a column that says which part a row is in."""
    return folder / name / f"{name}-{seed}.csv"


def _csv(path: Path, rows: Iterable[tuple[Example, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number, (row, part) in enumerate(rows):
            if number == 0:
                names = ["text"] if len(row.texts) == 1 else ["sentence1", "sentence2"]
                writer.writerow([*names, "label", *(["split"] if part else [])])
            texts = (" ".join(text.split()) for text in row.texts)
            writer.writerow([*texts, row.label, *([part] if part else [])])


def index(folder: Path) -> dict[str, Table]:
    """The tables that were built in a folder."""
    path = folder / INDEX
    if not path.exists():
        return {}
    return {table.about.name: table for table in build(tuple[Table, ...], parse(path.read_bytes()))}


def enter(folder: Path, table: Table) -> None:
    """Put a table into the folder's index."""
    tables = index(folder) | {table.about.name: table}
    content = [dataclasses.asdict(tables[name]) for name in sorted(tables)]
    write_atomic(folder / INDEX, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
