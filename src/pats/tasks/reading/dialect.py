"""How a delimited text is written: its separator, and what quotes mean in it."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from pats._errors import InputError
from pats.tasks.reading.encoding import MARK
from pats.tasks.reading.table import ABOVE, WARNING, are_names, title_rows

QUOTINGS = ("double", "backslash", "none")  # how a quote within a quoted cell is written, or that none is one

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_FIRST = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}  # the separator that a name promises
_EXCEL = re.compile(r"sep=(.)\r?(?:\n|\r|$)", re.IGNORECASE)
_SPACED = re.compile(r'[,;\t|] +"')
_LOOKED = 100  # lines among which a title is looked for, and what is below it
_FEW = 0.05  # the share of rows up to which rows of several lines look like a fault
_LONGEST = 1 << 28  # characters of a cell of a file that is not held whole


class Record(NamedTuple):
    """A row of cells, and the lines that it fills."""

    start: int
    end: int
    cells: list[str]


@dataclass(frozen=True)
class Dialect:
    """How to read a delimited text.

    Args:
        separator: Between cells.
        quoting: One of ``QUOTINGS``.
        spaced: Blanks after a separator are no part of a cell.
        skip: Lines before the header.
    """

    separator: str
    quoting: str = "double"
    spaced: bool = False
    skip: int = 0

    def records(self, lines: Iterable[str]) -> Iterator[Record]:
        """The rows that are not empty, read as they are asked for.

        Raises:
            csv.Error: A quote is where none may be, or is not closed.
        """
        plain = self.quoting == "none"
        lines = (line.removeprefix(MARK) for line in lines)
        if self.quoting == "backslash":  # else Python would drop that of \\N, and of a path
            escaped = re.compile(rf'\\(?:(["\\\r\n]|{re.escape(self.separator)})|)')
            lines = (escaped.sub(lambda one: one[0] if one[1] else r"\\", line) for line in lines)
        reader = csv.reader(
            lines,
            delimiter=self.separator,
            quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL,
            escapechar="\\" if self.quoting == "backslash" else None,
            skipinitialspace=self.spaced,
            strict=not plain,
        )
        start = 1
        for cells in reader:
            if cells and start > self.skip:
                yield Record(start, reader.line_num, cells)
            start = reader.line_num + 1


@dataclass
class Read:
    """A text as one dialect reads it.

    Args:
        dialect: The dialect.
        records: The rows, the header first, up to what does not fit.
        problem: What does not fit, in words; None if all does.
    """

    dialect: Dialect
    records: list[Record]
    problem: str | None = None

    @property
    def width(self) -> int:
        """Columns of the header."""
        return len(self.records[0].cells) if self.records else 0

    @property
    def spans(self) -> list[Record]:
        """The rows of several lines."""
        return [one for one in self.records if one.end > one.start]


@contextmanager
def long_cells(size: int = _LONGEST) -> Iterator[None]:
    """Lets ``csv`` read cells of any length; its limit is the process's own."""
    limit = csv.field_size_limit(max(csv.field_size_limit(), size))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def detect(
    text: str, name: str, suffix: str, quoting: str | None = None, partial: bool = False
) -> tuple[Read, list[str]]:
    """The dialect that fits a text, what it reads, and notes.

    The separator that the file's name promises is tried first, with quotes in cells doubled; the first
    dialect wins in which the header has several columns and every row has as many. Where none does, lines of
    one cell above a line of several are a title.

    Args:
        text: The text, or its beginning.
        name: What messages call it.
        suffix: What the file's name ends with.
        quoting: One of ``QUOTINGS``; None detects it.
        partial: The text is the beginning alone, whose last row may be cut.

    Raises:
        InputError: No dialect fits.
    """
    if quoting not in (None, *QUOTINGS):
        raise InputError(f"quoting is {quoting!r}, but must be one of {', '.join(QUOTINGS)}")
    excel = _EXCEL.match(text)
    promised = _FIRST.get(suffix, ",")
    separators = [excel[1]] if excel else sorted(_NAMES, key=lambda one: one != promised)
    start = 1 if excel else 0
    ways = [(separator, start) for separator in separators]
    ways += [(one, start + titles) for one in separators if (titles := _titles(text, one, start))]
    tried: list[Read] = []
    for separator, skip in ways:
        for dialect in _dialects(separator, quoting, text, skip):
            read = attempt(text, dialect, name, partial)
            asked = dialect.quoting == quoting
            fits = read.problem is None and read.width > 1 and not _under_a_title(read)
            if fits and (asked or not _quoted_all_the_same(read)):
                read, notes = (read, []) if asked else _literal_quotes(read, text, name, partial)
                return read, [*_said(read, promised, start, asked), *notes]
            if skip == start:
                tried.append(read)
    first = tried[0]
    if first.problem is None and all(read.width < 2 for read in tried):
        return first, []
    best = max(tried, key=lambda read: (read.width > 1, read.dialect == Dialect(promised, skip=start)))
    if best.problem is not None:
        raise InputError(best.problem)
    return best, []


def attempt(text: str, dialect: Dialect, name: str, partial: bool = False) -> Read:
    """What a dialect reads of a text, up to the first row that does not fit."""
    read = Read(dialect, [])
    with long_cells(len(text)):
        try:
            for record in dialect.records(io.StringIO(text, newline="")):
                read.records.append(fitted(record, read.width, name))
        except InputError as error:
            read.problem = str(error)
        except csv.Error as error:
            # The end of a beginning may be within quotes.
            if not (partial and "end of data" in str(error)):
                read.problem = broken(read.records[-1].end + 1 if read.records else 1, name, error)
    return read


