"""Which columns of a table are the texts and the label."""

from collections.abc import Sequence
from typing import NamedTuple

from pats._errors import InputError
from pats.tasks.folder import Table

SPLIT_COLUMNS = ("split", "fold")

_PAIRS = (
    *(("text", "text_pair"), ("text1", "text2"), ("text_a", "text_b")),
    *(("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis")),
    *(("question", "sentence"), ("question", "answer"), ("question", "context")),
)
_TEXTS = ("text", "sentence", "review", "content", "comment", "message", "tweet", "body", "question", "title")
_LABELS = (
    *("label", "labels", "class", "target", "category", "score", "rating", "stars", "y"),
    *("sentiment", "intent", "emotion", "topic", "polarity"),
)
_MARKS = {"", "0", "1", "0.0", "1.0", "true", "false"}  # cells of a column that marks one label of many


class Columns(NamedTuple):
    """The columns of a table that are used."""

    text: str
    text_pair: str | None
    label: str | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of the one or two texts."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)


def choose(
    table: Table,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    labelled: bool = True,
) -> tuple[Columns, list[str]]:
    """The columns to use, and notes about them; columns that are not named are detected by usual names.

    Args:
        table: The table.
        text: Column of the first text; None detects it, and the second unless that is named.
        text_pair: Column of the second text.
        label: Column of the label; None detects it.
        labelled: False where no label is needed.

    Raises:
        InputError: A named column is not there, none has a usual name, or one is named twice.
    """
    named = [name for name in (text, text_pair, label) if name is not None]
    for name in named:
        table.column(name)
    if len(set(named)) < len(named):
        raise InputError(f"text, text pair and label are {', '.join(named)}: name each column once")
    free = _by_usual_name([name for name in table.columns if name not in named])
    notes: list[str] = []

    def detect(what: str, usual: Sequence[str], flag: str) -> str:
        name = next((name for name in usual if name in free), None)
        if name is None:
            raise InputError(
                f"{table.path} has no column with a usual name for its {what}: name one with "
                f"{flag}{_proposal(table, list(free.values()), flag)}; its columns are "
                f"{', '.join(table.columns)}"
            )
        notes.append(f"The {what} is column {free[name]!r}, by its name.")
        return free.pop(name)

    if label is None and labelled:
        if not any(name in free for name in _LABELS):
            _refuse_marks(table, list(free.values()))
        label = detect("label", _LABELS, "--label")
    if text is None:
        pair = next((pair for pair in _PAIRS if pair[0] in free and pair[1] in free), None)
        rest = [name for name in free if name not in SPLIT_COLUMNS]
        if text_pair is None and pair is not None:
            text = detect("text", pair[:1], "--text")
            text_pair = detect("second text", pair[1:], "--text-pair")
        else:
            # The only column left needs no usual name.
            text = detect("text", _TEXTS if len(rest) > 1 else rest, "--text")
    return Columns(text, text_pair, label), notes


def usual(name: str) -> str:
    """A column's name without case and surrounding blanks, which detection ignores."""
    return name.strip().lower()


def _by_usual_name(names: Sequence[str]) -> dict[str, str]:
    """Names by their usual form; of those alike the one that is written so, else the first."""
    free: dict[str, str] = {}
    for name in names:
        if name == usual(name) or usual(name) not in free:
            free[usual(name)] = name
    return free


def _refuse_marks(table: Table, names: Sequence[str]) -> None:
    """Refuse a table with one column of 0 and 1 for every label."""
    cells = {name: {cell.lower() for cell in _cells(table, name)} for name in names}
    marks = [name for name, values in cells.items() if values <= _MARKS and values != {""}]
    if len(marks) > 1:
        raise InputError(
            f"columns {', '.join(map(repr, marks))} of {table.path} hold 0 and 1 alone: this looks like a "
            "multi-label table, but a row has one label here; name one of these columns with --label, or "
            "make one column of them"
        )


def _proposal(table: Table, names: Sequence[str], flag: str) -> str:
    """A column that looks right by its content, in words; empty where none does."""
    cells = {name: [cell for cell in _cells(table, name) if cell] for name in names if name}
    values = {name: len(set(filled)) for name, filled in cells.items()}
    recurring = [name for name, filled in cells.items() if 2 <= values[name] <= len(filled) / 3]
    if flag == "--label":
        best = min(recurring, key=values.__getitem__, default=None)
    else:
        others = [name for name in cells if name not in recurring]
        best = max(others, key=lambda name: sum(map(len, cells[name])), default=None)
    return "" if best is None else f", perhaps {best!r}"


def _cells(table: Table, name: str) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in table.column(name)]
