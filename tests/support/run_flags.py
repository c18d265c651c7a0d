"""The flags of ``pats run``, read without running."""

from pats.cli import _flags, _parser, run
from pats.run.spec import Run


def run_of(*argv: str) -> Run:
    """The run that these flags ask for."""
    parser = _parser.Parser("run", "", "")
    parser.add_argument("--method")
    parser.add_argument("--seed", type=_flags.integer)
    parser.add_argument("--option", action="extend", nargs="+")
    parser.add_argument("--config")
    _flags.add_run(parser)
    _flags.add_noise(parser)
    return run.build(parser.read(argv))
