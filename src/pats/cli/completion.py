"""``pats completion``: a script with which a shell completes verbs, flags and the names they take."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from pats import methods, setups, tasks
from pats._imports import try_import
from pats.cli import VERBS, _parser
from pats.study import place
from pats.study.plan import propose

EXAMPLE = """
pats completion bash > ~/.local/share/bash-completion/completions/pats
pats completion zsh > "${fpath[1]}/_pats"
"""

# What a flag may be followed by, by its place in the values; a flag takes other names, too.
NAMES: Mapping[str, Sequence[str]] = {
    "task": tuple(tasks.registry()),
    "tasks": tuple(tasks.registry()),
    "method": tuple(methods.registry()),
    "methods": tuple(methods.registry()),
    "setup": tuple(setups.setups()),
    "optimizer": tuple(setups.optimizers()),
    "schedule": tuple(setups.schedules()),
    "engine": tuple(place.registry()),
    "proposer": propose.NAMES,
}
PATHS = {"DIR": "DIRECTORY", "OUT": "DIRECTORY", "FILE": "FILE", "TABLE": "FILE"}  # in shtab's words


def main(argv: Sequence[str]) -> int:
    """Print the script."""
    parser = _parser.Parser(
        "completion", "Print a script that completes verbs and flags in a shell.", EXAMPLE
    )
    parser.add_argument("shell", metavar="SHELL", choices=["bash", "zsh"], help="bash or zsh")
    shell = parser.read(argv)["shell"]
    shtab = try_import("shtab", "run")
    sys.stdout.write(shtab.complete(_whole(shtab), shell=shell))
    return 0


def _whole(shtab: ModuleType) -> argparse.ArgumentParser:
    """All verbs in one parser, for shtab to look at."""
    whole = argparse.ArgumentParser("pats")
    whole.add_argument("--version", action="store_true", help="show the version and the kernel")
    verbs = whole.add_subparsers(help="what to do")
    for verb, summary in VERBS.items():
        one = verbs.add_parser(verb, help=summary, parents=[_parser.parser_of(verb)], add_help=False)
        for action in one._actions:  # shtab reads them, too: argparse has no public list
            if action.dest in NAMES:
                action.choices = NAMES[action.dest]
            elif action.metavar in PATHS:
                vars(action)["complete"] = getattr(shtab, PATHS[str(action.metavar)])
    return whole
