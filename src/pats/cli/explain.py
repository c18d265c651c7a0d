"""``pats explain``: which words of a text moved a model's scores."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pats._errors import InputError
from pats.cli import _flags, _parser
from pats.cli._output import write_json
from pats.measure.explain import ABOUT, Explanation, explain
from pats.measure.predict import Labelling
from pats.measure.trained import load_encoder
from pats.page.formats import explanation as page
from pats.run.folder import owned
from pats.run.folder.files import write_atomic
from pats.tasks.columns import text_of

OUT = "explanation.html"
EXAMPLE = """
pats explain out/model --text "a superb film" --out explanation.html
pats explain out/model --table reviews.csv --row 7 --json
"""
SUMMARY = (
    "Show which words of a text moved a model's outputs: gradient times input at the word embeddings. It "
    "says what the model is sensitive to near this text, not why, and not whether it is right. It writes a "
    "page that needs no network."
)


def main(argv: Sequence[str]) -> int:
    """Explain as the flags say."""
    parser = _parser.Parser("explain", SUMMARY, EXAMPLE)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a fine-tuned model, or of the comparison that chose it")
    add("--text", metavar="TEXT", help="the text itself")
    add("--text-pair", metavar="TEXT", help="the second text itself, for a model of pairs")
    add("--table", metavar="FILE", help="take a row of this table, from the training's columns")
    add("--row", type=_flags.integer, metavar="N", help="which row, counted from 1 (default: 1)")
    add("--column", nargs="+", metavar="COL", help="column of the first text, or several that are joined "
        "(default: the training's)")  # fmt: skip
    add("--column-pair", metavar="COL", help="column of the second text (as for --column)")
    add("--class", dest="classes", action="extend", nargs="+", metavar="NAME", help="classes to explain "
        "(default: all, or of more than ten the five most probable)")  # fmt: skip
    add("--out", metavar="FILE", help=f"HTML file to write (default: {OUT})")
    add("--force", action="store_true", help="replace FILE even if it is no explanation of PATS's")
    add("--json", action="store_true", help="write JSON on stdout, and a page only with --out")
    values = parser.read(argv)
    as_json, table = values.get("json", False), values.get("table")
    out = Path(values["out"]) if "out" in values else None if as_json else Path(OUT)
    if (table is None) == ("text" not in values):
        raise InputError("name either --text with the text itself, or --table with a row of a table")
    if out is not None:
        force = values.get("force", False)
        inputs = [Path(table)] if table else []
        if owned.inside(out, Path(values["model"])) or any(owned.inside(out, one) for one in inputs):
            raise InputError(
                f"{out} is the table, or lies in the model's folder: name another file with --out"
            )
        owned.file(out, lambda file: force or _is_ours(file))
    model = load_encoder(values["model"])
    if table is None:
        pair = values.get("text_pair")
        texts = [values["text"], *([] if pair is None else [pair])]
    else:
        column = text_of(values["column"]) if "column" in values else None
        job = Labelling.of(model, Path(table), column, values.get("column_pair"))
        for note in job.notes:
            sys.stderr.write(f"{note}\n")
        texts = job.row(values.get("row", 1))
    found = explain(model, texts, values.get("classes"))
    if out is not None:
        write_atomic(out, page.html(found.to_dict()).encode())
    if as_json:
        write_json(found.to_dict())
    else:
        sys.stdout.write(_words(found, out))
    return 0


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return page.GENERATOR.encode() in file.read(1000)


def _words(found: Explanation, out: Path | None) -> str:
    """The tokens that count most, for the predicted class or the only score."""
    name = next((name for name in found.attributions if name == found.label), next(iter(found.attributions)))
    values = found.attributions[name]
    read = [place for place, token in enumerate(found.tokens) if token.part is not None]
    most = sorted(read, key=lambda place: -abs(values[place]))[:10]
    label, scores = found.label, found.scores
    head = f"score {scores['score']:.4g}" if label is None else f"{label} {100 * scores[label]:.1f} %"
    lines = [head, f"What moved {name!r} most:"]
    lines += [f"  {values[place]:+.3g}  {_plain(found.tokens[place].token)}" for place in most]
    for place, count in enumerate(found.unread, 1):
        if count:
            which = f"text {place}" if len(found.texts) > 1 else "the text"
            lines.append(f"The model does not read the last {count:,} characters of {which}.")
    lines += [ABOUT, f"The page is {out}."]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
