"""The flags of the verbs: made from the fields of ``Run``, ``Noise`` and the methods' options."""

import argparse
import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from pats import setups
from pats._errors import InputError
from pats.cli._parser import Parser
from pats.cli._settings import NOISE, NOISE_RENAMED, pairs
from pats.run.spec import Run
from pats.study import place
from pats.study.command import RENAMED

_NOT_FLAGS = (
    *("text", "label", "options", "task_options", "fingerprint", "weights", "method", "betas"),
    *("folds", "fold"),  # of a comparison, which adds --folds itself
)


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


_UNITS = {"h": 3600, "m": 60, "s": 1}
_TIMES = (
    r"(?P<s>\d+(?:\.\d+)?)",
    r"(?P<h>\d+)h(?P<m>\d\d)",
    r"(?:(?P<h>\d+(?:\.\d+)?)h)? ?(?:(?P<m>\d+(?:\.\d+)?) ?m(?:in)?)? ?(?:(?P<s>\d+(?:\.\d+)?) ?s)?",
)


def seconds(text: str) -> float | None:
    """A time such as 90s, 20min, 1h30 or 45 (seconds); none is no limit."""
    if text.lower() == "none":
        return None
    text = text.strip()
    match = next((found for form in _TIMES if (found := re.fullmatch(form, text.lower()))), None)
    parts = {} if match is None else match.groupdict(default="0")
    total = sum(_UNITS[unit] * float(value) for unit, value in parts.items())
    if not total:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 90s, 20min, 1h30, seconds alone, or none"
        )
    return total


def truth(text: str) -> bool:
    """True or false."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def add_shared(parser: Parser, out: str | None = None) -> None:
    """Flags of every verb that works: ``--config``, ``--json``, ``--quiet``; ``--out`` where it has help."""
    if out is not None:
        parser.add_argument("--out", metavar="DIR", help=out)
    parser.add_argument("--config", metavar="FILE", help="YAML file of flags; flags given here win")
    parser.add_argument("--json", action="store_true", help="write the result as JSON on stdout")
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def add_run(parser: Parser, skip: Collection[str] = ()) -> None:
    """Every setting of a run that is a plain value, but those in ``skip``."""
    group = parser.add_argument_group("settings of a run")
    group.add_argument(
        "--preset",
        choices=list(setups.presets()),
        help="; ".join(f"{name}: {preset.summary}" for name, preset in setups.presets().items()),
    )
    _add_fields(group, Run, "", [*_NOT_FLAGS, *skip], sentences={"task": tasks_help()})
    for name in ("text", "label"):
        if name not in skip:
            group.add_argument(f"--{name}", nargs="+", metavar="COL", help=_help(Run)[name])
    group.add_argument("--betas", nargs=2, type=number, metavar="X", help=_help(Run)["betas"])
    group.add_argument(
        "--task-option",
        action="extend",
        nargs="+",
        metavar="KEY=VALUE",
        help="option of the embedded task, such as size=1000",
    )


def add_trackers(parser: Parser) -> None:
    """``--report-to``."""
    sentence = "trackers of Trainer's to report to, such as tensorboard (default: none)"
    parser.add_argument("--report-to", nargs="+", metavar="NAME", help=sentence)


def add_engine(parser: Parser) -> None:
    """Who runs the runs, and with what each."""
    group = parser.add_argument_group("where the runs run")
    add = group.add_argument
    names = [f"{name} (the default)" if name == place.DEFAULT else name for name in place.registry()]
    engines = f"{', '.join(names[:-1])} or {names[-1]}; my_module:MyEngine for a class of your own"
    add("--engine", metavar="NAME", help=engines)
    add("--workers", type=integer, metavar="N", help="runs at a time (default: what fits)")
    add(
        "--cpus",
        type=integer,
        metavar="N",
        help="cores a run (default: what fits; on ray, slurm 1 a process)",
    )
    add(
        "--gpus",
        type=number,
        metavar="X",
        help="GPUs a run: a whole number, a share such as 0.5, or 0 (default: what a GPU holds)",
    )
    add("--processes", type=integer, metavar="N", help="processes that share a run's batches (one a GPU)")
    for flag in _of_engines():
        many: dict[str, Any] = {"action": "extend", "nargs": "+"} if flag.pairs else {}
        add(flag.name, metavar=flag.metavar, help=flag.help, **many)
    add("--retries", type=integer, metavar="N", help="lost attempts before giving up a run (default: 3)")


def engine(values: dict[str, Any], out: str) -> place.Placer | None:
    """Take the flags of ``add_engine`` but ``--retries`` out, and make the engine.

    Returns:
        None under ``torchrun``, whose processes do every run together.

    Raises:
        InputError: A value is out of its range, or what the engine needs is not there.
    """
    from pats.run import ranks

    names = ("workers", "cpus", "gpus", "processes")
    given = {key: values.pop(key) for key in names if key in values}
    flags = {flag.name: _taken(flag, values) for flag in _of_engines()}
    name = values.pop("engine", place.DEFAULT)
    if ranks.count() > 1:
        if name != place.DEFAULT:
            raise InputError(
                f"--engine {name} starts processes of its own: leave torchrun out, or the engine"
            )
        return None
    return place.create(name, Path(out), flags=flags, **given)


def _of_engines() -> list[place.Flag]:
    return [flag for engine in place.registry().values() for flag in engine.flags.values()]


def _taken(flag: place.Flag, values: dict[str, Any]) -> Any:
    """The value of an engine's own flag, taken out; None where it was not given."""
    value = values.pop(flag.name.lstrip("-").replace("-", "_"), None)
    return pairs(value, flag.name) if flag.pairs and value else value


