"""``pats predict``: labels and scores for a table."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pats.cli import _flags, _parser
from pats.cli._output import write_json
from pats.measure.predict import predict

EXAMPLE = """
pats predict out/model new-reviews.csv --out labelled.csv
"""
SUMMARY = (
    "Label the rows of a table with a fine-tuned model. It reads the columns that the model was trained on, "
    "unless you name others. It writes every column of the table, and beside them row, prediction and "
    "p_CLASS (pats_prediction and so on where a name is taken). Cells are written as they are: a spreadsheet "
    "runs those that begin with =, +, - or @ as formulas, unless you import the file as text."
)


def main(argv: Sequence[str]) -> int:
    """Predict as the flags say."""
    parser = _parser.Parser("predict", SUMMARY, EXAMPLE)
    parser.add_argument("model", metavar="MODEL", help="folder of a fine-tuned model")
    parser.add_argument("table", metavar="TABLE", help="a table, as for pats compare; it needs no labels")
    parser.add_argument("--out", metavar="FILE", help="CSV to write (default: TABLE.predicted.csv)")
    parser.add_argument("--text", metavar="COL", help="column of the first text (default: the training's)")
    parser.add_argument("--text-pair", metavar="COL", help="column of the second text (as for --text)")
    parser.add_argument("--batch-size", type=_flags.whole, metavar="N", help="rows at a time (32)")
    parser.add_argument("--json", action="store_true", help="write the predictions as JSON on stdout")
    values = parser.read(argv)
    as_json, table = values.pop("json", False), values.pop("table")
    out = values.pop("out", None)
    if out is None and not as_json:
        out = str(Path(table).with_suffix(".predicted.csv"))
    predictions = predict(values.pop("model"), table, **values, out=out, on_note=_say)
    if as_json:
        rows = [{"label": one.label, "scores": dict(one.scores)} for one in predictions]
        write_json(rows)
        return 0
    counts = Counter(one.label for one in predictions if one.label is not None)
    shares = ", ".join(f"{label} {count}" for label, count in counts.most_common())
    sys.stdout.write(f"{len(predictions)} rows in {out}{': ' + shares if shares else ''}\n")
    return 0


def _say(note: str) -> None:
    sys.stderr.write(f"{note}\n")
