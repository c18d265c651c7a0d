"""``pats compare``: methods × tasks × models × seeds, and their table."""

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

from rich.console import Console

from pats.cli import _flags
from pats.report import render
from pats.run import Run, ranks
from pats.study import Study, compare

EXAMPLE = """
pats compare --tasks cola rte --data glue/ --models minilm --methods vanilla pats --seeds 5 --out out
pats compare --data reviews.csv --label stars --lr-grid 5e-5 1e-4 3e-4 --seeds 8 --out out/reviews
pats compare --tasks rte --data glue/ --methods vanilla pats std=pats --option std.intensity=std
pats compare --tasks rte --data /nfs/glue --out /nfs/rte --engine ray --ray-address 10.0.0.1:6379 --gpus 1
"""
LISTS = ("tasks", "models", "methods", "lr_grid")
HOW = ("retries", "keep_models", "report_to")  # of the way a study is done, not of what it is
NOT_FLAGS = ("task", "model", "init_seed", "data_seed", "noise_seed")  # a grid has its own for them


def main(argv: Sequence[str]) -> int:
    """Compare as the flags say."""
    parser = _flags.Parser(
        "compare",
        "Compare methods over several seeds; what is done is never done again. Learning rates: --lr, else "
        "the paper's Table 2, else the best of --lr-grid, else plain fine-tuning's in Table 2, else 1e-4.",
        EXAMPLE,
    )
    add_grid(parser, "folder of the comparison (default: out)")
    add = parser.add_argument
    add("--lr-grid", nargs="+", type=_flags.number, metavar="X", help="rates to tune over, one run each")
    add("--no-control", action="store_true", help="no plain fine-tuning at the rate of PATS")
    _flags.add_engine(parser)
    _flags.add_run(parser, NOT_FLAGS)
    _flags.add_methods(parser)
    values = parser.read(argv)
    as_json, quiet = values.pop("json", False), values.pop("quiet", False)
    out = values.pop("out", "out")
    how = {key: values.pop(key) for key in HOW if key in values}
    study = build(values)
    engine = _flags.engine(values, out)
    quiet = quiet or not ranks.is_first()
    # Stdout is for the result alone; Ray would tell there of nodes that left.
    with redirect_stdout(sys.stderr):
        result = compare(study, out, engine=engine, **how, console=None if quiet else Console(stderr=True))
    if not ranks.is_first():
        return 1 if result.failures else 0
    if as_json:
        sys.stdout.write(json.dumps(result.to_dict(), indent=1, ensure_ascii=False) + "\n")
    else:
        render.show(result.page, wide())
    return failures(result.failures)


def add_grid(parser: _flags.Parser, out: str) -> None:
    """Flags of a grid of tasks, models, methods and seeds."""
    _flags.add_shared(parser, out)
    add = parser.add_argument
    add("--tasks", "--task", nargs="+", metavar="T", help="names of tasks; none takes the table of --data")
    add("--models", "--model", nargs="+", metavar="M", help="names or folders of models (default: minilm)")
    told = _flags.methods_help("or LABEL=NAME for a variant")
    add("--methods", "--method", nargs="+", metavar="NAME", help=told)
    add("--seeds", nargs="+", type=_flags.whole, metavar="N", help="a number of seeds, or the seeds (5)")
    add("--tuning-seed", type=_flags.whole, metavar="N", help="seed of what is tuned, not reported")
    add("--option", action="extend", nargs="+", metavar="ROW.KEY=VALUE", help="option of a row's method")
    add("--keep-models", action="store_true", help="keep the weights of every run")
    _flags.add_trackers(parser)


def failures(count: int) -> int:
    """Say how many runs failed, and return the exit code."""
    if not count:
        return 0
    sys.stderr.write(f"pats: {count} of the runs failed; the notes say why\n")
    return 1


def build(values: dict[str, Any]) -> Study:
    """The study that the flags describe.

    Raises:
        InputError: A value is out of its range, or names do not fit each other.
    """
    settings = _flags.run_settings(values)
    lr = settings.pop("lr", None)
    given: dict[str, Any] = {key: tuple(values.pop(key)) for key in LISTS if key in values}
    seeds = values.pop("seeds", [5])
    given |= {"lr": lr, "seeds": seeds[0] if len(seeds) == 1 else tuple(seeds)}
    given["control"] = not values.pop("no_control", False)
    if "tuning_seed" in values:
        given["tuning_seed"] = values.pop("tuning_seed")
    # Rows are known once the study is made, and options need rows.
    study = Study(**given, run=Run(**settings))
    return replace(study, options=_flags.method_options(values, dict(study.rows)))


def wide() -> Console:
    """The terminal, or where there is none a width at which no table is folded."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