def add_noise(parser: Parser) -> None:
    """Every setting of ``Noise`` but its seed (``--noise-seed``) and what a run knows; and the scope."""
    from pats._noise import Noise

    group = parser.add_argument_group("settings of the method pats")
    _add_fields(group, Noise, NOISE, ["seed", "steps", "examples"])
    group.add_argument("--scope", dest=f"{NOISE}scope", metavar="TEXT", help="parameters that get noise")


def add_methods(parser: Parser) -> None:
    """``add_noise``, and the options of every other method as ``--METHOD-OPTION``."""
    from pats import methods

    add_noise(parser)
    for name, method in methods.registry().items():
        if not method.noisy and method.option_fields():
            group = parser.add_argument_group(f"settings of the method {name}", method.summary)
            _add_fields(group, method.Options, f"{name}.", [], f"{name}-")


def methods_help(more: str = "pats is the default") -> str:
    """What can be named as a method."""
    from pats import baselines, methods

    return (
        f"{', '.join(methods.registry())}; {', '.join(baselines.registry())}, which are no fine-tuning; "
        f"several joined by +, such as noisytune+pats; my_module:MyMethod "
        f"for a class of your own; {more}"
    )


def tasks_help() -> str:
    """What can be named as a task."""
    from pats import tasks

    names = ", ".join(tasks.registry())
    return f"{names}; my_module:MyTask for a class of your own; none takes the table of --data"


def _add_fields(
    group: Any,
    cls: type[Any],
    prefix: str,
    skip: Collection[str],
    start: str = "",
    sentences: Mapping[str, str] = MappingProxyType({}),
) -> None:
    hints, sentences = get_type_hints(cls), _help(cls) | dict(sentences)
    for field in fields(cls):
        if field.name in skip:
            continue
        kinds = get_args(hints[field.name]) or (hints[field.name],)
        renamed = NOISE_RENAMED if prefix == NOISE else {} if prefix else RENAMED
        name = renamed.get(field.name, field.name)
        convert, metavar = next(
            (converter for kind, converter in _CONVERTERS.items() if kind in kinds), (str, "TEXT")
        )
        alone = {"nargs": "?", "const": True} if convert is truth else {}  # the flag without a value is true
        group.add_argument(
            "--" + start + name.replace("_", "-"),
            dest=prefix + field.name,
            type=convert,
            metavar=metavar,
            **alone,
            help=sentences.get(field.name, "as above"),  # one entry of a docstring may describe two fields
        )


# bool first, as it is an int; float before int, as it takes both.
_CONVERTERS: dict[type, tuple[Any, str]] = {
    bool: (truth, "true|false"),
    float: (number, "X"),
    int: (integer, "N"),
}


def _help(cls: type[Any]) -> dict[str, str]:
    """The sentences of a docstring's ``Args:``, by field."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {
        name: re.sub(r"\s+", " ", sentence).replace("``", "").replace("%", "%%") for name, sentence in entries
    }
