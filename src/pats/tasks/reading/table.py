"""A table as it was read: raw cells by column, and the place of every row for messages."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from pats._errors import InputError, did_you_mean
from pats.tasks._text import encodable

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
        if all(filled):
            return self
        cells = {name: list(compress(column, filled)) for name, column in self.cells.items()}
        return Table(self.name, cells, list(compress(self.places, filled)), self.unit, self.notes)

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
                    f"{type(cell).__name__}: name a column of plain texts"
                )
        return ["" if cell is None else str(cell) for cell in cells]


def blank(cell: Any) -> bool:
    """Whether nothing is in a cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def framed(
    name: str, header: Sequence[str], rows: Sequence[Sequence[Any]], places: Sequence[int], unit: str = "line"
) -> Table:
    """The table of a header and rows of its length.

    Several last columns without a name and without a cell are left out, as spreadsheets write them.

    Raises:
        InputError: Two columns have the same name.
    """
    header = unique(trimmed(header, rows), name)
    return Table(name, {one: [row[i] for row in rows] for i, one in enumerate(header)}, places, unit)


def trimmed(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Sequence[str]:
    """The header without its last columns, where several have no name and no cell."""
    width = len(header)
    while width and not header[width - 1].strip() and all(blank(row[width - 1]) for row in rows):
        width -= 1
    return header if len(header) - width < 2 else header[:width]


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
