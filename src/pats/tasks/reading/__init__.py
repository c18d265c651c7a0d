"""Reading tables: from any file that people have, from standard input, and from what Python holds.

``open_table`` reads a whole table, ``stream`` one that may be larger than memory. The file's name tells its
format, or its content where that cannot be mistaken. Cells of text files stay as they are written.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from pats._errors import InputError
from pats.tasks._text import encodable
from pats.tasks.reading import arrow, delimited, excel, fasttext, jsons
from pats.tasks.reading.dialect import QUOTINGS
from pats.tasks.reading.held import is_frame, is_pandas, of_python
from pats.tasks.reading.source import STDIN, Source, bare, opened
from pats.tasks.reading.table import JOINT, WARNING, Table, blank

__all__ = [
    "JOINT",
    "QUOTINGS",
    "STDIN",
    "SUFFIXES",
    "WARNING",
    "Table",
    "blank",
    "encodable",
    "is_frame",
    "is_pandas",
    "open_table",
    "readable",
    "stem",
    "stream",
]

_KINDS = {
    "delimited": (".csv", ".tsv", ".tab", ".txt"),
    "json": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".feather"),
    "excel": (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"),
}
SUFFIXES = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
_JSON = re.compile(rb'\[?\s*\{\s*"[^"]*"\s*:|\[\s*\[\s*"')
_DELIMITED = re.compile(rb'"?[A-Za-z_]\w*"?\s*[,;\t|]')
_OLE = b"\xd0\xcf\x11\xe0"  # what a workbook of Excel 97 begins with


def open_table(data: Any, *, quoting: str | None = None, sheet: str | None = None) -> Table:
    """Read a whole table.

    Args:
        data: A path; ``"-"`` for standard input; a frame of pandas, a table of Arrow or of anything that
            gives itself to Arrow; a list of records, or a mapping of columns.
        quoting: What quotes mean in a CSV or TSV, one of ``QUOTINGS``; None detects it.
        sheet: The sheet of a workbook; None takes the first that holds anything.

    Raises:
        InputError: It is missing, empty, damaged or cut, no table, or names a column twice.
    """
    if not isinstance(data, str | Path):
        table = of_python(data)
    else:
        with opened(data) as source:
            table = _read(source, _kind(source), quoting, sheet)
    return _filled(table)


def stream(
    path: Any, rows: int = 1024, *, quoting: str | None = None, sheet: str | None = None
) -> Iterator[Table]:
    """Read a table in batches, as they are asked for, so that it may be larger than memory.

    CSV, TSV, JSON with a record a line, Parquet and fastText are streamed; other formats are read whole, and
    given in batches. Every batch has all columns in order; one of JSON those of the records so far.

    Args:
        path: A path, ``"-"`` for standard input, or what ``open_table`` takes else.
        rows: Rows of a batch.
        quoting: What quotes mean in a CSV or TSV, one of ``QUOTINGS``; None detects it.
        sheet: The sheet of a workbook; None takes the first that holds anything.

    Raises:
        InputError: See ``open_table``; also in the middle, where a row is damaged.
    """
    if rows < 1:
        raise InputError(f"rows is {rows!r}, but must be a whole number from 1")
    if is_frame(path):
        yield from _cut(open_table(path), rows)
        return
    with opened(path) as source:
        kind = _kind(source)
        batches: Iterator[Table] | None = None
        if kind == "delimited":
            batches = delimited.stream(source, rows, quoting)
        elif kind == "parquet":
            batches = arrow.stream(source, rows)
        elif kind == "json":
            batches = jsons.stream(source, rows)
        elif kind == "fasttext":
            batches = fasttext.stream(source, rows)
        if batches is None:
            batches = _cut(_read(source, kind, quoting, sheet), rows)
        first = True
        for batch in batches:
            yield _filled(batch) if first else batch
            first = False


def readable(path: PurePath) -> bool:
    """Whether a file's name says that it is a table."""
    return bare(path).suffix.lower() in SUFFIXES


def stem(path: str | PurePath) -> str:
    """A file's name without its endings: ``reviews`` of ``reviews.csv.gz``."""
    inner = bare(path)
    return inner.stem if inner != PurePath(path) else PurePath(path).stem


def _kind(source: Source) -> str:
    """The format: content that cannot be mistaken wins, else the name says it."""
    start = source.start(512)
    if start[:4] == b"PAR1":
        return "parquet"
    if start[:6] == b"ARROW1":
        return "arrow"
    if start[:4] in (b"PK\x03\x04", _OLE):
        return "excel"
    kind = SUFFIXES.get(source.suffix)
    if kind in (None, "delimited") and fasttext.is_it(source.start(1 << 16)):
        return "fasttext"
    if kind is None and source.suffix:
        raise InputError(f"{source.name} is no table that can be read: use {', '.join(SUFFIXES)}")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:6].lower() in (b"<html>", b"<html ", b"<table", b"<!doct"):
        raise InputError(
            f"{source.name} is a page of HTML: open it in a spreadsheet, and save it as CSV in UTF-8"
        )
    if text[:4] in (b"%PDF", b"\x89PNG"):
        raise InputError(f"{source.name} is no table: save the table as CSV in UTF-8")
    if kind == "arrow" and b"\0" not in start:
        source.notes.append("The file is a text, and not of Arrow, in spite of its name.")
        return "json" if text[:1] in (b"{", b"[") else "delimited"
    if kind == "excel" and text:
        source.notes.append("The file is a text, and no workbook, in spite of its name.")
        return "delimited"
    if source.suffix in ("", ".txt") and text[:1] in (b"{", b"["):
        return "json"
    if kind == "delimited" and _JSON.match(text):
        source.notes.append("The file is JSON, in spite of its name.")
        return "json"
    if kind == "json" and _DELIMITED.match(text):
        source.notes.append("The file is a table with separators, and no JSON, in spite of its name.")
        return "delimited"
    return kind or "delimited"


def _read(source: Source, kind: str, quoting: str | None, sheet: str | None) -> Table:
    if kind == "json":
        return jsons.read(source)
    if kind == "parquet":
        return arrow.read(source)
    if kind == "arrow":
        return arrow.read_ipc(source)
    if kind == "excel":
        return excel.read(source, sheet)
    if kind == "fasttext":
        return fasttext.read(source)
    return delimited.read(source, quoting)


def _filled(table: Table) -> Table:
    if not len(table):
        raise InputError(f"{table.name} holds no rows: check that this is the file you mean")
    return table


def _cut(table: Table, size: int) -> Iterator[Table]:
    for start in range(0, max(len(table), 1), size):
        cells = {name: column[start : start + size] for name, column in table.cells.items()}
        notes = table.notes if not start else []
        yield Table(table.name, cells, table.places[start : start + size], table.unit, notes)
