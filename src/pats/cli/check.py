"""``pats check``: how much noise a run would accumulate."""

import sys
from collections.abc import Sequence
from dataclasses import asdict

from pats.cli import _flags, _parser
from pats.cli._output import write_json
from pats.cli.run import build
from pats.measure.check import check

EXAMPLE = """
pats check --task rte --data glue/ --model minilm --lr 3e-4 --scale constant --lam 2e-6
"""


def main(argv: Sequence[str]) -> int:
    """Check as the flags say."""
    parser = _parser.Parser(
        "check", "Measure a few batches, and compare the noise of a PATS run with its weights.", EXAMPLE
    )
    _flags.add_shared(parser)
    parser.add_argument("--seed", type=_flags.integer, metavar="N", help="sets all three seeds")
    parser.add_argument("--batches", type=_flags.integer, metavar="N", help="batches to measure (8)")
    _flags.add_run(parser)
    _flags.add_noise(parser)
    values = parser.read(argv)
    as_json = values.pop("json", False)
    values.pop("quiet", None)
    count = values.pop("batches", 8)
    measured = check(build(values), count=count)
    if as_json:
        write_json(asdict(measured))
        return 0
    lines = [
        f"Accumulated noise over the spread of the weights, after {measured.steps} steps "
        f"(from {measured.batches} batches; path: {measured.path}):"
    ]
    width = max((len(name) for name in measured.accumulated), default=0)
    lines += [f"  {name:{width}}  {value:.3g}" for name, value in measured.accumulated.items()]
    lines += [f"Note: {measured.measured}."] if measured.measured else []
    lines += [f"Warning: {warning}" for warning in measured.warnings]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
