"""Tables as they are written, piece by piece: CSV, TSV, JSON lines and Parquet.

A file appears under its name when it is whole. What is interrupted leaves nothing there.
"""

import csv
import io
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pats._errors import InputError
from pats.run.folder import owned
from pats.run.folder.files import beside, clean, refuse_link

FORMATS = ("csv", "tsv", "jsonl", "parquet")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula
_ABANDONED = 24 * 3600  # seconds after which an unfinished file is taken for that of a killed process

Columns = Mapping[str, Sequence[Any]]


class Writer(Protocol):
    """Takes the rows of a table, some at a time, with the same columns each time."""

    def write(self, columns: Columns) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write what ends the table."""


def format_of(path: Path) -> str:
    """The format that a file's ending names.

    Raises:
        InputError: It names none.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise InputError(
            f"{path} cannot be written: name a file that ends in .{', .'.join(FORMATS[:-1])} or "
            f".{FORMATS[-1]}"
        )
    return ending


def check(path: Path, force: bool) -> None:
    """Check that a file can be written, and that nothing is there unless it may be replaced.

    Raises:
        InputError: It cannot, or something is there.
    """
    if not force and os.path.lexists(path):
        refuse_link(path)
        raise InputError(f"{path} is there already: name another file with --out, or replace it with --force")
    owned.file(path, Path.is_file)


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which gets its name when the block ends without an exception."""
    clean(path.parent, [path.name], before=time.time() - _ABANDONED)
    temporary = beside(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def writer(file: BinaryIO, kind: str, defuse: bool = False, types: Mapping[str, Any] | None = None) -> Writer:
    """A writer of one of ``FORMATS``.

    Args:
        file: Where to.
        kind: The format.
        defuse: Put an apostrophe before cells that a spreadsheet would run (CSV and TSV).
        types: Arrow types of columns (Parquet); others are found in the first rows.
    """
    if kind == "parquet":
        return _Parquet(file, types or {})
    if kind == "jsonl":
        return _JsonLines(file)
    return _Delimited(file, "," if kind == "csv" else "\t", defuse)


class _Delimited:
    def __init__(self, file: BinaryIO, delimiter: str, defuse: bool) -> None:
        # The usual line ends of ``csv`` make it quote a carriage return within a cell.
        self._file, self._delimiter = file, delimiter
        self._cell = _defused if defuse else _cell
        self._headed = False

    def write(self, columns: Columns) -> None:
        text = io.StringIO()
        write = csv.writer(text, delimiter=self._delimiter).writerow
        if not self._headed:
            write([self._cell(name) for name in columns])
            self._headed = True
        for row in zip(*columns.values(), strict=True):
            write([self._cell(cell) for cell in row])
        self._file.write(text.getvalue().encode("utf-8", "replace"))

    def close(self) -> None:
        pass


class _JsonLines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, columns: Columns) -> None:
        for row in zip(*columns.values(), strict=True):
            cells = dict(zip(columns, map(_json, row), strict=True))
            line = json.dumps(cells, ensure_ascii=False, default=str)
            self._file.write(line.encode("utf-8", "replace") + b"\n")

    def close(self) -> None:
        pass


class _Parquet:
    def __init__(self, file: BinaryIO, types: Mapping[str, Any]) -> None:
        self._file, self._types = file, types
        self._writer: Any = None

    def write(self, columns: Columns) -> None:
        import pyarrow
        from pyarrow import parquet

        arrays = {}
        for name, cells in columns.items():
            kind = self._types.get(name)
            if kind is not None and pyarrow.types.is_string(kind):
                cells = [None if cell is None else _cell(cell) for cell in cells]
            arrays[name] = pyarrow.array(cells, type=kind)
        if self._writer is None:
            fields = [(name, array.type) for name, array in arrays.items()]
            self._schema = pyarrow.schema(fields)
            self._writer = parquet.ParquetWriter(self._file, self._schema)
        self._writer.write_table(pyarrow.table(list(arrays.values()), schema=self._schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def arrow_type(cells: Sequence[Any], before: Any = None) -> Any:
    """The Arrow type of a column's cells, together with that of the cells before; mixed ones are text."""
    import pyarrow

    try:
        kind = pyarrow.array(cells).type
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        return pyarrow.string()
    if before is None or pyarrow.types.is_null(before) or kind == before:
        return kind
    if pyarrow.types.is_null(kind):
        return before
    if {str(kind), str(before)} == {"int64", "double"}:
        return pyarrow.float64()
    return pyarrow.string()


def _cell(cell: Any) -> str:
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return "" if cell is None else str(cell)


def _defused(cell: Any) -> str:
    text = _cell(cell)
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)  # a negative number is no formula
    except ValueError:
        return f"'{text}"
    return text


def _json(cell: Any) -> Any:
    """A cell as JSON has it, whose numbers are finite."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
