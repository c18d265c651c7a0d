"""``pats VERB --help``: a page for every verb that is there at once, as no parser is built for it.

The pages are in ``help``, written from the parsers by ``tests/golden/make_help.py``. ``--help-all`` asks the
parser itself for everything.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from pats.cli._parser import parser_of

FOLDER = Path(__file__).parent / "help"
METHODS = Path(__file__).parents[1] / "methods"  # whose files are the methods
WIDTH = 100

_TABLE = {
    "--data": ("TABLE", "a table of texts and labels (CSV, JSON, Parquet, Excel), or the folder of --tasks"),
    "--text": ("COL", "column of the text, or several that are joined (default: by its name)"),
    "--text-pair": ("COL", "column of the second text, for pairs (default: by its name)"),
    "--label": ("COL", "column of the label, or several of 0 and 1 (default: by its name)"),
    "--kind": ("KIND", "classification, regression or multilabel (default: by the labels)"),
    "--dev": ("TABLE", "table of the dev split, where --data is train (default: made from train)"),
    "--test": ("TABLE", "table of the test split (default: made from --data)"),
    "--group": ("COL", "column, such as an author, whose equal cells stay in one split (default: none)"),
    "--time": ("COL", "column of dates; train gets the oldest rows, test the newest (default: none)"),
    "--metric": ("NAME", "what decides, such as accuracy or macro_f1 (default: by the labels)"),
}
_RUN = {
    "--lr": ("X", "peak learning rate"),
    "--epochs": ("X", "passes over the training data (default: 5)"),
    "--steps": ("N", "optimizer steps, in place of --epochs (default: none)"),
    "--batch-size": ("N", "examples a step (default: 32)"),
    "--max-length": ("N", "tokens of a text that the model reads (default: 128)"),
}
# Of verbs with a hundred flags, those that most people need; with a value and a sentence where the parser's
# own are for experts. Other verbs show all of theirs.
USUAL: Mapping[str, Mapping[str, tuple[str, str] | None]] = {
    "compare": {
        **_TABLE,
        **dict.fromkeys(("--folds", "--time-limit", "--methods", "--models", "--seeds", "--baselines")),
        **dict.fromkeys(("--tasks", "--lr-grid", "--preset", "--engine", "--workers", "--gpus")),
        "--lr": ("X", "one learning rate for all methods (default: searched for, see above)"),
        **dict.fromkeys(("--out", "--config", "--json", "--quiet")),
    },
    "run": {
        "--task": None,
        **_TABLE,
        **dict.fromkeys(("--model", "--method", "--seed")),
        **_RUN,
        **dict.fromkeys(("--preset", "--out", "--config", "--json", "--quiet")),
    },
    "sweep": dict.fromkeys(
        (
            *("--tasks", "--models", "--methods", "--data", "--trials", "--space", "--proposer", "--seeds"),
            *("--preset", "--workers", "--out", "--config", "--json", "--quiet"),
        )
    ),
    "check": {
        **dict.fromkeys(("--task", "--model", "--seed", "--batches")),
        **{flag: _TABLE[flag] for flag in ("--data", "--text", "--label")},
        **_RUN,
        **dict.fromkeys(("--scale", "--noise-budget", "--preset", "--config", "--json", "--quiet")),
    },
    "data-size": dict.fromkeys(
        (
            *("--tasks", "--models", "--methods", "--data", "--fractions", "--seeds", "--lr"),
            *("--preset", "--workers", "--out", "--config", "--json", "--quiet"),
        )
    ),
}


def page(verb: str) -> str:
    """The help of a verb, from its file; all of it where somebody has added a method, a task or an engine."""
    text = (FOLDER / f"{verb}.txt").read_text("utf-8")
    methods = [path.stem for path in METHODS.glob("[!_]*.py")]
    new = "--method" in text and not {*methods} <= {*re.findall(r"[\w-]+", text)}
    known = not new and "pats.methods" not in sys.modules
    return text if known or render(verb) == text else parser_of(verb).format_help()


def render(verb: str) -> str:
    """The help of a verb, made from its parser."""
    parser = parser_of(verb)
    usual, data = USUAL.get(verb), {"--data": _TABLE["--data"]}
    positional = [one for one in parser._actions if not one.option_strings]
    flags = {flag: one for one in parser._actions for flag in one.option_strings}
    given = " ".join(one.metavar if isinstance(one.metavar, str) else one.dest for one in positional)
    formatter = argparse.HelpFormatter(f"pats {verb}", max_help_position=26, width=WIDTH)
    formatter.start_section("options")
    formatter.add_arguments(positional)
    if usual is None:
        formatter.add_arguments(dict.fromkeys(one for one in parser._actions if one.option_strings))
    else:
        formatter.add_arguments(
            _shown(flags[flag], flag, own or data.get(flag)) for flag, own in usual.items()
        )
        hidden = len({*flags.values()}) - len(usual) - 1
        formatter.add_argument(
            argparse.Action(["--help-all"], "help_all", nargs=0, help=f"show {hidden} more options")
        )
    formatter.end_section()
    described = "\n".join(textwrap.wrap(parser.description or "", WIDTH))
    usage = f"usage: pats {verb} {given + ' ' if given else ''}[options]"
    return f"{usage}\n\n{described}\n\n{formatter.format_help()}\n{parser.epilog}\n"


def _shown(action: argparse.Action, flag: str, own: tuple[str, str] | None) -> argparse.Action:
    metavar, sentence = own or (action.metavar, action.help)
    return argparse.Action(
        [flag], action.dest, nargs=action.nargs, metavar=metavar, help=sentence, choices=action.choices
    )
