"""``predict``: labels and scores of a trained model for a table, which may be larger than memory."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO

from pats._errors import InputError
from pats.measure import table_writer
from pats.measure.prediction import Prediction, Predictions
from pats.measure.trained import Facts, Scores, Trained, load_model
from pats.run.folder import owned
from pats.tasks import multilabel, unsupported
from pats.tasks.columns import Text, choose, names_of, spoken
from pats.tasks.reading import STDIN, WARNING, Table, is_frame, is_pandas, stream

PIECE = 1024  # rows that are held at a time

Rows = Mapping[str, Sequence[Any]]


def predict(
    folder: str | Path,
    data: Any,
    *,
    text: Text | None = None,
    text_pair: str | None = None,
    batch_size: int = 32,
    out: str | Path | None = None,
    on_note: Callable[[str], None] | None = None,
    top_k: int | None = None,
    force: bool = False,
    defuse_formulas: bool = False,
) -> Predictions:
    """Label the rows of a table with a fine-tuned model.

    The predictions are held in memory; ``Labelling`` gives them a piece at a time.

    Source: PATS's own.

    Args:
        folder: A model folder that ``finetune`` exported, another fine-tuned sequence classifier, or the
            folder of a comparison on one task, whose chosen model is taken.
        data: A table that ``pats.tasks.reading`` reads, in a file or held by Python, such as a frame of
            pandas; it needs no label. Missing texts are empty texts.
        text: Column of the first text, or several that are joined; None takes what the model was trained
            on. Where the model names none, it is detected by its usual names.
        text_pair: Column of the second text, found in the same way, for a model trained on pairs; None
            finds it.
        batch_size: Rows a batch; it does not change the results beyond rounding.
        out: File to write, which ends in .csv, .tsv, .jsonl or .parquet: every column of the table in its
            order, then ``row`` (counted from 1), ``prediction``, and for classes ``p_<class>``. Where the
            table has a column of such a name, ours begins with ``pats_``. Several labels are in one cell of
            ``prediction``, with a comma between them. None writes no file.
        on_note: Called with what was decided, such as the columns that are read, in sentences; None
            calls nobody.
        top_k: Give this many of the most probable classes; None gives all.
        force: Replace ``out`` where it exists; the table and the model are never replaced.
        defuse_formulas: Put an apostrophe before cells that a spreadsheet would run as formulas, those that
            begin with ``=``, ``+``, ``-`` or ``@`` and are no numbers. Without it cells stay as they are.

    Returns:
        One prediction a row, in the table's order.

    Raises:
        InputError: The folder holds no fine-tuned classifier, the table cannot be read, or a column is
            not there; ``out`` is the table, lies in the model's folder, or is there already.
    """
    if out is not None:
        check_out(Path(out), None if is_frame(data) else Path(data), Path(folder), force)
    job = Labelling.of(
        load_model(folder), data if is_frame(data) else Path(data), text, text_pair, top_k, batch_size
    )
    if on_note is not None:
        for note in job.notes:
            on_note(note)
    predictions = Predictions()
    predictions.index = getattr(data, "index", None) if is_pandas(data) else None
    if out is None:
        for _, piece in job.pieces():
            predictions += piece
    else:
        job.write_file(Path(out), defuse_formulas, on_piece=predictions.extend)
    return predictions


@dataclass(frozen=True)
class Labelling:
    """A table that a model can label: its columns are chosen, and every row was looked at once.

    Args:
        model: The model.
        path: The table: a file, or what Python holds.
        table: Names of all its columns.
        texts: The columns of the one or two texts.
        rows: How many rows there are.
        types: Arrow types of the columns.
        notes: What was decided, in sentences.
        top_k: How many classes a prediction has; None is all.
        batch_size: Rows a batch.
    """

    model: Trained
    path: Any
    table: tuple[str, ...]
    texts: tuple[Text, ...]
    rows: int
    types: Mapping[str, Any]
    notes: tuple[str, ...]
    top_k: int | None
    batch_size: int

    @classmethod
    def of(
        cls,
        model: Trained,
        path: Any,
        text: Text | None = None,
        text_pair: str | None = None,
        top_k: int | None = None,
        batch_size: int = 32,
    ) -> "Labelling":
        """Choose the columns, and read the table once to its end.

        What is wrong with a late row is thus known before the work, and so are the columns of JSON lines.

        Raises:
            InputError: As ``predict``.
        """
        facts = model.facts
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}, but must be a whole number from 1")
        if top_k is not None:
            if top_k < 1:
                raise InputError(f"top_k is {top_k!r}, but must be a whole number from 1")
            if facts.kind != "classification":
                what = "one score and no classes" if not facts.labels else "several labels a text"
                raise InputError(f"the model {facts.name!r} gives {what}: leave out top_k")
            top_k = min(top_k, len(facts.labels))
        names: tuple[Text, ...] = ()
        notes: list[str] = []
        table: dict[str, None] = {}
        types: dict[str, Any] = {}
        count = bare = 0
        for piece in _pieces(path):
            if not names:
                names, notes = _columns(piece, text, text_pair, facts)
                notes = [*piece.notes, *notes]
            read = _filled(piece, names)
            for name in names:
                unsupported.check_whole(read, name)
            seen = zip(*map(read.texts, names), strict=True)
            bare += sum(not any(map(str.strip, texts)) for texts in seen)
            for name, cells in piece.cells.items():
                types[name] = table_writer.arrow_type(cells, types.get(name))
            table |= dict.fromkeys(piece.columns)
            count += len(piece)
        if bare:
            notes.append(f"{WARNING}{bare} of {count} rows have no text, and get an answer all the same.")
        return cls(model, path, tuple(table), names, count, types, tuple(notes), top_k, batch_size)

    @property
    def added(self) -> tuple[str, ...]:
        """The names of our columns, which differ from those of the table."""
        classes = self.model.facts.labels
        if self.top_k is None:
            scores = [f"p_{label}" for label in classes]
        else:
            scores = ["p", *(f"{name}_{i}" for i in range(2, self.top_k + 1) for name in ("prediction", "p"))]
        return tuple(self._free(name) for name in ("row", "prediction", *scores))

    def _free(self, name: str) -> str:
        while name in self.table:
            name = f"pats_{name}"
        return name

    def pieces(self) -> Iterator[tuple[Rows, list[Prediction]]]:
        """Some rows at a time, with what the model says of them.

        Raises:
            InputError: The table has changed meanwhile.
        """
        count = 0
        for piece in _pieces(self.path):
            blank = [None] * len(piece)
            rows = {name: piece.cells.get(name, blank) for name in self.table}
            texts = [_filled(piece, self.texts).texts(name) for name in self.texts]
            scores = self.model.predict(texts[0], texts[1] if len(texts) > 1 else None, self.batch_size)
            count += len(piece)
            if not set(piece.columns) <= set(self.table) or count > self.rows:
                raise self._changed()
            yield rows, list(self._said(texts, scores))
        if count != self.rows:
            raise self._changed()

    def row(self, number: int) -> list[str]:
        """The one or two texts of a row, counted from 1.

        Raises:
            InputError: There is no such row.
        """
        if not 1 <= number <= self.rows:
            raise InputError(f"{self.path} has no row {number}: name one from 1 to {self.rows} with --row")
        for piece in _pieces(self.path):
            if number <= len(piece):
                return [_filled(piece, self.texts).texts(name)[number - 1] for name in self.texts]
            number -= len(piece)
        raise self._changed()

    def _changed(self) -> InputError:
        return InputError(f"{self.path} was changed while it was read: start again when nobody writes to it")

    def _said(self, texts: Sequence[Sequence[str]], scores: Scores) -> Iterator[Prediction]:
        for seen, row in zip(zip(*texts, strict=True), scores, strict=True):
            yield prediction(seen, row, self.model.facts, self.top_k)

    def write_file(
        self,
        out: Path,
        defuse: bool = False,
        on_piece: Callable[[list[Prediction]], None] = lambda piece: None,
    ) -> Counter[str]:
        """Write the labelled table in the format that the file's ending names; it appears when it is whole.

        Args:
            out: The file.
            defuse: As ``predict``'s ``defuse_formulas``.
            on_piece: Called with the predictions of some rows when they are written.

        Returns:
            How often each class, or each of several labels, was predicted.
        """
        with owned.writing(out), table_writer.atomic(out) as file:
            return self.write(file, table_writer.format_of(out), defuse, on_piece)

    def write(
        self,
        file: BinaryIO,
        kind: str,
        defuse: bool = False,
        on_piece: Callable[[list[Prediction]], None] = lambda piece: None,
    ) -> Counter[str]:
        """Write the labelled table to an open file, in one of the formats; else as ``write_file``."""
        counts: Counter[str] = Counter()
        writer = table_writer.writer(file, kind, defuse, self.types)
        done = 0
        for rows, said in self.pieces():
            ours = [_told(one, self.top_k is not None) for one in said]
            numbered = [(done + place, *cells) for place, cells in enumerate(ours, 1)]
            writer.write({**rows, **dict(zip(self.added, zip(*numbered, strict=True), strict=True))})
            for one in said:
                if one.label is not None:
                    several = bool(self.model.facts.thresholds)
                    labels = multilabel.split(one.label, self.model.facts.labels) if several else []
                    counts.update(labels or [one.label])
            done += len(said)
            on_piece(said)
        writer.close()
        return counts


def prediction(
    texts: tuple[str, ...], scores: Sequence[float] | Scores, facts: Facts, top_k: int | None = None
) -> Prediction:
    """What a row of scores says."""
    labels = facts.labels
    if not labels:
        return Prediction(texts, None, {"score": float(scores[0])})
    found = [float(score) for score in scores]
    order = sorted(range(len(labels)), key=lambda place: -found[place])  # the first of equal ones, as argmax
    places = range(len(labels)) if top_k is None else order[:top_k]
    label = labels[order[0]]
    if facts.thresholds:
        limits = zip(labels, found, facts.thresholds, strict=True)
        label = multilabel.joined([name for name, share, least in limits if share >= least], labels)
    return Prediction(texts, label, {labels[place]: found[place] for place in places})


def _told(one: Prediction, best_only: bool) -> tuple[Any, ...]:
    """The cells of a prediction, to seven digits."""
    scores = [float(f"{score:.7g}") for score in one.scores.values()]
    if not best_only:
        return tuple(scores) if one.label is None else (one.label, *scores)
    return tuple(cell for pair in zip(one.scores, scores, strict=True) for cell in pair)


@contextmanager
def source(table: str) -> Iterator[Path]:
    """The file of a table; standard input, ``"-"``, becomes a temporary one, as it is read twice.

    Raises:
        InputError: What is wrong with it, within too.
    """
    if table != STDIN:
        yield Path(table)
        return
    with tempfile.TemporaryDirectory(prefix="pats-") as folder:
        path = Path(folder) / "stdin"  # its content tells its format
        with path.open("wb") as file:
            copyfileobj(sys.stdin.buffer, file, 1 << 20)
        if not path.stat().st_size:
            raise InputError("standard input is empty: pipe a table into it")
        try:
            yield path
        except InputError as error:
            raise InputError(str(error).replace(str(path), "standard input")) from None


def _pieces(path: Any) -> Iterator[Table]:
    return stream(path, PIECE)


def _filled(piece: Table, texts: Sequence[Text]) -> Table:
    """A piece with all columns of the texts: JSON lines may leave one out, which is an empty text."""
    lacking = {name for text in texts for name in names_of(text)} - set(piece.columns)
    cells = {**piece.cells, **{name: [None] * len(piece) for name in lacking}}
    return replace(piece, cells=cells) if lacking else piece


def _columns(
    piece: Table, text: Text | None, text_pair: str | None, facts: Facts
) -> tuple[tuple[Text, ...], list[str]]:
    """The columns of the texts (those named, else those of the training, else detected), and notes."""
    given = {"text": text, "text_pair": text_pair}
    taken = {key: column for key, column in facts.columns.items() if given[key] is None}
    if not {name for column in taken.values() for name in names_of(column)} <= set(piece.columns):
        flags = " and ".join(f"--{key.replace('_', '-')}" for key in taken)
        trained = " and ".join(repr(name) for column in facts.columns.values() for name in names_of(column))
        raise InputError(
            f"the model {facts.name!r} was trained on {trained}, but {piece.name} has the columns "
            f"{', '.join(piece.columns)}: name those to read with {flags}"
        )
    words = {"text": "text", "text_pair": "second text"}
    notes = [f"The {words[key]} is {spoken(column)}, as in training." for key, column in taken.items()]
    wanted: dict[str, Any] = given | taken
    columns, detected = choose(piece, **wanted, labelled=False)
    names = columns.texts
    if facts.pair and len(names) == 1:
        raise InputError(
            f"the model {facts.name!r} was trained on pairs of texts, but only the column {names[0]!r} was "
            "found: name the second one with --text-pair"
        )
    return (names[:1] if facts.pair is False else names), notes + detected


def check_out(out: Path, table: Path | None, folder: Path, force: bool = False) -> None:
    """Refuse to replace the table, a file of the model, or without ``force`` anything else.

    Raises:
        InputError: The file would replace such a one, cannot be written, or its ending names no format.
    """
    with owned.writing(out):
        if owned.inside(out, folder):
            raise InputError(f"{out} lies in the model's folder: name a file elsewhere with --out")
        inputs = [*([] if table is None else [table]), *(one for one in folder.rglob("*") if one.is_file())]
        if out.exists() and any(out.samefile(file) for file in inputs if file.exists()):
            raise InputError(f"{out} is the table or a file of the model: name another file with --out")
    table_writer.format_of(out)
    table_writer.check(out, force)
