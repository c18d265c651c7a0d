"""``predict``: labels and scores of an exported model for a table."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pats._errors import InputError
from pats.run import batches, environment, model, owned
from pats.run.files import write_atomic
from pats.tasks import Split
from pats.tasks.folder import Table, read
from pats.tasks.table import choose

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
) -> list[Prediction]:
    """Label the rows of a table with a fine-tuned model.

    Args:
        folder: A model folder that ``finetune`` exported, or another fine-tuned sequence classifier.
        data: A CSV, TSV, JSONL or Parquet table; it needs no label. Missing texts are empty texts.
        text: Column of the first text; None takes the column that the model was trained on, else
            guesses by usual names.
        text_pair: Column of the second text, likewise, for a model trained on pairs.
        batch_size: Rows a batch; it does not change the results beyond rounding.
        out: CSV file to write: row (counted from 1), the texts, ``prediction``, and for classes
            ``p_<class>``.

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
    trained = model.load_trained(str(folder))
    card = model.read_card(Path(folder)) or {}
    rows = read(data)
    columns, _ = choose(
        rows,
        text or _known(card.get("text"), rows),
        text_pair or _known(card.get("text_pair"), rows),
        labelled=False,
    )
    names = [columns.text, *([columns.text_pair] if columns.text_pair else [])]
    if "pair" in card:
        names = _matching(names, bool(card["pair"]), str(folder))
    texts = [tuple(rows.texts(name)) for name in names]
    split = Split(texts[0], texts[1] if len(texts) > 1 else None)
    device = environment.device()
    limit = min(int(card.get("max_length", MAX_LENGTH)), trained.max_length)
    features = batches.encode(trained.tokenizer, split, limit, regression=False)
    collate = batches.collator(trained.tokenizer)
    module: nn.Module = trained.model
    outputs = batches.scores(module.to(device), features, collate, batch_size)
    labels = model.labels_of(trained.model)
    seen = zip(*texts, strict=True)
    if labels:
        shares = batches.probabilities(outputs)
        found = [
            Prediction(pair, labels[row.argmax()], dict(zip(labels, row.tolist(), strict=True)))
            for pair, row in zip(seen, shares, strict=True)
        ]
    else:
        found = [
            Prediction(pair, None, {"score": float(row[0])}) for pair, row in zip(seen, outputs, strict=True)
        ]
    if out is not None:
        _write(Path(out), names, labels, found)
    return found


def _known(column: str | None, rows: Table) -> str | None:
    return column if column in rows.columns else None


def _matching(names: list[str], pair: bool, folder: str) -> list[str]:
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


def _write(path: Path, names: Sequence[str], labels: Sequence[str], found: Sequence[Prediction]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *names, "prediction", *(f"p_{label}" for label in labels)])
    for number, one in enumerate(found, 1):
        scores = [f"{score:.7g}" for score in one.scores.values()]
        said = scores if one.label is None else [one.label, *scores]
        writer.writerow([number, *one.texts, *said])
    write_atomic(path, text.getvalue().encode())
