"""Workbooks: .xlsx, .xls, .xlsb and .ods, through calamine."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pats._errors import InputError
from pats._imports import try_import
from pats.tasks.reading.source import Source, seekable
from pats.tasks.reading.table import WARNING, Table, blank, framed, title_rows

_DIGITS, _LARGEST = 10**15, 2**53  # from which on Excel rounds numbers that are typed, and any double


def read(source: Source, sheet: str | None = None) -> Table:
    """One sheet: the one that was named, else the first that holds anything.

    Whole numbers lose the ``.0`` with which a workbook keeps them; dates are written as ISO 8601.

    Raises:
        InputError: It is no workbook, is damaged or has no such sheet.
    """
    calamine: Any = try_import("python_calamine", "excel")
    try:
        book = calamine.CalamineWorkbook.from_filelike(seekable(source))
        shown = _worksheets(book, calamine)
        sheets = {name: book.get_sheet_by_name(name) for name in shown}
    except (calamine.CalamineError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{source.name} cannot be read as a workbook ({reason}): it is damaged, cut or has a password; "
            "save it again, or export the sheet as CSV"
        ) from None
    if sheet is not None and sheet not in sheets:
        raise InputError(f"{source.name} has no sheet {sheet!r}: its sheets are {', '.join(sheets)}")
    heights = {name: one.height for name, one in sheets.items()}
    # One row is a remark, and no table.
    filled = [name for name in heights if heights[name] > 1] or [name for name in heights if heights[name]]
    filled = [name for name in filled if shown[name]] or filled or list(sheets)
    if not filled:
        raise InputError(f"{source.name} has no sheet: check that this is the file you mean")
    table = _sheet(sheets[sheet or filled[0]], source.name)
    table.notes.extend(source.notes)
    others = [repr(name) for name in filled[1:]]
    if sheet is None and others:
        table.notes.append(
            f"{WARNING}The sheet {filled[0]!r} is read, and not {', '.join(others)}: --sheet names another."
        )
    hidden = [repr(name) for name in heights if heights[name] and not shown[name] and name not in filled]
    if sheet is None and hidden:
        table.notes.append(f"Hidden sheets are not read: {', '.join(hidden)}; --sheet names one.")
    return table


def _worksheets(book: Any, calamine: Any) -> dict[str, bool]:
    """The names of the sheets with cells, and whether each is visible."""
    visible = calamine.SheetVisibleEnum.Visible
    every = [one for one in book.sheets_metadata if one.typ == calamine.SheetTypeEnum.WorkSheet]
    return {one.name: one.visible == visible for one in every}


def _sheet(sheet: Any, name: str) -> Table:
    top = (sheet.start or (0, 0))[0]
    rows = [[_cell(cell) for cell in row] for row in sheet.to_python()]
    titles = title_rows(rows)
    header, *rest = rows[titles:] or [[]]
    names = ["" if cell is None else str(cell) for cell in header]
    first = top + titles + 2
    table = framed(name, names, rest, range(first, first + len(rest)), "row")
    long = [one for one, cells in table.cells.items() if _are_rounded(cells)]
    if long:
        table.notes.append(
            f"{WARNING}Column {long[0]!r} holds numbers of more than 15 digits, which a workbook rounds, so "
            "that different ones may have become one: store such numbers as text where the table is made."
        )
    if titles:
        table.notes.append(f"The names of the columns are in row {first - 1}: what is above is a title.")
    return table


def _are_rounded(cells: Sequence[Any]) -> bool:
    """Whether a column has numbers of more digits than a double, or than Excel, which then writes zeros."""
    numbers = {one for one in cells if isinstance(one, int | float) and not isinstance(one, bool)}
    long = [one for one in numbers if abs(one) >= _DIGITS]
    return any(abs(one) >= _LARGEST for one in long) or (len(long) > 1 and all(one % 10 == 0 for one in long))


def _cell(cell: Any) -> Any:
    if blank(cell):
        return None
    if isinstance(cell, float) and cell.is_integer():
        return int(cell) if abs(cell) < _LARGEST else cell
    if isinstance(cell, datetime) and (cell.hour, cell.minute, cell.second) == (0, 0, 0):
        cell = cell.date()
    return cell.isoformat() if isinstance(cell, date) else cell
