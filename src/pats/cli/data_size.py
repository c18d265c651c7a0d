"""``pats data-size``: what the size of the training data does (figure 3 of the paper)."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from pats.cli import _flags, compare
from pats.cli._command import command
from pats.cli.report import write
from pats.report import render
from pats.report.document import data_size_document
from pats.study.data_size import BATCHES, FRACTIONS, data_size

EXAMPLE = """
pats data-size --task cola --data glue/ --model minilm --fractions 0.1 0.5 1 --seeds 3 --out out/size
"""


def main(argv: Sequence[str]) -> int:
    """Run every size as the flags say."""
    parser = _flags.Parser(
        "data-size",
        "Fine-tune on parts of the training data, with and without PATS, and draw metric and spread of "
        "sensitivities against their size; what is done is never done again.",
        EXAMPLE,
    )
    _flags.add_shared(parser, "folder, one comparison a size in it (default: out)")
    add = parser.add_argument
    shares = " ".join(f"{share:g}" for share in FRACTIONS)
    add("--fractions", nargs="+", type=_flags.number, metavar="X", help=f"parts of the data ({shares})")
    add("--methods", "--method", nargs="+", metavar="NAME", help="methods (vanilla pats)")
    add("--seeds", nargs="+", type=_flags.whole, metavar="N", help="a number of seeds, or the seeds (5)")
    add("--batches", type=_flags.whole, metavar="N", help=f"batches to measure sensitivities on ({BATCHES})")
    add("--lr-grid", nargs="+", type=_flags.number, metavar="X", help="rates to tune over, at every size")
    add("--option", action="extend", nargs="+", metavar="ROW.KEY=VALUE", help="option of a row's method")
    add("--workers", type=_flags.whole, metavar="N", help="processes at a time (default: what fits)")
    add("--retries", type=_flags.whole, metavar="N", help="attempts a killed run gets (default: 3)")
    _flags.add_run(parser, ["fraction", "init_seed", "data_seed", "noise_seed"])
    _flags.add_noise(parser)
    values = parser.read(argv)
    as_json, quiet = values.pop("json", False), values.pop("quiet", False)
    out = values.pop("out", "out")
    fractions = values.pop("fractions", FRACTIONS)
    how = {key: values.pop(key) for key in ("workers", "retries", "batches") if key in values}
    # A control row would double the runs of every size, and is not part of the figure.
    study = compare.build({"methods": ["vanilla", "pats"], **values, "no_control": True})
    console = Console(stderr=True, quiet=quiet)
    found = data_size(
        study,
        fractions,
        out,
        console=None if quiet else console,
        measured=lambda text: console.print(text, markup=False, highlight=False),
        **how,
    )
    typed = command(study, str(out), "data-size", {"fractions": fractions})
    told = data_size_document(found.points, found.labels, found.task, found.model, typed)
    files = write(told, Path(out), "data_size")
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n")
    else:
        wide = Console()
        render.show(told.page, wide if wide.is_terminal else Console(width=160))
        sys.stdout.write("\n" + "\n".join(map(str, files)) + "\n")
    if found.failures:
        sys.stderr.write(f"pats: {len(found.failures)} of the runs failed; pats report tells why\n")
        return 1
    return 0
