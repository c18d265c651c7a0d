"""``pats watch``: how far a comparison is, from its folder alone."""

import time
from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.live import Live

from pats.cli import _parser
from pats.cli._output import write_json
from pats.study.store.results import Store
from pats.study.watch import REFRESH, Pace, RunState, Watched, draw

EXAMPLE = """
pats watch out
pats watch out --json
"""


def main(argv: Sequence[str]) -> int:
    """Show the state once, or on a terminal until all runs have ended."""
    parser = _parser.Parser(
        "watch", "Show the progress of a comparison, whether it still runs or not.", EXAMPLE
    )
    parser.add_argument("folder", metavar="OUT", help="folder of the comparison")
    parser.add_argument("--once", action="store_true", help="show it once")
    parser.add_argument("--json", action="store_true", help="write the state once, as JSON on stdout")
    values = parser.read(argv)
    watched, clock = Watched(Store(values["folder"])), Pace()
    states = watched.look()
    console = Console()
    if values.get("json"):
        write_json([state.to_dict() for state in states])
    elif values.get("once") or not console.is_terminal:
        console.print(draw(states, watched.left(None), watched.coming))
    else:
        with Live(console=console, auto_refresh=False) as live:
            live.update(_drawn(watched, clock, states), refresh=True)
            while any(state.state in ("waiting", "running") for state in states):
                time.sleep(REFRESH)
                states = watched.look()
                live.update(_drawn(watched, clock, states), refresh=True)
    return 0


def _drawn(watched: Watched, clock: Pace, states: Sequence[RunState]) -> RenderableType:
    return draw(states, watched.left(clock.left(states)), watched.coming)
