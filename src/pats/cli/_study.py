"""What the verbs that make many runs share: the flags of a grid, and the way from them to what is shown."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from pats.cli import _flags, _parser, _settings
from pats.cli._output import wide, write_json
from pats.page.content.summary import Summary
from pats.page.formats.terminal import show
from pats.run import Run, ranks
from pats.study import Study

P = TypeVar("P")

LISTS = ("tasks", "models", "methods", "lr_grid")
HOW = (
    "retries",
    "keep_models",
    "report_to",
    "force",
    "time_limit",
    "all_seeds",
)  # of the way a study is done, not of what it is
NOT_FLAGS = ("task", "model", "init_seed", "data_seed", "noise_seed")  # a grid has its own for them


@dataclass(frozen=True)
class Shown:
    """What a verb shows.

    Args:
        content: Plain values for ``--json``.
        summary: The tables and their verdict.
        failures: Runs that failed.
        files: What was written, and is worth naming.
    """

    content: Any
    summary: Summary
    failures: int
    files: Sequence[Path] = ()


def add_grid(parser: _parser.Parser, out: str) -> None:
    """Flags of a grid of tasks, models, methods and seeds."""
    _flags.add_shared(parser, out)
    add = parser.add_argument
    add("--tasks", "--task", nargs="+", metavar="T", help=_flags.tasks_help())
    add("--models", "--model", nargs="+", metavar="M", help="names or folders of models (default: minilm)")
    sentence = _flags.methods_help("or LABEL=NAME for a variant")
    add("--methods", "--method", nargs="+", metavar="NAME", help=sentence)
    enough = "a number of seeds, or the seeds (default: 5, on one task as many as can show a difference)"
    add("--seeds", nargs="+", type=_flags.integer, metavar="N", help=enough)
    add(
        "--tuning-seed",
        type=_flags.integer,
        metavar="N",
        help="seed of the tuning runs, which are not reported",
    )
    add("--option", action="extend", nargs="+", metavar="ROW.KEY=VALUE", help="option of a row's method")
    add("--keep-models", action="store_true", help="keep the weights of every run")
    add("--force", action="store_true", help="export the chosen model even if it predicts one constant")
    _flags.add_trackers(parser)


def add_rest(parser: _parser.Parser, skip: Sequence[str] = ()) -> None:
    """Flags of where the runs run, of a run but those in ``skip``, and of the methods."""
    _flags.add_engine(parser)
    _flags.add_run(parser, [*NOT_FLAGS, *skip])
    _flags.add_methods(parser)


def build(values: dict[str, Any]) -> Study:
    """The study that the flags describe.

    Raises:
        InputError: A value is out of its range, or names do not fit each other.
    """
    settings = _settings.run_settings(values)
    lr = settings.pop("lr", None)
    given: dict[str, Any] = {key: tuple(values.pop(key)) for key in LISTS if key in values}
    seeds = values.pop("seeds", [None])
    given |= {"lr": lr, "seeds": seeds[0] if len(seeds) == 1 else tuple(seeds)}
    if "baselines" in values:
        named = tuple(values.pop("baselines"))
        given["baselines"] = () if named == ("none",) else named
    given |= {key: values.pop(key) for key in ("control", "halving", "tuning_seed") if key in values}
    # Rows are known once the study is made, and options need rows.
    study = Study(**given, run=Run(**settings))
    return replace(study, options=_settings.method_options(values, dict(study.rows)))


def perform(
    values: dict[str, Any],
    plan_of: Callable[[dict[str, Any]], P],
    do: Callable[..., Shown],
) -> int:
    """Do what the flags say, and show it.

    Args:
        values: The flags' values, all of which are used here.
        plan_of: Makes the plan (a study, a sweep) of what is not about the way it is done.
        do: ``do(plan, out, engine=, console=, retries=, ...)``; under ``torchrun``, on every process.

    Returns:
        The exit code.
    """
    as_json, quiet = values.pop("json", False), values.pop("quiet", False)
    out = values.pop("out", "out")
    how = {key: values.pop(key) for key in HOW if key in values}
    plan = plan_of(values)
    engine = _flags.engine(values, out)
    console = None if quiet or not ranks.is_first() else Console(stderr=True)
    # Stdout is for the result alone; Ray would report there on nodes that left.
    with redirect_stdout(sys.stderr):
        outcome = do(plan, out, engine=engine, console=console, **how)
    if ranks.is_first():
        _show(outcome, as_json)
    return 1 if outcome.failures else 0


def _show(outcome: Shown, as_json: bool) -> None:
    if as_json:
        write_json(outcome.content)
    else:
        show(outcome.summary, wide())
        if outcome.files:
            sys.stdout.write("\n" + "\n".join(map(str, outcome.files)) + "\n")
    if outcome.failures:
        sys.stderr.write(f"pats: {outcome.failures} of the runs failed; the notes say why\n")
