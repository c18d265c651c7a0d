"""CSV, TSV and their kin."""

import csv
import io
from collections.abc import Iterator
from itertools import islice

from pats._errors import InputError
from pats.tasks.reading import dialect as dialects
from pats.tasks.reading.encoding import Encoding, damaged, decode, detect
from pats.tasks.reading.source import Source
from pats.tasks.reading.table import Table, framed, named

SAMPLE = 1 << 23  # bytes which show the encoding and dialect of a stream


def read(source: Source, quoting: str | None = None) -> Table:
    """The whole table.

    Raises:
        InputError: It is no text, or its rows do not fit its header.
    """
    text, notes = decode(source.whole(), source.name)
    found, said = dialects.detect(text, source.name, source.suffix, quoting)
    header, *rows = found.records or [dialects.Record(1, 1, [])]
    table = framed(source.name, header.cells, [row.cells for row in rows], [row.start for row in rows])
    table.notes[:0] = [*source.notes, *notes, *said]
    return table


def stream(source: Source, size: int, quoting: str | None = None) -> Iterator[Table]:
    """The table in batches, the file read as they are asked for; notes are with the first.

    Raises:
        InputError: See ``read``; also in the middle, where a row does not fit.
    """
    sample = source.start(SAMPLE)
    partial = len(sample) == SAMPLE
    encoding = detect(sample, source.name, partial)
    if partial and source.plain and encoding.codec == "utf-8" and sample.isascii():
        encoding = _further_on(source) or encoding
    beginning = sample.decode(encoding.codec, "ignore" if partial else "strict")
    if partial:
        beginning = beginning[: max(beginning.rfind("\n"), beginning.rfind("\r")) + 1] or beginning
    found, said = dialects.detect(beginning, source.name, source.suffix, quoting, partial)
    notes = [*source.notes, *([encoding.note] if encoding.note else []), *said]
    records = found.dialect.records(io.TextIOWrapper(source.file, encoding.codec, newline=""))
    header: list[str] = []
    line, width, first = 1, 0, True
    while True:
        batch: list[dialects.Record] = []
        try:
            with dialects.long_cells():
                for record in islice(records, size + (not header)):
                    line = record.end + 1
                    if header:
                        batch.append(dialects.fitted(record, width, source.name))
                    else:
                        below = [row.cells for row in found.records[1:]]
                        names, left_out = named(record.cells, below, source.name)
                        header, width, notes = list(names), len(record.cells), [*notes, *left_out]
        except csv.Error as error:
            raise InputError(dialects.broken(line, source.name, error)) from None
        except UnicodeDecodeError:
            raise damaged(line, source.name, encoding.codec) from None
        if not batch and not first:
            return
        columns = {name: [row.cells[i] for row in batch] for i, name in enumerate(header)}
        yield Table(source.name, columns, [row.start for row in batch], notes=notes if first else [])
        if len(batch) < size:
            return
        first = False


def _further_on(source: Source) -> Encoding | None:
    """The encoding by the first part of a file that is not ASCII; None where none is."""
    lines = 0
    try:
        while part := source.file.read(SAMPLE):
            if not part.isascii():
                return detect(part, source.name, partial=True, before=lines)
            lines += part.count(b"\n")
    finally:
        source.file.seek(0)
    return None
