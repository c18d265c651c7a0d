"""fastText's format: a text a line, behind its labels, each of which begins with ``__label__``."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from pats.tasks.reading.encoding import decode, detect, numbered_lines
from pats.tasks.reading.source import Source
from pats.tasks.reading.table import Table

_LABEL = re.compile(r"(?<!\S)__label__(\S+)[ \t]?")  # fastText finds them anywhere in a line
_MARKED = re.compile(r"(^|[^\t]* )__label__[^\s,;|]+([ \t]|$)")
_HALF, _MOSTLY = 0.5, 0.8  # the share of lines with a label, if the first one has it, and if not
_LINES = 100  # that are looked at
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NOTE = "Each line is a text behind its labels, as fastText writes them."


def is_it(sample: bytes) -> bool:
    """Whether a file begins so: most of its lines have a label, in front of a text or behind one."""
    codec = next((codec for mark, codec in _WIDE.items() if sample.startswith(mark)), "utf-8-sig")
    looked = [line for line in sample.decode(codec, "ignore").splitlines()[:_LINES] if line.strip()]
    marked = [_MARKED.match(line) is not None for line in looked]
    least = (_HALF if marked[:1] == [True] else _MOSTLY) * len(looked)
    return sum(marked) >= least > 0 and any(_LABEL.sub("", line).strip() for line in looked)


def read(source: Source) -> Table:
    """The whole table: the columns ``text`` and ``label``, which holds lists where a text has several.

    Raises:
        InputError: It is no text.
    """
    text, notes = decode(source.whole(), source.name)
    every = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    table = _table(
        source, [(place, line) for place, line in every if line.strip()], [*source.notes, *notes, _NOTE]
    )
    labels = table.cells["label"]
    if any(len(own) > 1 for own in labels):
        return table
    return replace(table, cells={**table.cells, "label": [own[0] if own else None for own in labels]})


def stream(source: Source, size: int) -> Iterator[Table] | None:
    """The table in batches; None where it has to be read whole: it is not UTF-8, or of an old Mac.

    Several labels of a text are one cell, apart from each other by blanks.

    Raises:
        InputError: A line is no text.
    """
    sample = source.start(1 << 16)
    codec = detect(sample, source.name, partial=True).codec
    feeds = b"\n" in sample or b"\r" not in sample
    return _batches(source, size) if feeds and codec in ("utf-8", "utf-8-sig") else None


def _batches(source: Source, size: int) -> Iterator[Table]:
    full = numbered_lines(source.file, source.name)
    notes = [*source.notes, _NOTE]
    while batch := list(islice(full, size)):
        table = _table(source, batch, notes)
        yield replace(table, cells={**table.cells, "label": [" ".join(own) for own in table.cells["label"]]})
        notes = []


def _table(source: Source, numbered: Sequence[tuple[int, str]], notes: list[str]) -> Table:
    texts: list[Any] = []
    labels: list[Any] = []
    for _, line in numbered:
        texts.append(_LABEL.sub("", line).strip())
        labels.append(_LABEL.findall(line))
    return Table(source.name, {"text": texts, "label": labels}, [place for place, _ in numbered], notes=notes)
