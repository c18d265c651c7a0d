"""A table as it was read: raw cells by column, and the place of every row for messages."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from pats._errors import InputError, did_you_mean
from pats.tasks._text import encodable

ABOVE = 5  # rows among which the names of the columns are, remarks left out
_SPILT = 0.1  # the share of rows that hold something in columns without a name
_NAME, _LOOKED = 60, 200  # characters of a name at most; rows below it that are looked at
JOINT = "\n"  # between the cells of several columns that make one text
WARNING = "Warning: "  # how a note begins that results may depend on


@dataclass(frozen=True)
class Table:
    """A table, or a batch of one.

    Args:
        name: What messages call it: its path, or what it is.
        cells: The cells of every column, as they were read: text from a text file; None where there is none.
        places: The line, row or record number of every row.
        unit: What the places count.
        notes: What was detected while reading, in sentences; what may mislead begins with ``"Warning: "``.

    Raises:
        InputError: The name of a column is no Unicode.
    """

    name: str
    cells: Mapping[str, Sequence[Any]]
    places: Sequence[int]
    unit: str = "line"
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not all(map(encodable, self.cells)):
            raise InputError(
                f"{self.name} has half a character (a lone surrogate) in the name of a column: mend that name"
            )

    def __len__(self) -> int:
        return len(self.places)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.cells)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Every row as a mapping from column to cell."""
        for row in zip(*self.cells.values(), strict=True):
            yield dict(zip(self.cells, row, strict=True))

    def line(self, row: int) -> str:
        """The place of a row in words, such as ``"line 7 of reviews.csv"``; rows count from 0."""
        return f"{self.unit} {self.places[row]} of {self.name}"

    def without_blank_rows(self) -> "Table":
        """The table without the rows in which every cell is empty or blank."""
        filled = [any(not blank(cell) for cell in row) for row in zip(*self.cells.values(), strict=True)]
        return self if all(filled) else self._with(filled)

    def without(self, rows: Collection[int]) -> "Table":
        """The table without some rows, which count from 0."""
        return self._with([row not in rows for row in range(len(self))])

    def _with(self, kept: Sequence[bool]) -> "Table":
        cells = {name: list(compress(column, kept)) for name, column in self.cells.items()}
        return Table(self.name, cells, list(compress(self.places, kept)), self.unit, self.notes)

    def column(self, name: str) -> Sequence[Any]:
        """The cells of a column.

        Raises:
            InputError: There is no such column; those that there are are listed.
        """
        if name not in self.cells:
            perhaps = did_you_mean(name, self.cells)
            raise InputError(
                f"{self.name} has no column {name!r}{perhaps}: its columns are {', '.join(self.cells)}"
            )
        return self.cells[name]

    def texts(self, name: str | Sequence[str]) -> list[str]:
        """The cells of a column as text: a missing one is empty, a number is written out.

        Args:
            name: The column; several are joined by a line feed, without those that are blank.

        Raises:
            InputError: There is no such column, or a cell is a list or an object.
        """
        if not isinstance(name, str):
            parts = zip(*(self.texts(one) for one in name), strict=True)
            return [JOINT.join(part for part in row if part.strip()) for row in parts]
        cells = self.column(name)
        for row, cell in enumerate(cells):
            if isinstance(cell, list | dict | bytes):
                raise InputError(
                    f"{self.line(row)} has no text in column {name!r} but a "
                    f"{type(cell).__name__}: name a column of plain texts, or write what is in it as columns"
                )
        return ["" if cell is None else str(cell) for cell in cells]


def blank(cell: Any) -> bool:
    """Whether nothing is in a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def framed(
    name: str, header: Sequence[str], rows: Sequence[Sequence[Any]], places: Sequence[int], unit: str = "line"
) -> Table:
    """The table of a header and rows of its length; see ``named`` for what is left out.

    Raises:
        InputError: Two columns have the same name.
    """
    header, notes = named(header, rows, name)
    cells = {one: [row[i] for row in rows] for i, one in enumerate(header)}
    return Table(name, cells, places, unit, notes)


def title_rows(rows: Sequence[Sequence[Any]], most: int | None = None) -> int:
    """How many rows at the top are above the names of the columns, as a title is.

    That is rows of one cell or none above one of more; remarks that begin with ``#``; and rows with half as
    many cells at most as the row of names, such as the merged cells of two-storey headers. A row of names has
    words alone, each another, which do not recur below.

    Args:
        rows: The rows, from the first one on.
        most: Rows of one cell up to which they may be a title; None is any number.
    """
    filled = [sum(not blank(cell) for cell in row) for row in rows]
    remarks = 0
    while remarks < len(rows) and (not filled[remarks] or str(rows[remarks][0]).startswith("#")):
        remarks += 1
    first = next((i for i in range(remarks, len(rows)) if filled[i] > 1), None)
    if first is None or (most is not None and first - remarks > most):
        return 0
    top = range(first, min(first + ABOVE, len(rows)))
    widest = max(top, key=filled.__getitem__)
    above = all(filled[i] <= filled[widest] / 2 for i in range(first, widest))
    return widest if widest > first and above and are_names(rows[widest], rows[widest + 1 :]) else first


def are_names(row: Sequence[Any], below: Sequence[Sequence[Any]]) -> bool:
    """Whether a row may be the names of the columns: words, each another, which do not recur below."""
    cells = [str(cell).strip() for cell in row if not blank(cell)]
    if len(set(cells)) < len(cells) or not all(isinstance(cell, str) for cell in row if not blank(cell)):
        return False
    if any(len(cell) > _NAME or cell.replace(".", "").replace(",", "").isdigit() for cell in cells):
        return False
    columns = zip(*(one[: len(row)] for one in below[:_LOOKED] if len(one) >= len(row)), strict=True)
    return not any(cell in column for cell, column in zip(row, columns, strict=False) if not blank(cell))


def named(header: Sequence[str], rows: Sequence[Sequence[Any]], name: str) -> tuple[Sequence[str], list[str]]:
    """The names of the columns, and notes about what is left out.

    Several last columns without a name are left out where few rows hold something there, as spreadsheets and
    rows that spill over write them.

    Raises:
        InputError: Two columns have the same name.
    """
    width = len(header)
    while width and not header[width - 1].strip():
        width -= 1
    beyond = len(header) - width
    held = sum(any(not blank(cell) for cell in row[width : len(header)]) for row in rows)
    notes: list[str] = []
    if beyond > 1 and held <= _SPILT * len(rows):
        header = header[:width]
    if held and len(header) == width:
        notes.append(
            f"{WARNING}{beyond} columns without a name are not read, into which {held} of {len(rows)} rows "
            "reach: look whether their texts are cut, as where a quote is missing."
        )
    try:
        return unique(header, name), notes
    except InputError as error:
        if rows and len(rows[0]) >= len(header) and are_names(rows[0], rows[1:]):
            raise InputError(f"{error}; or keep one row of names, if there are two") from None
        raise


def unique(header: Sequence[str], name: str) -> Sequence[str]:
    """The header, if no name is in it twice.

    Raises:
        InputError: One is.
    """
    for one, count in Counter(header).items():
        if count > 1:
            places = ", ".join(str(place) for place, other in enumerate(header, 1) if other == one)
            named = f"named {one!r}" if one.strip() else "without a name"
            raise InputError(f"{name} has {count} columns {named} ({places}): rename or remove all but one")
    return header
