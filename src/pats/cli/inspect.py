"""``pats inspect``: a table before anything is trained on it."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from pats import _preset
from pats._errors import InputError
from pats.cli import _parser

EXAMPLE = """
pats inspect reviews.csv
pats inspect train.csv --test test.csv
pats inspect reviews.xlsx --text title body --label stars --json
"""
SUMMARY = (
    "Show what a table holds, what pats compare would do with it, and what is wrong with it, without "
    "training. TABLE is CSV, TSV, text, JSON, JSON lines, Parquet or a workbook, also packed with gzip, zip "
    "or zstd; a folder with train, dev and test tables; or - for standard input. The exit code is 2 where "
    "nothing can be read."
)

MOST = 20  # classes that are listed
TOKENS_A_SECOND = 1000  # of plain fine-tuning of MiniLM on a core: a rough number, as is what is made of it


def main(argv: Sequence[str]) -> int:
    """Inspect as the flags say."""
    parser = _parser.Parser("inspect", SUMMARY, EXAMPLE)
    add = parser.add_argument
    add("table", metavar="TABLE", help="the table, a folder of tables, or - for standard input")
    add(
        "--text",
        nargs="+",
        metavar="COL",
        help="column of the text (default: by its name); several are joined",
    )
    add("--text-pair", metavar="COL", help="column of the second text (default: by its name)")
    add(
        "--label",
        nargs="+",
        metavar="COL",
        help="column of the label (default: by its name), or several of 0 and 1, one for each label",
    )
    kinds = ("classification", "regression", "multilabel")
    add("--kind", choices=kinds, help="what the labels are (default: by the labels)")
    quotings = ("double", "backslash", "none")
    sentence = (
        "quotes in a CSV or TSV: doubled in a cell, escaped, or plain characters (default: by the file)"
    )
    add("--quoting", choices=quotings, help=sentence)
    add("--sheet", metavar="NAME", help="sheet of a workbook (default: the first that holds anything)")
    add("--drop-rare", action="store_true", help="leave out classes that are too rare to be in every split")
    add("--drop-unlabelled", action="store_true", help="leave out rows without a label")
    add("--group", metavar="COL", help="column whose equal cells, such as an author, stay in one split")
    add("--time", metavar="COL", help="column of dates: train has the oldest rows, test the newest")
    add("--dev", metavar="TABLE", help="the table of the dev split, where TABLE is that of train")
    add("--test", metavar="TABLE", help="the table of the test split, beside that of train")
    add("--folds", type=int, metavar="K", help="divide the rows into K parts, each of which is test once")
    add(
        "--split-seed",
        type=int,
        metavar="N",
        help="seed of the split of a table that brings none (default: 0)",
    )
    add("--model", metavar="M", help="model whose tokens are counted (default: minilm)")
    add("--max-length", type=int, metavar="N", help="tokens that the model reads (default: 128)")
    add("--json", action="store_true", help="write what was found as JSON on stdout")
    values = parser.read(argv)

    from pats.cli._output import write_json
    from pats.tasks import Asked
    from pats.tasks.audit.tokenizer import counter
    from pats.tasks.columns import text_of
    from pats.tasks.inspect import inspect

    if values.get("folds", 2) < 2:
        raise InputError(f"--folds is {values['folds']}, but must be a whole number from 2")
    if values.get("max_length", 1) < 1:
        raise InputError(f"--max-length is {values['max_length']}, but must be a whole number from 1")
    as_json, limit = values.pop("json", False), values.pop("max_length", 128)
    model, table = values.pop("model", "minilm"), values.pop("table")
    values |= {name: text_of(values[name]) for name in ("text", "label") if name in values}
    seed = values.pop("split_seed", 0)
    found = inspect(Asked(table, **values, seed=seed), limit, counter(model))
    if as_json:
        write_json(found.to_dict() | {"seconds_a_run": seconds(found), "seconds_in_folds": in_folds(found)})
    else:
        sys.stdout.write("\n".join(_lines(found)) + "\n")
    return 0


def seconds(found: Any) -> float | None:
    """A rough estimate of what one fine-tuning takes on this machine; None where nothing can be trained."""
    if not found.usable or not found.splits:
        return None
    tokens = (
        _preset.steps_of(found.splits["train"]) * _preset.BATCH * found.tokens / sum(found.splits.values())
    )
    return float(tokens / (TOKENS_A_SECOND * (os.cpu_count() or 1)))


def in_folds(found: Any) -> float | None:
    """The same estimate for one method and seed in the folds that are proposed; None where none are."""
    folds, one = _proposed(found), seconds(found)
    return None if folds is None or one is None else folds * one


def _proposed(found: Any) -> int | None:
    """The number of folds that is proposed."""
    return next((one.counts["folds"] for one in found.findings if one.code == "few"), None)


def _lines(found: Any) -> Iterator[str]:
    from pats.tasks.audit import ERROR, NOTE, WARNING, shown

    yield f"{found.name}: {found.rows} rows, {len(found.columns)} columns"
    yield from ("", "Columns")
    width = max((len(shown(column.name)) for column in found.columns), default=0)
    for column in found.columns:
        why = f" ({column.why})" if column.why else ""
        filled = f"{column.filled} filled, {column.different} different"
        yield f"  {shown(column.name):{width}}  {column.role}{why}: {filled}"
    if found.classes:
        total = found.labelled
        what = "Labels" if found.kind == "multilabel" else "Classes"
        yield from ("", f"{what} ({len(found.classes)})")
        listed = list(found.classes.items())[:MOST]
        width = max(len(shown(name)) for name, _ in listed)
        for name, rows in listed:
            yield f"  {shown(name):{width}}  {rows:7}  {100 * rows / total:5.1f} %"
        if len(found.classes) > MOST:
            yield f"  and {len(found.classes) - MOST} more"
    elif found.scores:
        low, mean, high = found.scores
        yield from ("", "Scores", f"  {low:g} to {high:g}, {mean:.4g} on average")
    for severity, title in ((ERROR, "Errors"), (WARNING, "Warnings"), (NOTE, "Notes")):
        # What the columns were taken for is shown above.
        spoken = "columns" if severity == NOTE else ""
        messages = [one.message for one in found.findings if one.severity == severity and one.code != spoken]
        if messages:
            yield from ("", title, *(f"  - {message}" for message in messages))
    yield from ("", "What pats compare would do")
    yield f"  {_plan(found)}"


def _plan(found: Any) -> str:
    if not found.usable:
        return "Nothing, before the errors are mended."
    sizes = ", ".join(f"{rows} {part}" for part, rows in found.splits.items())
    told = (
        f"{found.kind.capitalize()}, judged by {found.metric}, on {sizes} rows. A fine-tuning of MiniLM "
        f"takes about {_about(seconds(found))} here ({_preset.steps_of(found.splits['train'])} steps; a "
        "rough estimate), and there is one for each method and seed, after short ones for the learning rate."
    )
    folds = _proposed(found)
    if folds is not None:
        told += f" With --folds {folds} a method's seed takes about {_about(in_folds(found))}."
    return told


def _about(seconds: float | None) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds and seconds >= 90 else "a minute or less"
