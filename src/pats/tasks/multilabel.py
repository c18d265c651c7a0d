"""Tables in which a row may have several labels: how they are recognised, and what a row's labels are."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pats._errors import InputError
from pats.tasks.reading import Table

if TYPE_CHECKING:  # numpy comes with the extra ``run``; the task names and ``pats env`` need torch alone
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

KIND = "multilabel"
NOTHING = "(none)"  # how a row that has none of the labels is shown

_SEPARATORS = (
    ",",
    ";",
    "|",
    "\n",
    "\t",
    "><",
    "\uff0c",
    "\uff1b",
    "\u3001",
)  # the last ones of Chinese and Japanese
_ASKED = ("#", "/", "&", "+", " and ", " AND ", " und ", " et ", "::", "~", "\\", " ")  # also within a name
_ALSO_IN_NAMES = (*_ASKED, "_", "-")
_AND = {"and", "und", "et", "y", "e", "och", "en", "&"}  # before the last of a list
_AROUND = " \t\r\n'\""  # what is around a label and no part of it
YES, NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}
_NO_OR_BLANK = {"", *NO}
_AFFIRMED = {"yes", "y", "x", "t", "wahr", "ja", "oui", "vrai", "sí", "si", "tak"}
_DENIED = {"no", "n", "f", "falsch", "nein", "non", "faux", "nie", "-", "-1"}
_TWICE = 0.1  # the share of cells that name a label twice from which on they are votes
_MOSTLY = 0.95  # the share of such cells from which a column nearly marks a label
_MARKS = {*YES, *_NO_OR_BLANK}  # cells of a column that marks one label of many


class Separated(NamedTuple):
    """Cells that hold several labels each.

    Args:
        rows: How many do.
        example: One of them.
        separator: What is between their labels.
        one_name: Each part has its place in all of them, and none is alone in a cell: each may be one name.
    """

    rows: int
    example: str
    separator: str
    one_name: bool = False


def mark_columns(table: Table, names: Sequence[str]) -> list[str]:
    """Columns of 0 and 1, both of them, one for every label; none where there are fewer than two of them."""
    cells = {name: set(map(_mark, table.column(name))) for name in names}
    marks = [
        name for name, values in cells.items() if values <= _MARKS and values & YES and values & _NO_OR_BLANK
    ]
    return marks if len(marks) > 1 else []


def nearly_marks(table: Table, names: Sequence[str]) -> tuple[list[str], str] | None:
    """Columns that would mark labels, but for a few cells or for other words; and one such cell in words.

    None where there are fewer than three of them, or none lacks anything.
    """
    for yes, no in ((YES, NO), (YES | _AFFIRMED, NO | _DENIED)):
        cells = {name: list(map(_mark, table.column(name))) for name in names}
        found = [name for name, column in cells.items() if _mostly(column, yes, no)]
        for name in found if len(found) > 2 else ():
            odd = next((i for i, cell in enumerate(cells[name]) if cell not in _MARKS), None)
            if odd is not None:
                return found, f"{table.line(odd)} has {table.column(name)[odd]!r} in column {name!r}"
        if mark_columns(table, names):
            return None
    return None


def _mostly(column: Sequence[str], yes: set[str], no: set[str]) -> bool:
    held = Counter(column)
    filled = len(column) - held[""]
    marks = sum(held[word] for word in yes | no)
    both = any(held[word] for word in yes) and any(held[word] for word in {"", *no})
    return both and marks >= _MOSTLY * filled


def marked(table: Table, names: Sequence[str]) -> list[tuple[str, ...] | None]:
    """The labels of every row of a table with a column of 0 and 1 for each; None where all are blank.

    Raises:
        InputError: A cell is neither 0 nor 1.
    """
    found: list[tuple[str, ...] | None] = []
    columns = [list(map(_mark, table.column(name))) for name in names]
    for row, cells in enumerate(zip(*columns, strict=True)):
        for name, cell in zip(names, cells, strict=True):
            if cell not in _MARKS:
                raise InputError(
                    f"{table.line(row)} has {cell!r} in column {name!r}: several columns of labels hold 0 "
                    "and 1 alone, one column for each label"
                )
        chosen = tuple(name for name, cell in zip(names, cells, strict=True) if cell in YES)
        found.append(chosen if any(cells) else None)
    return found


def lists(table: Table, name: str) -> list[tuple[str, ...] | None] | None:
    """The labels of every row of a column that holds lists of names; None where it holds none."""
    cells = table.column(name)
    if not any(isinstance(cell, list | tuple) for cell in cells):
        return None
    found: list[tuple[str, ...] | None] = []
    for cell in cells:
        parts = cell if isinstance(cell, list | tuple) else [] if cell is None else [cell]
        labels = tuple(dict.fromkeys(str(part).strip() for part in parts if part is not None))
        found.append(None if cell is None else labels)
    return found


def separated(labels: Sequence[str]) -> Separated | None:
    """The cells that hold several labels each, such as ``a,b`` beside ``a`` and ``b``; None if none do."""
    for separator in _SEPARATORS:
        parts = {label: parts_of(label, separator) for label in set(labels)}
        seen = Counter(part for pieces in parts.values() for part in pieces)
        joint = [label for label in labels if len(parts[label]) > 1]
        used = {part for label in joint for part in parts[label]}
        # The parts of "Paris, France" and "Lyon, France" hardly recur, those of lists of labels do.
        if joint and sum(seen[part] > 1 for part in used) >= len(used) * 2 / 3:
            placed = [{*places} for places in zip(*map(parts.__getitem__, joint), strict=False)]
            alone = {part for pieces in parts.values() if len(pieces) == 1 for part in pieces}
            one_name = len({len(parts[label]) for label in joint}) == 1 and not used & alone
            one_name = one_name and sum(map(len, placed)) == len(used)
            return Separated(len(joint), joint[0], separator, one_name)
    return None


def votes(labels: Sequence[str]) -> Separated | None:
    """Cells that name a label twice, as votes of several people do, such as ``a;b;a``; None if none do."""
    rows = Counter(labels)
    for separator in (*_SEPARATORS, *_ALSO_IN_NAMES):
        if separator == " ":
            continue  # a sentence may say a word twice
        among = (label for label in rows if separator in label)
        pieces = {label: [part.strip(_AROUND) for part in label.split(separator)] for label in among}
        voted = [one for one, own in pieces.items() if len(own) > len({*own}) and all(own)]
        many = sum(map(rows.__getitem__, voted))
        if many > _TWICE * len(labels) and any(map(str.isalpha, "".join(voted))):
            return Separated(many, voted[0], separator)
    return None


def perhaps_separated(labels: Sequence[str], separators: Sequence[str] = _ASKED) -> Separated | None:
    """Cells that may hold several labels each, such as ``a/b`` beside ``a`` and ``b``; None if none do.

    A label that is free of the others is alone in a cell, or not always at the same place in it. The parts of
    most such cells are, where those of names such as New York and FOOD#PRICES are not.
    """
    rows = Counter(labels)
    for separator in separators:
        if not any(separator in label for label in rows):
            continue
        parts = {label: parts_of(label, separator) for label in rows}
        joint = [label for label, pieces in parts.items() if len(pieces) > 1]
        alone = {part for pieces in parts.values() if len(pieces) == 1 for part in pieces}
        places: dict[str, set[int]] = {}
        for pieces in parts.values():
            for place, part in enumerate(pieces):
                places.setdefault(part, set()).add(place)
        free = alone | {part for part, own in places.items() if len(own) > 1}
        numbers = separator != " " and not any(map(str.isalpha, "".join(free)))
        if numbers and not all({*rows} >= {*parts[label]} for label in joint):
            continue  # a date, or so many out of so many
        many = sum(map(rows.__getitem__, joint))
        own = sum(rows[label] for label in joint if free >= {*parts[label]})
        if own >= many * 2 / 3 and (len(joint) > 1 or any(alone >= {*parts[label]} for label in joint)):
            return Separated(many, joint[0], separator)
    return None


def separator_of(labels: Sequence[str]) -> str | None:
    """What separates the labels of cells that hold several, as the user knows; None if nothing does."""
    found = separated(labels) or perhaps_separated(labels, _ALSO_IN_NAMES)
    if found is not None:
        return found.separator
    rows = {one: sum(one in label for label in labels) for one in _SEPARATORS}
    best = max(_SEPARATORS, key=rows.__getitem__)
    return best if rows[best] else None


def parts_of(label: str, separator: str) -> tuple[str, ...]:
    """The labels of a cell, each once."""
    bare = re.sub(r"^[\[({<]|[\])}>]$", "", label)  # of a list that was written out
    return tuple(part for part in dict.fromkeys(one.strip(_AROUND) for one in bare.split(separator)) if part)


def parts_of_all(labels: Sequence[str], separator: str) -> list[tuple[str, ...]]:
    """The labels of every cell.

    The last one of ``a, b and c`` is two, if both are labels elsewhere and no cell is ``b and c``; so is
    ``b; c`` in any cell.
    """
    rows = [parts_of(label, separator) for label in labels]
    known = {part for parts in rows for part in parts}
    alone = {parts[0] for parts in rows if len(parts) == 1}
    found = []
    for parts in rows:
        *first, last = [one for part in parts for one in _apart(part, known)] or [""]
        found.append(tuple(dict.fromkeys(filter(None, (*first, *_ended(first, last, known, alone))))))
    return found


def _apart(part: str, known: set[str]) -> Sequence[str]:
    """A label, or those that another separator has between them."""
    ways = (parts_of(part, separator) for separator in _SEPARATORS if separator in part)
    return next((way for way in ways if part not in way and known >= {*way}), (part,))


def _ended(first: Sequence[str], last: str, known: set[str], alone: set[str]) -> Sequence[str]:
    """The last label of a list of several, or those that a word such as "and" has between them."""
    words = last.split()
    places = [i for i, word in enumerate(words[:-1]) if word.lower() in _AND]
    if not first or not places or last in alone:
        return (last,)
    sides = [" ".join(words[: places[0]]), " ".join(words[places[0] + 1 :])]
    own = [side for side in sides if side]
    return own if known >= {*own} else (last,)


def joined(labels: Sequence[str], names: Iterable[str]) -> str:
    """Labels in one cell, which ``split`` takes apart again.

    Args:
        labels: The labels to write.
        names: All labels that there are.
    """
    return _separator(names).join(labels)


def split(cell: str, names: Iterable[str]) -> list[str]:
    """The labels of a cell that ``joined`` wrote."""
    return cell.split(_separator(names)) if cell else []


def _separator(names: Iterable[str]) -> str:
    """The first separator that is in no label."""
    every = "".join(names)
    return next((one for one in _SEPARATORS if one not in every), "\n")


def marks(values: "ArrayLike", sets: Sequence[Sequence[int]], labels: int) -> "NDArray[np.float32]":
    """A row of 0 and 1, one a label, for every example.

    Args:
        values: The number of every example's label set.
        sets: The labels of every set, by number.
        labels: How many labels there are.
    """
    import numpy as np

    table = np.zeros((len(sets), labels), np.float32)
    for number, members in enumerate(sets):
        table[number, list(members)] = 1
    return table[np.asarray(values, np.int64)]


def numbered(
    rows: Sequence[Sequence[str]],
) -> tuple[tuple[str, ...], list[float], tuple[tuple[int, ...], ...]]:
    """All labels in alphabetic order, the number of every row's label set, and the labels of every set."""
    names = tuple(sorted({name for row in rows for name in row}))
    place: Mapping[str, int] = {name: number for number, name in enumerate(names)}
    own = [tuple(sorted(place[name] for name in set(row))) for row in rows]
    sets = tuple(sorted(set(own)))
    number = {one: float(index) for index, one in enumerate(sets)}
    return names, [number[one] for one in own], sets


def _mark(cell: Any) -> str:
    return "" if cell is None else str(cell).strip().lower()