def fitted(record: Record, width: int, name: str) -> Record:
    """A row with as many cells as the header; only blank cells are added or taken away.

    Args:
        record: The row.
        width: Columns of the header; 0 where this is the header.
        name: What messages call the file.

    Raises:
        InputError: It does not fit.
    """
    cells = record.cells
    if not width or len(cells) == width:
        return record
    if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
        return record._replace(cells=cells[:width])  # separators at the end
    if len(cells) < width and not any(cell.strip() for cell in cells):
        return record._replace(cells=[*cells, *[""] * (width - len(cells))])  # a row of blanks
    more = len(cells) > width
    title = "; if a title stands above the names of the columns, remove it" if record.start <= ABOVE else ""
    mend = (
        f" (a cell that holds the separator needs quotes){title}"
        if more
        else ", or get the file again if it is cut"
    )
    columns = f"{len(cells)} columns, but its header has {width}"
    raise InputError(f"line {record.start} of {name} has {columns}: mend the row{mend}")


def broken(start: int, name: str, error: csv.Error) -> str:
    """What to say of a row whose quotes are wrong."""
    return (
        f"the row from line {start} of {name} on is broken ({error}): mend its quotes, get the file again if "
        "it is cut, or say --quoting none if quotes are plain characters in it"
    )


def _titles(text: str, separator: str, start: int) -> int:
    """The lines, after those at the start, above the names of the columns; 0 if none."""
    lines = islice(io.StringIO(text, newline=""), start, start + _LOOKED)
    with long_cells(len(text)):
        rows = [next(csv.reader([line], delimiter=separator), [""]) for line in lines]
    return title_rows(rows, ABOVE)


def _under_a_title(read: Read) -> bool:
    """Whether the row that was read as the header seems to be a title or a remark.

    Two names alone are left out or more, or one of two beside a title of several words.
    """
    rows = [record.cells for record in read.records[:_LOOKED]]
    header = rows[0]
    lacking = sum(not cell.strip() for cell in header)
    title = lacking > 1 or (lacking == 1 == read.width - 1 and " " in header[0].strip())
    above = title_rows(rows, ABOVE) if title or header[0].startswith("# ") else 0
    return above > 0 and are_names(rows[above], rows[above + 1 :])


def _dialects(separator: str, quoting: str | None, text: str, skip: int) -> Iterator[Dialect]:
    spaced = _SPACED.search(text) is not None
    if quoting in (None, "double"):
        if not (
            spaced and re.search(rf'{re.escape(separator)} +"[^"]*" *({re.escape(separator)}|[\r\n]|$)', text)
        ):
            yield Dialect(separator, skip=skip)
        if spaced:
            yield Dialect(separator, spaced=True, skip=skip)
    if quoting == "backslash" or (quoting is None and '\\"' in text):
        yield Dialect(separator, "backslash", spaced, skip)
    if quoting == "none" or (quoting is None and separator == "\t"):  # such as GLUE's
        yield Dialect(separator, "none", skip=skip)


def _quoted_all_the_same(read: Read) -> bool:
    """Whether there are quotes around many cells of a text that was read as if they were plain characters."""
    if read.dialect.quoting != "none":
        return False
    around = sum(
        any(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in record.cells) for record in read.records
    )
    return 2 * around > len(read.records)


def _literal_quotes(read: Read, text: str, name: str, partial: bool) -> tuple[Read, list[str]]:
    """Tell a text with quotes that are plain characters by rows that would hold other rows.

    A cell of several lines in which every line has the separators of a whole row has swallowed rows: a quote
    is plain, or one is missing.
    """
    if read.dialect.quoting == "none" or not read.spans:
        return read, []
    separator = read.dialect.separator
    lines = text.splitlines() if text.isascii() else re.split(r"\r\n|\n|\r", text)
    swallowed = [
        span
        for span in read.spans
        if all(line.count(separator) == read.width - 1 for line in lines[span.start - 1 : span.end])
    ]
    if not swallowed:
        return read, []
    plain = attempt(text, replace(read.dialect, quoting="none"), name, partial)
    if separator == "\t" and plain.problem is None and not _quoted_all_the_same(plain):
        return plain, []
    if len(swallowed) > max(1, _FEW * len(read.records)):  # a quote is seldom missing, line ends may be usual
        return read, []
    return read, [
        f"{WARNING}The row in lines {swallowed[0].start} to {swallowed[0].end} is one because of its "
        "quotes, but each of these lines looks like a row: look whether a quote is missing (--quoting none "
        "takes quotes for plain characters)."
    ]


def _said(read: Read, promised: str, start: int, asked: bool) -> list[str]:
    dialect = read.dialect
    notes = []
    if dialect.separator != promised:
        separator = _NAMES.get(dialect.separator, repr(dialect.separator))
        notes.append(f"The separator is a {separator}{', as its first line says' * bool(start)}.")
    if dialect.skip > start:
        line = read.records[0].start
        notes.append(f"{WARNING}The names of the columns are in line {line}: what is above is a title.")
    if dialect.quoting == "none" and not asked:
        notes.append(
            f"{WARNING}Quotes are read as plain characters: with quotes around cells, the rows do not fit "
            "(--quoting overrides this)."
        )
    if dialect.quoting == "backslash" and not asked:
        notes.append("Quotes within cells are written with a backslash (--quoting overrides this).")
    if dialect.spaced:
        notes.append("Blanks before cells in quotes are no part of them.")
    return notes
