"""``pats data-size``: what the size of the training data does (figure 3 of the paper)."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pats.cli import _flags, _parser, _study
from pats.page.content.document import data_size_document
from pats.run import ranks
from pats.study import Study
from pats.study.command import command
from pats.study.data_size import BATCHES, FRACTIONS, data_size
from pats.study.report import write_document

EXAMPLE = """
pats data-size --task cola --data glue/ --model minilm --fractions 0.1 0.5 1 --seeds 3 --out out/size
pats data-size --task cola --data /nfs/glue --out /nfs/size --engine slurm --slurm partition=gpu --gpus 1
"""


def main(argv: Sequence[str]) -> int:
    """Run every size as the flags say."""
    parser = _parser.Parser(
        "data-size",
        "Fine-tune on parts of the training data, with and without PATS, and draw metric and spread of "
        "sensitivities against their size; finished runs are never repeated.",
        EXAMPLE,
    )
    _study.add_grid(parser, "folder, one comparison a size in it (default: out)")
    add = parser.add_argument
    shares = " ".join(f"{share:g}" for share in FRACTIONS)
    add("--fractions", nargs="+", type=_flags.number, metavar="X", help=f"parts of the data ({shares})")
    add(
        "--batches", type=_flags.integer, metavar="N", help=f"batches to measure sensitivities on ({BATCHES})"
    )
    add("--lr-grid", nargs="+", type=_flags.number, metavar="X", help="rates to tune over, at every size")
    _study.add_rest(parser, ["fraction"])
    values = parser.read(argv)
    fractions, batches = values.pop("fractions", FRACTIONS), values.pop("batches", BATCHES)
    # A control row would double the runs of every size, and is not part of the figure.
    values = {"methods": ["vanilla", "pats"], **values, "control": False}
    return _study.perform(values, _study.build, partial(_do, fractions=fractions, batches=batches))


def _do(study: Study, out: str, *, fractions: Sequence[float], batches: int, **how: Any) -> _study.Shown:
    result = data_size(study, fractions, out, batches=batches, **how)
    typed = command(study, out, "data-size", {"fractions": fractions})
    page = data_size_document(result.points, result.labels, result.task, result.model, typed)
    files = write_document(page, Path(out), "data_size") if ranks.is_first() else []
    return _study.Shown(asdict(result), page.summary, len(result.failures), files)
