"""The rows that a study of a table is judged on, kept beside its results: their texts and groups."""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pats import _schema

LONGEST = 200  # characters of a text that a page shows


@dataclass(frozen=True)
class Rows:
    """The rows of one split, in the order of the predictions.

    Args:
        texts: The one or two texts of every row.
        groups: Its group; empty where there are none.
    """

    texts: tuple[tuple[str, ...], ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def words(self) -> list[int]:
        """How many words every row has, of both texts together."""
        return [sum(len(text.split()) for text in texts) for texts in self.texts]

    def shown(self, row: int) -> str:
        """The texts of a row in one line, cut where they are long."""
        line = " | ".join(" ".join(text.split()) for text in self.texts[row])
        return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def packed(splits: Sequence[tuple[str, Rows]]) -> bytes:
    """The file of some splits: ``split``, ``group``, ``text`` and ``text_pair`` of every row, compressed."""
    text = io.StringIO(newline="")
    table = csv.writer(text)  # whose usual line ends make it quote a carriage return within a text
    table.writerow(["split", "group", "text", "text_pair"])
    for name, rows in splits:
        for number, texts in enumerate(rows.texts):
            table.writerow([name, rows.groups[number] if rows.groups else "", *texts])
    file = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as out:
        out.write(text.getvalue().encode("utf-8", "surrogatepass"))
    return file.getvalue()


def read(path: Path) -> dict[str, Rows]:
    """The rows of a file by split; none where it is gone or damaged: a page can do without them."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    try:
        content = gzip.decompress(_schema.read(path)).decode("utf-8", "surrogatepass")
        lines = csv.reader(io.StringIO(content, newline=""))
        next(lines, None)
        for split, group, *texts in lines:
            found.setdefault(split, []).append((group, tuple(texts)))
    except (OSError, EOFError, ValueError, zlib.error, csv.Error):
        return {}
    return {
        split: Rows(
            tuple(texts for _, texts in rows),
            tuple(group for group, _ in rows) if any(group for group, _ in rows) else (),
        )
        for split, rows in found.items()
    }
