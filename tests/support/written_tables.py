"""Tables as a prediction reads and writes them."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def read_back(path: Path) -> list[dict[str, Any]]:
    """The rows of a written table, as its own format has them."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    separator = "\t" if path.suffix == ".tsv" else ","
    return list(csv.DictReader(path.open(newline=""), delimiter=separator))
