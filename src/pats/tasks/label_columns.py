"""Which columns of a table are its label: one by its usual name, or several of 0 and 1."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import correlation, fmean

from pats._errors import InputError
from pats.tasks import multilabel
from pats.tasks._text import key
from pats.tasks.reading import Table

CERTAIN = ("label", "labels", "class", "y")  # names of nothing else
LABELS = (
    *("label", "labels", "class", "category", "score", "rating", "stars", "y"),
    *("sentiment", "intent", "emotion", "topic", "polarity", "stance", "cats"),
    "target",  # last, as beside another one it is what a stance or a sentiment is of
)

_FLAGS = ("is_", "has_", "was_", "is ", "has ", "was ")  # how the names of facts about a row begin
_PERSON = re.compile(r"(rater|annotator|coder|judge|worker|expert|reviewer|labell?er)s?[ _-]*\w{0,3}")
_NUMBERED = re.compile(r"(.*?)[ _-]*(\d+|(?<![a-z])[a-z])")  # what is before a number or a single letter
_AGREE = 0.5  # the correlation from which on columns are one judgement of several people


def by_name(table: Table, names: Sequence[str], kind: str | None) -> str:
    """The label among columns with usual names, the most usual one first.

    A constant, a name or a number for nearly every row, and fractions of 1 beside words (how sure somebody or
    some model was) give way to others.

    Raises:
        InputError: Several may be the label.
    """
    if len(names) == 1 or key(names[0]) in CERTAIN:
        return names[0]
    cells = {name: filled(table, name) for name in names}
    words = recurring({name: own for name, own in cells.items() if not _numbers(own)})
    likely = [name for name in names if name in words or (_varies(cells[name]) and _numbers(cells[name]))]
    if words:
        likely = [name for name in likely if not _fractions(cells[name])]
    if kind == "regression":
        likely = [name for name in likely if name not in words] or likely
    if len(likely) > 1 and key(likely[-1]) == "target" and likely[-1] in words:
        likely.pop()
    if len(likely) > 1:
        listed = ", ".join(map(repr, likely))
        raise InputError(
            f"{table.name} has several columns that may be its label, {listed}: name one with --label, such "
            f"as --label {shlex.quote(likely[0])}"
        )
    return likely[0] if likely else names[0]


def marks(table: Table, names: Sequence[str], texts: Sequence[str], kind: str | None) -> list[str]:
    """Columns of 0 and 1, one for each label; none where there are fewer than two of them.

    Args:
        table: The table.
        names: Columns that may be.
        texts: Columns that surely are the texts.
        kind: The kind of labels, where it is named.

    Raises:
        InputError: They may be facts about a row beside its label, the votes of several people, or columns
            of labels but for a few cells.
    """
    found = multilabel.mark_columns(table, names)
    nearly = multilabel.nearly_marks(table, names)
    if nearly is not None:
        raise InputError(
            f"{table.name} has no column with a usual name for its label; {', '.join(nearly[0])} look "
            f"like columns of labels, but {nearly[1]}: write 0 and 1 alone in them, or name the label "
            "with --label"
        )
    if kind != multilabel.KIND:
        _check_votes(table, names, found)
    if found and kind != multilabel.KIND:
        _check_facts(table, found, [name for name in names if name not in {*found, *texts}])
    return found


def recurring(cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Columns whose cells recur as those of a label do, of the fewest different ones first."""
    values = {name: len(set(filled)) for name, filled in cells.items()}
    return sorted(
        (name for name, filled in cells.items() if 2 <= values[name] <= len(filled) / 3),
        key=values.__getitem__,
    )


def filled(table: Table, name: str) -> list[str]:
    """The cells of a column that hold anything, as text."""
    return [text for cell in table.column(name) if cell is not None and (text := str(cell).strip())]


def _check_votes(table: Table, names: Sequence[str], found: Sequence[str]) -> None:
    """Ask where columns are what several people said of the same row, by their names or as they agree.

    Raises:
        InputError: They may be.
    """
    cells = {name: filled(table, name) for name in names if _PERSON.fullmatch(key(name))}
    people = recurring(cells)
    stems = [match and match[1] for match in map(_NUMBERED.fullmatch, map(key, found))]
    numbered = len(set(stems)) == 1 and None not in stems
    if len(people) < 2 and not (numbered and _agreement(table, found) >= _AGREE):
        return
    several = people if len(people) > 1 else found
    raise InputError(
        f"{table.name} has no column with a usual name for its label, and {', '.join(several)} look "
        "like what several people said of the same row: write one label of each row, such as the majority's, "
        "or name with --label the columns that are labels, each by itself"
    )


def _agreement(table: Table, names: Sequence[str]) -> float:
    """The mean correlation of two of the columns."""
    cells = [[str(cell).strip().lower() in multilabel.YES for cell in table.column(name)] for name in names]
    return fmean(correlation(one, other) for one, other in combinations(cells, 2))


def _check_facts(table: Table, found: Sequence[str], rest: Sequence[str]) -> None:
    """Ask where columns of 0 and 1 may be facts about a row beside its label.

    Raises:
        InputError: They may.
    """
    notation = {name: frozenset(map(str.lower, filled(table, name))) <= {"true", "false"} for name in found}
    spelled = [name for name in found if notation[name]]
    facts = [name for name in found if key(name).startswith(_FLAGS)] or spelled
    facts = facts if len(facts) < len(found) else []
    # Beside three columns and more, as of a list of emotions, another that recurs is an author or a date.
    others = recurring({name: filled(table, name) for name in rest if len(found) == 2})
    if facts or others:
        every = " ".join(map(shlex.quote, found))
        doubt = (
            f"{others[0]!r} may be the label, too (--label {shlex.quote(others[0])})"
            if others
            else f"{', '.join(map(repr, facts))} may be no label"
        )
        raise InputError(
            f"{table.name} has no column with a usual name for its label, and several of 0 and 1 alone "
            f"({', '.join(found)}), but {doubt}: name the label with --label, or the columns that are "
            f"labels, such as --label {every}"
        )


def _varies(cells: Sequence[str]) -> bool:
    return len({*cells}) > 1


def _numbers(cells: Sequence[str]) -> bool:
    return bool(cells) and all(number is not None for number in _parsed(cells))


def _fractions(cells: Sequence[str]) -> bool:
    """Whether cells are numbers from 0 to 1, and not only these two."""
    numbers = list(_parsed(cells))
    inside = [number for number in numbers if number is not None and 0 <= number <= 1]
    return len(inside) == len(numbers) and any(0 < number < 1 for number in inside)


def _parsed(cells: Sequence[str]) -> Iterator[float | None]:
    for cell in cells:
        try:
            yield float(cell.replace(",", "."))
        except ValueError:
            yield None
