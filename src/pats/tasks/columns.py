"""Which columns of a table are the texts and the label."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pats._errors import InputError
from pats.tasks import multilabel
from pats.tasks._text import key
from pats.tasks.reading import Table

SPLIT_COLUMNS = ("split", "fold")

_PAIRS = (
    *(("text", "text_pair"), ("text1", "text2"), ("text_a", "text_b")),
    *(("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis")),
    *(("question", "sentence"), ("question", "answer"), ("question", "context")),
    *(("claim", "evidence"), ("query", "document"), ("query", "passage"), ("sentence_a", "sentence_b")),
)
TEXTS = ("text", "sentence", "review", "content", "comment", "message", "tweet", "body", "question", "title")
LABELS = (
    *("label", "labels", "class", "category", "score", "rating", "stars", "y"),
    *("sentiment", "intent", "emotion", "topic", "polarity", "stance", "cats"),
    "target",  # last, as beside another one it is what a stance or a sentiment is of
)


Text = str | tuple[str, ...]  # a column, or several whose cells are joined

_A_NAME, _WORDS = 40, 5  # characters and blanks that hardly a name of a column has
_FLAGS = ("is_", "has_", "was_", "is ", "has ", "was ")  # how the names of facts about a row begin
_AN_ID = re.compile(  # a number, a date, a hash, an address
    r"[+-]?[\d.,]+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d\d?:\d\d.*)?|(?=.*\d)[\da-fA-F-]{8,}"
    r"|\S+@\S+\.\S+|https?://\S+"
)
_MOSTLY = 0.9
_SHOWN = 30  # columns that a message lists


def text_of(value: Any) -> Text:
    """A column, or several, of what JSON or a command line says."""
    names = [value] if isinstance(value, str) else list(map(str, value))
    return names[0] if len(names) == 1 else tuple(names)


def names_of(text: Text | None) -> tuple[str, ...]:
    """The columns of a text; none of none."""
    return (text,) if isinstance(text, str) else text or ()


def spoken(text: Text) -> str:
    """A text's columns in words."""
    if isinstance(text, str):
        return f"column {text!r}"
    return f"columns {', '.join(map(repr, text))}, joined by line feeds"


class Columns(NamedTuple):
    """The columns of a table that are used."""

    text: Text
    text_pair: str | None
    label: Text | None

    @property
    def texts(self) -> tuple[Text, ...]:
        """The columns of the one or two texts."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns that make the first text."""
        return names_of(self.text)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.parts, *names_of(self.text_pair), *names_of(self.label))


def choose(
    table: Table,
    text: Text | None = None,
    text_pair: str | None = None,
    label: Text | None = None,
    labelled: bool = True,
    reserved: Sequence[str] = (),
    kind: str | None = None,
) -> tuple[Columns, list[str]]:
    """The columns to use, and notes about them; columns that are not named are detected by usual names.

    Args:
        table: The table.
        text: Column of the first text, or several to join; None detects it, and the second one unless
            that is named.
        text_pair: Column of the second text.
        label: Column of the label, or several of 0 and 1, one for each label; None detects it, or them.
        labelled: False where no label is needed.
        reserved: Columns that are used for something else.
        kind: The kind of labels, where it is named.

    Raises:
        InputError: A named column is not there, none has a usual name, or one is named twice.
    """
    named = [name for name in (*names_of(text), text_pair, *names_of(label)) if name is not None]
    named += reserved
    for name in named:
        table.column(name)
    if len(set(named)) < len(named):
        raise InputError(f"the columns that are named are {', '.join(named)}: name each column once")
    if labelled and not named:
        _check_header(table)
    free = _by_usual_name([name for name in table.columns if name not in named])
    notes: list[str] = []

    def detect(what: str, usual: Sequence[str], flag: str) -> str:
        name = next((name for name in usual if name in free), None)
        if name is None:
            raise InputError(
                f"{table.name} has no column with a usual name for its {what}: name one with "
                f"{flag}{_proposal(table, list(free.values()), flag)}; its columns are {_listed(table)}"
            )
        notes.append(f"The {what} is column {free[name]!r}, by its name.")
        return free.pop(name)

    if label is None and labelled:
        others = [] if any(name in free for name in LABELS) else [n for n in free if n not in SPLIT_COLUMNS]
        marks = multilabel.mark_columns(table, [free[name] for name in others])
        nearly = multilabel.nearly_marks(table, [free[name] for name in others])
        if nearly is not None:
            raise InputError(
                f"{table.name} has no column with a usual name for its label; {', '.join(nearly[0])} look "
                f"like columns of labels, but {nearly[1]}: write 0 and 1 alone in them, or name the label "
                "with --label"
            )
        if marks:
            if kind != multilabel.KIND:
                _check_marks(table, marks, [free[name] for name in others if free[name] not in marks], text)
            label = tuple(marks)
            free = {name: column for name, column in free.items() if column not in marks}
            listed = ", ".join(map(repr, marks))
            notes.append(f"The labels are the columns {listed}, which hold 0 and 1 alone.")
        else:
            label = detect("label", LABELS, "--label")
    if text is None:
        pair = next((pair for pair in _PAIRS if pair[0] in free and pair[1] in free), None)
        rest = [name for name in free if name not in SPLIT_COLUMNS]
        if text_pair is None and pair is not None:
            text = detect("text", pair[:1], "--text")
            text_pair = detect("second text", pair[1:], "--text-pair")
        else:
            # The only column left needs no usual name.
            if len(rest) == 1 and rest[0] not in TEXTS and _ids(table, free[rest[0]]):
                raise InputError(
                    f"{table.name} has no column with a usual name for its text, and the only one left, "
                    f"{free[rest[0]]!r}, holds an id, a date or an address a row: name it with --text if it "
                    "is the text"
                )
            text = detect("text", TEXTS if len(rest) > 1 else rest, "--text")
    return Columns(text, text_pair, label), notes


