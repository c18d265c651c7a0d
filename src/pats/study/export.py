"""A study's runs, or their evaluations, as one flat table in a CSV or Parquet file."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats.run.folder import owned
from pats.run.folder.files import write_atomic
from pats.run.result import Result
from pats.study.store.results import Store
from pats.study.watch import RunState, Watched

SUFFIXES = (".csv", ".parquet")
_IDENTITY = ("run_id", "task", "model", "label", "seed")
_ENVIRONMENT = (
    "time",
    "device",
    "accelerator",
    "precision",
    "cpu",
    "cores",
    "threads",
    "processes",
    "system",
    "python",
)

Row = dict[str, Any]


def write_table(store: Store, target: Path, *, epochs: bool = False) -> int:
    """Write every run of a study, or every evaluation of every run.

    A run's row has its place in the study, its state, scores (in the metric's own units), settings
    (``setting.*``, ``option.*``), seconds, environment and, where it failed, the reason. What a run
    does not have is empty. Numbers are written in full.

    Args:
        store: The study's store.
        target: The file, ``.csv`` or ``.parquet``; it appears whole.
        epochs: One row an evaluation in place of one a run.

    Returns:
        The number of rows.

    Raises:
        InputError: The file's name has another ending, what is there is no such table, or there is no study.
    """
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target} cannot be written: name a file that ends in {' or '.join(SUFFIXES)}")
    owned.file(target, _is_ours)
    rows = list(_evaluations(store) if epochs else _runs(store))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if target.suffix == ".csv":
        _write_csv(target, columns, rows)
    else:
        _write_parquet(target, columns, rows)
    return len(rows)


def _is_ours(target: Path) -> bool:
    """Whether a file is a table as it is written here."""
    if target.suffix == ".csv":
        with target.open("rb") as file:
            return file.readline(1000).decode("utf-8", "replace").split(",")[: len(_IDENTITY)] == [*_IDENTITY]
    import pyarrow
    from pyarrow import parquet

    try:
        names = parquet.read_schema(target).names
    except pyarrow.ArrowInvalid:
        return False
    return tuple(names[: len(_IDENTITY)]) == _IDENTITY


def _read(store: Store) -> Iterator[tuple[Row, RunState, Result | None]]:
    for state in Watched(store).look():
        identity = {name: getattr(state, name) for name in _IDENTITY}
        yield identity, state, store.result(state.run_id)


def _runs(store: Store) -> Iterator[Row]:
    for identity, state, result in _read(store):
        row = identity | {"state": state.state, "attempts": state.attempts, "error": state.error}
        if result is not None:
            row |= _scores(result) | _settings(result)
            row |= {f"seconds.{name}": value for name, value in result.timings.items()}
            row |= {name: result.environment.get(name) for name in _ENVIRONMENT}
        yield row


def _scores(result: Result) -> Row:
    best = None if result.best_epoch is None else result.epochs[result.best_epoch]
    row: Row = {
        "metric": result.metric,
        "dev.best": result.best,
        "dev.last": result.last,
        "best_epoch": None if best is None else best.epoch,
        "constant": result.degenerate,
    }
    row |= {} if best is None else {f"dev.{name}": value for name, value in best.metrics.items()}
    return row | {f"test.{name}": value for name, value in (result.test or {}).items()}


def _settings(result: Result) -> Row:
    row: Row = {}
    for name, value in result.run.to_dict().items():
        if name == "options":
            row |= {f"option.{key}": one for key, one in value.items()}
        elif isinstance(value, Mapping | list):
            row[f"setting.{name}"] = json.dumps(value)
        else:
            row[f"setting.{name}"] = value
    return row


def _evaluations(store: Store) -> Iterator[Row]:
    for identity, _, result in _read(store):
        for epoch in () if result is None else result.epochs:
            evaluation = {"epoch": epoch.epoch, "step": epoch.step, "train_loss": epoch.train_loss}
            yield identity | evaluation | {f"dev.{name}": value for name, value in epoch.metrics.items()}


def _write_csv(target: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(target, text.getvalue().encode())


def _write_parquet(target: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({name: _column([row.get(name) for row in rows]) for name in columns})
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    write_atomic(target, sink.getvalue().to_pybytes())


def _column(values: list[Any]) -> list[Any]:
    """Values of one type: an option may be a number in one row and a text in another."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return [value if value is None or kinds == {int} else float(value) for value in values]
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
