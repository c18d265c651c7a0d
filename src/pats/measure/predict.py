"""``predict``: labels and scores of an exported model for a table."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pats._errors import InputError
from pats.run import batches, environment
from pats.run.folder import owned
from pats.run.folder.files import write_atomic
from pats.run.model import classifier, exported, simple
from pats.tasks import Split
from pats.tasks.columns import Columns, Text, choose, names_of, spoken, text_of
from pats.tasks.reading import Table, open_table

MAX_LENGTH = 128  # of a model that was not exported by PATS


@dataclass(frozen=True)
class Prediction:
    """What a model says of one row.

    Args:
        texts: The one or two texts that the model saw.
        label: The most probable class; None for regression.
        scores: Probability of every class, or the one value ``"score"`` for regression.
    """

    texts: tuple[str, ...]
    label: str | None
    scores: Mapping[str, float]


def predict(
    folder: str | Path,
    data: str | Path,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    batch_size: int = 32,
    out: str | Path | None = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> list[Prediction]:
    """Label the rows of a table with a fine-tuned model.

    Args:
        folder: A model folder that ``finetune`` exported, or another fine-tuned sequence classifier.
        data: A table that ``pats.tasks.reading`` reads; it needs no label. Missing texts are empty texts.
        text: Column of the first text; None takes the column that the model was trained on. Where the
            model names none, it is detected by its usual names.
        text_pair: Column of the second text, found in the same way, for a model trained on pairs.
        batch_size: Rows a batch; it does not change the results beyond rounding.
        out: CSV file to write: every column of the table in its order, then ``row`` (counted from 1),
            ``prediction``, and for classes ``p_<class>``. Where the table has a column of such a name,
            ours begins with ``pats_``. Cells are written as they are: a spreadsheet runs those that begin
            with ``=``, ``+``, ``-`` or ``@`` unless they are imported as text.
        on_note: Called with what was decided, such as the columns that are read, in sentences.

    Returns:
        One prediction a row, in the table's order.

    Raises:
        InputError: The folder holds no fine-tuned classifier, the table cannot be read, or a column is
            not there; ``out`` is the table, lies in the model's folder, or is another file that predictions
            would replace.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}, but must be a whole number from 1")
    if out is not None:
        _check_out(Path(out), Path(data), Path(folder))
    simple_model = simple.load_simple(folder) if simple.is_simple(folder) else None
    trained = classifier.load_trained(str(folder)) if simple_model is None else None
    card = exported.read_card(Path(folder)) or {}
    rows = open_table(data)
    columns, notes = _columns(rows, text, text_pair, card, str(folder))
    names = list(columns.texts)
    if "pair" in card:
        names = _matching(names, bool(card["pair"]), str(folder))
    for note in notes:
        on_note(note)
    texts = [tuple(rows.texts(name)) for name in names]
    split = Split(texts[0], texts[1] if len(texts) > 1 else None)
    if simple_model is not None:
        shares, labels = simple_model.predict(*texts)
    else:
        assert trained is not None
        shares, labels = _of_classifier(trained, split, card, batch_size)
    seen = zip(*texts, strict=True)
    predictions = [_prediction(pair, row, labels) for pair, row in zip(seen, shares, strict=True)]
    if out is not None:
        _write(Path(out), rows, labels, predictions)
    return predictions


def _prediction(texts: tuple[str, ...], row: NDArray[np.float64], labels: Sequence[str]) -> Prediction:
    if not labels:
        return Prediction(texts, None, {"score": float(row[0])})
    return Prediction(texts, labels[int(row.argmax())], dict(zip(labels, row.tolist(), strict=True)))


def _of_classifier(
    trained: classifier.Loaded, split: Split, card: Mapping[str, Any], batch_size: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Probabilities of the classes, or scores, and the classes."""
    device = environment.device()
    limit = min(int(card.get("max_length", MAX_LENGTH)), trained.max_length)
    features = batches.encode(trained.tokenizer, split, limit, regression=False)
    collate = batches.collator(trained.tokenizer)
    module: nn.Module = trained.model
    outputs = batches.scores(module.to(device), features, collate, batch_size)
    labels = classifier.labels_of(trained.model)
    return (batches.probabilities(outputs) if labels else outputs.astype(np.float64)), labels


def _columns(
    rows: Table, text: str | None, text_pair: str | None, card: Mapping[str, Any], folder: str
) -> tuple[Columns, list[str]]:
    """The columns of the texts (those named, else those of the training, else detected), and notes."""
    given = {"text": text, "text_pair": text_pair}
    trained: dict[str, Text] = {key: text_of(card[key]) for key in given if card.get(key)}
    taken = {key: column for key, column in trained.items() if given[key] is None}
    if not {name for column in taken.values() for name in names_of(column)} <= set(rows.columns):
        flags = " and ".join(f"--{key.replace('_', '-')}" for key in taken)
        raise InputError(
            f"the model {folder!r} was trained on {' and '.join(map(repr, trained.values()))}, but "
            f"{rows.name} has the columns {', '.join(rows.columns)}: name those to read with {flags}"
        )
    words = {"text": "text", "text_pair": "second text"}
    notes = [f"The {words[key]} is {spoken(column)}, as in training." for key, column in taken.items()]
    wanted: dict[str, Any] = given | taken
    columns, detected = choose(rows, **wanted, labelled=False)
    return columns, notes + detected


def _matching(names: list[Text], pair: bool, folder: str) -> list[Text]:
    if pair and len(names) == 1:
        raise InputError(
            f"the model {folder!r} was trained on pairs of texts, but only the column {names[0]!r} was "
            "found: name the second one with --text-pair"
        )
    return names if pair else names[:1]


def _check_out(out: Path, table: Path, folder: Path) -> None:
    """Refuse to replace the table, a file of the model, or anything but predictions."""
    with owned.writing(out):
        if owned.inside(out, folder):
            raise InputError(f"{out} lies in the model's folder: name a file elsewhere with --out")
        inputs = [table, *(file for file in folder.rglob("*") if file.is_file())]
        if out.exists() and any(out.samefile(file) for file in inputs if file.exists()):
            raise InputError(f"{out} is the table or a file of the model: name another file with --out")
    owned.file(out, _is_ours)


def _is_ours(path: Path) -> bool:
    """Whether a file is a table of predictions."""
    with path.open("rb") as file:
        header = next(csv.reader([file.readline(1 << 16).decode("utf-8", "replace")]), [])
    return bool({"prediction", "pats_prediction"} & set(header))


def _write(path: Path, rows: Table, labels: Sequence[str], predictions: Sequence[Prediction]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)  # whose usual line ends make it quote a carriage return within a cell
    ours = ["row", "prediction", *(f"p_{label}" for label in labels)]
    writer.writerow([*rows.columns, *(_free(name, rows) for name in ours)])
    table = zip(*rows.cells.values(), strict=True)
    for number, (cells, one) in enumerate(zip(table, predictions, strict=True), 1):
        scores = [f"{score:.7g}" for score in one.scores.values()]
        said = scores if one.label is None else [one.label, *scores]
        writer.writerow([*map(_cell, cells), number, *said])
    write_atomic(path, text.getvalue().encode())


def _free(name: str, rows: Table) -> str:
    while name in rows.columns:
        name = f"pats_{name}"
    return name


def _cell(cell: Any) -> str:
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return "" if cell is None else str(cell)
