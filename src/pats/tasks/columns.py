"""Which columns of a table are the texts and the label."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pats._errors import InputError
from pats.tasks import label_columns
from pats.tasks._text import key
from pats.tasks.label_columns import LABELS, filled, recurring
from pats.tasks.reading import Table

SPLIT_COLUMNS = ("split", "fold")

_PAIRS = (
    *(("text", "text_pair"), ("text1", "text2"), ("text_a", "text_b")),
    *(("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis")),
    *(("question", "sentence"), ("question", "answer"), ("question", "context"), ("question", "passage")),
    *(("question", "response"), ("prompt", "response"), ("reference_answer", "student_answer")),
    *(("claim", "evidence"), ("query", "document"), ("query", "passage"), ("sentence_a", "sentence_b")),
)
TEXTS = ("text", "sentence", "review", "content", "comment", "message", "tweet", "body", "question", "title")


Text = str | tuple[str, ...]  # a column, or several whose cells are joined

_A_NAME, _WORDS = 40, 5  # characters and blanks that hardly a name of a column has
_AN_ID = re.compile(  # a number, a date, a hash, an address
    r"[+-]?[\d.,]+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d\d?:\d\d.*)?|(?=.*\d)[\da-fA-F-]{8,}"
    r"|\S+@\S+\.\S+|https?://\S+"
)
_BETWEEN = re.compile(r"[\W_]+")
_OF_PEOPLE = re.compile("annotator|rater|confidence", re.IGNORECASE)  # of each one, or how sure they are
_PRODIGY = {"accept", "reject", "ignore"}  # what somebody said of a label
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
                f"{table.name} has no column with a usual name for its {what}: name one with {flag}"
                f"{_proposal(table, list(free.values()), flag)}; its columns are {_listed(table.columns)}"
            )
        notes.append(f"The {what} is column {free[name]!r}, by its name.")
        return free.pop(name)

    if label is None and labelled:
        usual_ones = [free[name] for name in LABELS if name in free]
        others = [] if usual_ones else [column for name, column in free.items() if name not in SPLIT_COLUMNS]
        texts = (*names_of(text), *(name for name in others if usual(name) in TEXTS))
        marks = label_columns.marks(table, others, texts, kind)
        if marks:
            label = tuple(marks)
            free = {name: column for name, column in free.items() if column not in marks}
            listed = ", ".join(map(repr, marks))
            notes.append(f"The labels are the columns {listed}, which hold 0 and 1 alone.")
        else:
            best = usual(label_columns.by_name(table, usual_ones, kind)) if usual_ones else ""
            label = detect("label", [best] if best else [], "--label")
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


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _ids(table: Table, name: str) -> bool:
    """Whether a column holds one number, id, date or address in nearly every row."""
    cells = filled(table, name)
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
        sentence = len(name) > _A_NAME and name.count(" ") >= _WORDS and not name.rstrip().endswith("?")
        if recurring or number or sentence:
            first = _listed([repr(one[:_A_NAME]) for one in table.columns])
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
    cells = {name: filled(table, name) for name in names if name}
    labels = recurring(cells)
    if flag == "--label":
        called = [name for name in labels if {*_BETWEEN.split(usual(name))} & {*LABELS}]
        fine = (name for name in (*called, *labels) if not {*cells[name]} <= _PRODIGY)
        best = next((name for name in fine if not _OF_PEOPLE.search(name)), None)
    else:
        others = [name for name in cells if name not in labels]
        best = max(others, key=lambda name: sum(map(len, cells[name])), default=None)
    return "" if best is None else f", perhaps {best!r}"


def _cells(table: Table, name: str) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in table.column(name)]
