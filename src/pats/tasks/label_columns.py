"""Which columns of a table are its label: one by its usual name, or several of 0 and 1."""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import StatisticsError, correlation, fmean

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
_PERSON = re.compile(r"(rater|annotator|coder|judge|worker|expert|reviewer|labell?er)s?([ _-]*\w+)?")
_WHO = re.compile(
    r".*(id|name|e?mail|count|time|date|notes?|comments?)"
)  # of a person, and not what they said
_NUMBERED = re.compile(r"(.*?)[ _-]*(\d+|(?<![a-z])[a-z])")  # what is before a number or a single letter
_JUDGEMENTS = {
    "gold",
    "truth",
    "true",
    "pred",
    "predicted",
    "prediction",
    "manual",
    "auto",
    "human",
    "machine",
}
_AGREE = 0.5  # the correlation from which on columns are one judgement of several people
_SAME = 0.8  # the same, where their names say less: labels such as toxic and obscene agree, too
_VOTERS, _ROWS = 9, 1000  # of columns that are compared: at most, and their first rows
_MANY = 0.8  # different cells a row that names have at most which recur
_VALUES, _SHARED = 20, 0.5  # different things that people say: at most, and the share that all of them say


def by_name(table: Table, names: Sequence[str], kind: str | None) -> str:
    """The label among columns with usual names, the most usual one first.

    A constant, a name for nearly every row, how sure a model was of a name beside it, and the number of such
    a name give way to others.

    Raises:
        InputError: Several may be the label.
    """
    if len(names) == 1 or key(names[0]) in CERTAIN:
        return names[0]
    cells = {name: filled(table, name) for name in names}
    numbers = [name for name in names if _numbers(cells[name])]
    words = [name for name in names if name not in numbers and _recurs(cells[name])]
    likely = words + [name for name in numbers if len({*cells[name]}) > 1]
    for word in words:
        likely = [name for name in likely if not _confidence(cells[name], len({*cells[word]}))]
    if kind == "regression":
        likely = [name for name in likely if name not in words] or likely
    if len(likely) > 1 and "target" in map(key, words):
        likely = [name for name in likely if key(name) != "target"]
    likely = [
        name for i, name in enumerate(likely) if not any(_alike(table, name, one) for one in likely[:i])
    ]
    if len(likely) > 1:
        listed = ", ".join(repr(name) for name in names if name in likely)
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
    called = [name for name in names if _PERSON.fullmatch(key(name)) and not _WHO.fullmatch(key(name))]
    people = called if len(called) > 1 and _same_words(table, called) else []
    stems = [match and match[1] for match in map(_NUMBERED.fullmatch, map(key, found))]
    numbered = len(set(stems)) == 1 and None not in stems
    judged = numbered or sum(bool({*_words(name)} & _JUDGEMENTS) for name in found) > 1
    least = _AGREE if judged else _SAME if _shared_word(found) else math.inf
    agree = len(found) <= _VOTERS and least < math.inf and _agreement(table, found) >= least
    several = people or (found if agree else [])
    if several:
        every = several if {*several} <= {*found} else several[:1]
        as_labels = "they are labels" if len(every) > 1 else "one of them is enough"
        raise InputError(
            f"{table.name} has no column with a usual name for its label, and {', '.join(several)} look like "
            "what several people or programs said of the same row: write one label of each row, such as the "
            f"majority's, or say --label {' '.join(map(shlex.quote, every))} if {as_labels}"
        )


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", key(name))


def _shared_word(names: Sequence[str]) -> bool:
    """Whether all names share their first or last word and have others, as label_ann and label_bob."""
    words = [_words(name) for name in names]
    several = bool(words) and min(map(len, words)) > 1 and words[0][0] not in {*map(str.strip, _FLAGS)}
    return several and any(len({own[place] for own in words}) == 1 for place in (0, -1))


def _same_words(table: Table, names: Sequence[str]) -> bool:
    """Whether columns hold the same few things."""
    said = [{*filled(table, name)} for name in names]
    every = set().union(*said)
    return 2 <= len(every) <= _VALUES and len(set.intersection(*said)) >= _SHARED * len(every)


def _agreement(table: Table, names: Sequence[str]) -> float:
    """The mean correlation of two of the columns in the first rows; 0 where one is constant there."""
    cells = [
        [str(cell).strip().lower() in multilabel.YES for cell in table.column(name)[:_ROWS]] for name in names
    ]
    try:
        return fmean(correlation(one, other) for one, other in combinations(cells, 2))
    except StatisticsError:
        return 0.0


def _check_facts(table: Table, found: Sequence[str], rest: Sequence[str]) -> None:
    """Ask where columns of 0 and 1 may be facts about a row beside its label.

    Raises:
        InputError: They may.
    """
    notation = {name: {*map(str.lower, filled(table, name))} <= {"true", "false"} for name in found}
    facts = [name for name in found if key(name).startswith(_FLAGS)] or [
        one for one in found if notation[one]
    ]
    facts = facts if len(facts) < len(found) else []
    # Beside three columns and more, as of a list of emotions, another that recurs is an author or a date.
    others = recurring({name: filled(table, name) for name in rest if len(found) == 2})
    if facts or others:
        every = " ".join(shlex.quote(name) for name in found if name not in facts)
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


def _recurs(cells: Sequence[str]) -> bool:
    return 2 <= len({*cells}) <= _MANY * len(cells)


def _numbers(cells: Sequence[str]) -> bool:
    return bool(cells) and all(number is not None for number in _parsed(cells))


def _confidence(cells: Sequence[str], classes: int) -> bool:
    """Whether cells are fractions that the likeliest of so many classes may have: at least its share."""
    numbers = list(_parsed(cells))
    inside = [number for number in numbers if number is not None and 1 / classes - 0.01 <= number <= 1]
    return len(inside) == len(numbers) and any(number < 1 for number in inside)


def _alike(table: Table, one: str, other: str) -> bool:
    """Whether columns are one label in two notations, such as a name and its number."""
    cells = [list(map(str, table.column(name))) for name in (one, other)]
    return len({*cells[0]}) == len({*cells[1]}) == len({*zip(*cells, strict=True)})


def _parsed(cells: Sequence[str]) -> Iterator[float | None]:
    for cell in cells:
        try:
            yield float(cell.replace(",", "."))
        except ValueError:
            yield None
