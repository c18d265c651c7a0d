"""``pats sweep``: search hyper-parameters, then compare the winners on fresh seeds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pats._errors import InputError
from pats.cli import _flags, _parser, _study
from pats.study import Study
from pats.study.plan.space import Dimension, parse
from pats.study.plan.tuned import without_baselines
from pats.study.sweep import Sweep, sweep

EXAMPLE = """
pats sweep --tasks rte --data glue/ --models minilm --methods vanilla pats --trials 30 --out out/sweep
pats sweep --data reviews.csv --methods vanilla pats --space lr=1e-5..1e-3 pats.budget=0.01..0.2
pats sweep --tasks cola --data glue/ --methods pats --proposer random --halving 3 --trials 27 --epochs 9
"""


def main(argv: Sequence[str]) -> int:
    """Search as the flags say."""
    parser = _parser.Parser(
        "sweep",
        "Search hyper-parameters with the same number of trials for every method, by default over the "
        "paper's Table 3, then run each winner on fresh seeds; finished runs are never repeated.",
        EXAMPLE,
    )
    _study.add_grid(parser, "folder of the sweep (default: out)")
    group = parser.add_argument_group("the search")
    add = group.add_argument
    add("--trials", type=_flags.integer, metavar="N", help="trials for every method, task and model (20)")
    add("--proposer", metavar="NAME", help="tpe (the default), random or grid")
    add(
        "--space",
        action="extend",
        nargs="+",
        metavar="[ROW.]KEY=VALUES",
        help="what to search: 1e-5,1e-4 or a range 1e-5..1e-3, for one row or for all that have the key",
    )
    add("--batch", type=_flags.integer, metavar="N", help="trials proposed at a time (5)")
    add("--halving", type=_flags.integer, metavar="N", help="promote the best 1/N to N times the epochs")
    add("--search-seed", type=_flags.integer, metavar="N", help="seed of the proposals (0)")
    _study.add_rest(parser)
    return _study.perform(parser.read(argv), build, _do)


def _do(plan: Sweep, out: str, **how: Any) -> _study.Shown:
    result = sweep(plan, out, **how)
    return _study.Shown(result.to_dict(), result.study.page, result.study.failures)


def build(values: dict[str, Any]) -> Sweep:
    """The sweep that the flags describe.

    Raises:
        InputError: A value is out of its range, or names do not fit each other.
    """
    names = ("trials", "proposer", "batch", "halving")
    given = {name: values.pop(name) for name in names if name in values}
    if "search_seed" in values:
        given["seed"] = values.pop("search_seed")
    texts = values.pop("space", [])
    study = without_baselines(replace(_study.build(values), control=False), "a search")
    return Sweep(study, **given, space=spaces(texts, study))


def spaces(texts: Sequence[str], study: Study) -> dict[str, dict[str, Dimension]]:
    """Dimensions by row, from ``[ROW.]KEY=VALUES``.

    Raises:
        InputError: A text has no ``=``, or names no row.
    """
    from pats.study.plan.space import OF_RUN

    by_row: dict[str, dict[str, Dimension]] = {label: {} for label, _ in study.rows}
    for text in texts:
        name, equals, values = text.partition("=")
        row, _, key = name.strip().rpartition(".")
        if not (equals and key):
            raise InputError(f"--space is {text!r}, but must be KEY=VALUES or ROW.KEY=VALUES")
        if row and row not in by_row:
            raise InputError(f"--space {name!r} is for no row: the rows are {', '.join(by_row)}")
        dimension = parse(key, values)
        knowing = [
            label
            for label, method in study.rows
            if row in ("", label) and (row or key in OF_RUN or key in _options(method))
        ]
        if not knowing:
            raise InputError(f"--space {name!r} is an option of none of the rows {', '.join(by_row)}")
        for label in knowing:
            by_row[label][key] = dimension
    return by_row


def _options(method: str) -> set[str]:
    from pats import methods

    return {field.name for part in methods.parts(method) for field in methods.create(part).option_fields()}
