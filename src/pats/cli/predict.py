"""``pats predict``: labels and scores for a table."""

import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import Progress

from pats._errors import InputError
from pats.cli import _flags, _parser
from pats.measure import table_writer
from pats.measure.predict import Labelling, check_out, source
from pats.measure.prediction import Prediction
from pats.measure.trained import load_model
from pats.tasks import multilabel
from pats.tasks.columns import text_of
from pats.tasks.reading import STDIN

SHOWN = 20  # classes whose counts are shown
STDOUT = "-"  # in place of a file
EXAMPLE = """
pats predict out/model new-reviews.csv --out labelled.csv
cat new-reviews.csv | pats predict out/model - --top-k 3 > labelled.csv
"""
SUMMARY = (
    "Label the rows of a table with a fine-tuned model. It reads the columns that the model was trained on, "
    "unless you name others. It writes every column of the table, and beside them row, prediction and "
    "p_CLASS (pats_prediction and so on where a name is taken). The table may be larger than memory. Cells "
    "are written as they are: a spreadsheet runs those that begin with =, +, - or @ as formulas, unless you "
    "import the file as text or give --defuse-formulas."
)


def main(argv: Sequence[str]) -> int:
    """Predict as the flags say."""
    parser = _parser.Parser("predict", SUMMARY, EXAMPLE)
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a fine-tuned model, or of the comparison that chose it")
    add(
        "table",
        metavar="TABLE",
        help="a table, as for pats compare, or - for standard input; it needs no labels",
    )
    add("--out", metavar="FILE", help="file to write, which ends in .csv, .tsv, .jsonl or .parquet, or - for "
        "standard output (default: the table's name with .predicted.csv in place of its ending)")  # fmt: skip
    add("--text", nargs="+", metavar="COL", help="column of the first text, or several that are joined "
        "(default: the training's)")  # fmt: skip
    add("--text-pair", metavar="COL", help="column of the second text (as for --text)")
    add("--top-k", type=_flags.integer, metavar="K", help="write the K most probable classes in place of all")
    add("--batch-size", type=_flags.integer, metavar="N", help="rows at a time (32)")
    add("--force", action="store_true", help="replace FILE where it exists")
    add("--defuse-formulas", action="store_true", help="put an apostrophe before cells that a spreadsheet "
        "would run")  # fmt: skip
    add("--format", choices=table_writer.FORMATS, help="format on standard output (default: csv)")
    add("--json", action="store_true", help="write the predictions as JSON on stdout")
    add("--quiet", action="store_true", help="show no progress")
    values = parser.read(argv)
    try:
        with ending():
            return _predict(**values)
    except KeyboardInterrupt:
        sys.stderr.write("\npats: stopped; no file was written\n")
        return 130


def _predict(
    model: str,
    table: str,
    out: str | None = None,
    text: Sequence[str] | None = None,
    text_pair: str | None = None,
    top_k: int | None = None,
    batch_size: int = 32,
    force: bool = False,
    defuse_formulas: bool = False,
    format: str | None = None,
    json: bool = False,
    quiet: bool = False,
) -> int:
    if out is None and not json:
        out = STDOUT if table == STDIN else _beside(table)
    if json and out == STDOUT:
        raise InputError("--json and --out - both write to standard output: leave one out")
    if format is not None and out != STDOUT:
        raise InputError("--format is for standard output: a file's format is named by its ending")
    if out is not None and out != STDOUT:
        check_out(Path(out), None if table == STDIN else Path(table), Path(model), force)
    with source(table) as path:
        columns = None if text is None else text_of(text)
        job = Labelling.of(load_model(model), path, columns, text_pair, top_k, batch_size)
        for note in job.notes:
            sys.stderr.write(f"{note}\n")
        with _progress(job.rows, quiet) as advance:
            listed = _Listed() if json else None

            def tell(piece: list[Prediction]) -> None:
                if listed is not None:
                    listed.add(piece)
                advance(len(piece))

            counts: Counter[str] = Counter()
            if out is None:
                for _, piece in job.pieces():
                    tell(piece)
            elif out == STDOUT:
                stdout = sys.stdout.buffer
                counts = job.write(stdout, format or "csv", defuse_formulas, on_piece=tell)
                stdout.flush()
            else:
                counts = job.write_file(Path(out), defuse_formulas, on_piece=tell)
            if listed is not None:
                listed.end()
    if out is not None and not json:
        most = counts.most_common(SHOWN)
        shares = ", ".join(f"{label or multilabel.NOTHING} {count}" for label, count in most)
        shares += f" and {len(counts) - SHOWN} more classes" if len(counts) > SHOWN else ""
        told = sys.stderr if out == STDOUT else sys.stdout
        where = "written" if out == STDOUT else f"in {out}"
        told.write(f"{job.rows} rows {where}{': ' + shares if shares else ''}\n")
    return 0


def _beside(table: str) -> str:
    """Where the answers go by themselves."""
    path = Path(table)
    if not path.name:
        raise InputError(f"{table!r} is no file: pass a file that holds the table")
    return str(path.with_suffix(".predicted.csv"))


class _Listed:
    """The predictions as one JSON list on stdout, written as they come."""

    def __init__(self) -> None:
        self._before = "["

    def add(self, piece: Sequence[Prediction]) -> None:
        for one in piece:
            content = {"label": one.label, "scores": dict(one.scores)}
            sys.stdout.write(f"{self._before}\n {json.dumps(content, ensure_ascii=False)}")
            self._before = ","

    def end(self) -> None:
        sys.stdout.write("\n]\n")


@contextmanager
def ending() -> Iterator[None]:
    """Within, SIGTERM ends the process in order, so that no half file stays."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before: Any = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(rows: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar of rows on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"{rows:,} rows", total=rows)
        yield lambda done: progress.advance(task, done)
