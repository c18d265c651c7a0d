"""Tables of tasks that PATS does not learn: recognised and refused."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from pats._errors import InputError
from pats.tasks._text import encodable
from pats.tasks.columns import Text
from pats.tasks.reading import Table

_MOST = 0.9  # the share of the cells that must look so
_LONG = 12  # words of an answer that somebody wrote
_TAG = re.compile(r"[BIOESLU](-[A-Z][A-Z_]*)?")
_ZEROS_AND_ONES = re.compile(r"[\[(]?\s*[01]([\s,;|]+[01]){2,}\s*[\])]?")
_IMAGE = re.compile(
    r"(?!https?:)\S+\.(png|jpe?g|gif|bmp|webp|tiff?|wav|mp3|flac|mp4|pdf|docx?|html?|txt)", re.IGNORECASE
)
_PAIR = "PATS learns one label, several labels or a score for each whole text"


def check_text(table: Table, name: str, named: bool = False) -> None:
    """Refuse a column of tokens, or of the names of files that nobody named.

    Raises:
        InputError: It is one.
    """
    cells = [cell for cell in table.column(name) if cell is not None]
    if cells and all(isinstance(cell, list | tuple) for cell in cells):
        _refuse(table, name, "lists of tokens in place of texts", "join each into one text")
    if not named and _most(
        cells, lambda cell: isinstance(cell, str) and bool(_IMAGE.fullmatch(cell.strip()))
    ):
        _refuse(
            table,
            name,
            f"names of files such as {cells[0]!r:.60}",
            "PATS reads texts, not what is in files, unless you name the column (--text)",
        )


def check_whole(table: Table, name: Text) -> None:
    """Refuse half a character, as of a cut emoji, which JSON can have and no tokenizer reads.

    Raises:
        InputError: A cell of the column, or of the columns that are joined, has one.
    """
    texts = table.texts(name)
    if encodable("".join(texts)):
        return
    row = next(row for row, text in enumerate(texts) if not encodable(text))
    raise InputError(
        f"{table.line(row)} has half a character (a lone surrogate) in column {name!r}: mend that text"
    )


def check_label(table: Table, name: str) -> None:
    """Refuse a column of spans, of labels of tokens, of nested answers, or of texts that are to be written.

    Raises:
        InputError: It is one.
    """
    cells = [cell for cell in table.column(name) if cell is not None and str(cell).strip()]
    if cells and all(isinstance(cell, dict) and cell and _numbers(cell.values()) for cell in cells):
        _refuse(table, name, "objects with a number for each label", "mark each label with 0 or 1")
    if any(isinstance(cell, dict) for cell in cells):
        _refuse(
            table, name, "objects with parts of their own", "name a column of plain labels, or flatten it"
        )
    lists = [cell for cell in cells if isinstance(cell, list | tuple)]
    if any(isinstance(part, dict | list | tuple) for cell in lists for part in cell):
        _refuse(table, name, "lists of spans or of objects", "give each row one label or a list of names")
    words = [cell for cell in cells if isinstance(cell, str)]
    if _vectors(lists) or _most(words, lambda cell: bool(_ZEROS_AND_ONES.fullmatch(cell.strip()))):
        first = lists[0] if lists else words[0]
        _refuse(
            table,
            name,
            f"a label for each token, or a number for each label without its name, such as {first!r:.40}",
            "list the names that a row has, or give each label a column of 0 and 1",
        )
    if lists and _most(
        lists, lambda cell: len(cell) > len(set(map(str, cell))) or _tags(list(map(str, cell)))
    ):
        _refuse(
            table, name, "a label for each token, or the votes of several people", "give each row one label"
        )
    if _most(words, lambda cell: _tags(cell.split())):
        _refuse(table, name, "a label for each token", "give each row one label")
    if len(set(words)) > _MOST * len(words) and _most(words, lambda cell: len(cell.split()) >= _LONG):
        _refuse(
            table,
            name,
            "a text of its own for nearly every row, as a summary or an answer is",
            "name a label",
        )


def _tags(parts: Sequence[str]) -> bool:
    return len(parts) > 1 and all(_TAG.fullmatch(part) for part in parts) and "O" in parts


def _vectors(lists: Sequence[Sequence[Any]]) -> bool:
    """Whether lists are as long as each other, and hold 0 and 1, or fractions."""
    numbers = [number for one in lists for number in map(_number, one)]
    if {len(one) for one in lists} - {0} != {len(lists[0]) if lists else 0} or len(lists[0]) < 2:
        return False
    return all(number is not None and 0 <= number <= 1 for number in numbers)


def _numbers(parts: Iterable[Any]) -> bool:
    return all(_number(part) is not None for part in parts)


def _number(part: Any) -> float | None:
    try:
        return float(part)
    except (TypeError, ValueError):
        return None


def _most(cells: Sequence[Any], looks: Callable[[Any], bool]) -> bool:
    return bool(cells) and sum(map(looks, cells)) >= _MOST * len(cells)


def _refuse(table: Table, name: str, what: str, mend: str) -> NoReturn:
    raise InputError(f"column {name!r} of {table.name} holds {what}: {_PAIR}; {mend}")
