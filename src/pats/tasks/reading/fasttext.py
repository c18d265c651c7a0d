"""fastText's format: a text a line, behind its labels, each of which begins with ``__label__``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pats.tasks.reading.encoding import damaged, decode, detect
from pats.tasks.reading.source import Source
from pats.tasks.reading.table import Table

BEGINS = re.compile(rb"__label__[^\s,;|]+[ \t]")
_LABEL = re.compile(r"(?<!\S)__label__(\S+)[ \t]?")  # fastText finds them anywhere in a line
_NOTE = "Each line is a text behind its labels, as fastText writes them."


def read(source: Source) -> Table:
    """The whole table: the columns ``text`` and ``label``, which holds lists where a text has several.

    Raises:
        InputError: It is no text.
    """
    text, notes = decode(source.whole(), source.name)
    lines = [(place, line) for place, line in enumerate(text.split("\n"), 1) if line.strip()]
    table = _table(source, lines, [*source.notes, *notes, _NOTE])
    labels = table.cells["label"]
    if any(len(own) > 1 for own in labels):
        return table
    return replace(table, cells={**table.cells, "label": [own[0] if own else None for own in labels]})


def stream(source: Source, size: int) -> Iterator[Table] | None:
    """The table in batches; None where the encoding is not UTF-8, and the table has to be read whole.

    Several labels of a text are one cell, apart from each other by blanks.

    Raises:
        InputError: A line is no text.
    """
    codec = detect(source.start(1 << 16), source.name, partial=True).codec
    return _batches(source, size) if codec in ("utf-8", "utf-8-sig") else None


def _batches(source: Source, size: int) -> Iterator[Table]:
    full = ((place, line) for place, line in enumerate(source.file, 1) if line.strip())
    notes = [*source.notes, _NOTE]
    while batch := list(islice(full, size)):
        table = _table(source, [(place, _decoded(line, place, source.name)) for place, line in batch], notes)
        yield replace(table, cells={**table.cells, "label": [" ".join(own) for own in table.cells["label"]]})
        notes = []


def _decoded(line: bytes, place: int, name: str) -> str:
    try:
        return line.decode("utf-8-sig" if place == 1 else "utf-8")
    except UnicodeDecodeError:
        raise damaged(place, name, "utf-8") from None


def _table(source: Source, lines: Sequence[tuple[int, str]], notes: list[str]) -> Table:
    texts: list[Any] = []
    labels: list[Any] = []
    for _, line in lines:
        texts.append(_LABEL.sub("", line).strip())
        labels.append(_LABEL.findall(line))
    return Table(source.name, {"text": texts, "label": labels}, [place for place, _ in lines], notes=notes)