def usual(name: str) -> str:
    """A column's name without case, invisible characters and blanks around it, which detection ignores."""
    return key(name)


def _check_marks(table: Table, marks: Sequence[str], rest: Sequence[str], text: Text | None) -> None:
    """Ask where columns of 0 and 1 may be facts about a row beside its label.

    Raises:
        InputError: They may.
    """
    flags = [name for name in marks if usual(name).startswith(_FLAGS)]
    mixed = flags if len(flags) < len(marks) else []
    texts = (*names_of(text), *(name for name in rest if usual(name) in TEXTS))
    # Beside three columns and more, as of a list of emotions, another that recurs is an author or a date.
    rest = [name for name in rest if len(marks) == 2 and name not in texts]
    recurring = _recurring({name: _filled(table, name) for name in rest})
    if mixed or recurring:
        every = " ".join(map(shlex.quote, marks))
        doubt = (
            f"{recurring[0]!r} may be the label, too (--label {shlex.quote(recurring[0])})"
            if recurring
            else f"{', '.join(map(repr, mixed))} may be no label"
        )
        raise InputError(
            f"{table.name} has no column with a usual name for its label, and several of 0 and 1 alone "
            f"({', '.join(marks)}), but {doubt}: name the label with --label, or the columns that are "
            f"labels, such as --label {every}"
        )


def _listed(table: Table) -> str:
    names = table.columns
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _ids(table: Table, name: str) -> bool:
    """Whether a column holds one number, id, date or address in nearly every row."""
    cells = _filled(table, name)
    return sum(map(bool, map(_AN_ID.fullmatch, cells))) >= _MOSTLY * len(cells) > 0


def _by_usual_name(names: Sequence[str]) -> dict[str, str]:
    """Names by their usual form; of those alike the one that is written so, else the first."""
    free: dict[str, str] = {}
    for name in names:
        if name == usual(name) or usual(name) not in free:
            free[usual(name)] = name
    return free


def _check_header(table: Table) -> None:
    """Refuse a table whose first row is one of data: no name is usual, and one is what its column holds."""
    known = {*TEXTS, *LABELS, *SPLIT_COLUMNS, *(name for pair in _PAIRS for name in pair)}
    if any(usual(name) in known for name in table.columns):
        return
    for name in table.columns:
        cells = _cells(table, name)
        recurring = bool(name.strip()) and cells.count(name.strip()) > 1 and len(set(cells)) <= len(cells) / 2
        number = _is_number(name) and all(map(_is_number, filter(None, cells)))
        sentence = len(name) > _A_NAME and name.count(" ") >= _WORDS
        if recurring or number or sentence:
            first = ", ".join(repr(one[:_A_NAME]) for one in table.columns)
            names = "; if these are the names, say which with --text and --label" if sentence else ""
            raise InputError(
                f"{table.name} seems to have no header: its first row is {first}, which looks like data; "
                f"write the names of the columns in a first line, such as text and label{names}"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _proposal(table: Table, names: Sequence[str], flag: str) -> str:
    """A column that looks right by its content, in words; empty where none does."""
    cells = {name: _filled(table, name) for name in names if name}
    recurring = _recurring(cells)
    if flag == "--label":
        best = next(iter(recurring), None)
    else:
        others = [name for name in cells if name not in recurring]
        best = max(others, key=lambda name: sum(map(len, cells[name])), default=None)
    return "" if best is None else f", perhaps {best!r}"


def _recurring(cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Columns whose cells recur as those of a label do, of the fewest different ones first."""
    values = {name: len(set(filled)) for name, filled in cells.items()}
    return sorted(
        (name for name, filled in cells.items() if 2 <= values[name] <= len(filled) / 3),
        key=values.__getitem__,
    )


def _filled(table: Table, name: str) -> list[str]:
    return [cell for cell in _cells(table, name) if cell]


def _cells(table: Table, name: str) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in table.column(name)]
