"""Flags: made from the fields of ``Run`` and ``Noise``, read from a YAML file and the command line."""

import argparse
import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from pats._errors import InputError
from pats.run.presets import PRESETS
from pats.run.spec import Run, Value
from pats.study.engine import Engine, create

NOISE = "noise."  # marks the flags that are options of method pats, or of pats-paper where there is no pats
NOISY = ("pats", "pats-paper")
_RENAMED = {"eps": "optimizer-eps"}  # --eps is the ε of PATS
_NOISE_RENAMED = {"budget": "noise-budget"}
_EXTENDED = ("option", "task_option", "slurm", "space")  # given in a file and here, both hold
_DEEPEST = 3  # lists and mappings in each other that a setting may be
_DEEP = "is nested too deeply: settings are numbers, words, or lists and mappings of them"
_NOT_FLAGS = ("options", "task_options", "fingerprint", "weights", "method", "betas")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and whose absent flags leave no trace.

    Args:
        verb: The verb, such as ``"run"``.
        summary: What it does.
        example: Lines shown at the end of its help.
    """

    def __init__(self, verb: str, summary: str, example: str) -> None:
        super().__init__(
            prog=f"pats {verb}",
            description=summary,
            epilog=f"example:\n{inspect.cleandoc(example)}".replace("\n", "\n  "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise ``InputError`` instead of printing the usage."""
        raise InputError(f"{message} ({self.prog} --help tells the options)")

    def read(self, argv: Sequence[str]) -> dict[str, Any]:
        """The flags that were given, the file of ``--config`` first, so that the command line wins.

        Raises:
            InputError: A flag is unknown, lacks its value, or has one of another type.
        """
        values = vars(self.parse_args(argv))
        path = values.pop("config", None)
        if path is None:
            return values
        from_file = _as_flags(path)
        found, unknown = self.parse_known_args([text for flag in from_file for text in flag])
        if unknown:
            raise InputError(
                f"{path} has the unknown key {unknown[0].lstrip('-').partition('=')[0]!r}: its keys are "
                f"the flags of {self.prog} without their dashes"
            )
        merged = vars(found)
        for key, value in values.items():
            both = isinstance(value, list) and key in _EXTENDED
            merged[key] = [*merged.get(key, []), *value] if both else value
        merged.pop("config", None)
        return merged


def _as_flags(path: str) -> list[list[str]]:
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the file {path} of --config cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the file {path} of --config is no YAML ({reason}): mend it there") from None
    except RecursionError:
        raise InputError(f"the file {path} of --config {_DEEP}") from None
    if not isinstance(content, dict):
        raise InputError(f"the file {path} of --config must hold lines such as 'lr: 1e-4'")
    flags = []
    for key, value in content.items():
        flag = "--" + str(key).replace("_", "-")
        if _depth(value) > _DEEPEST:
            raise InputError(f"the key {key!r} of {path} {_DEEP}")
        if isinstance(value, Mapping):
            flags += [[flag, f"{name}={one}"] for name, one in _flat(value).items()]
        elif isinstance(value, list):
            flags.append([flag, *(str(one) for one in value)])
        elif value is True:
            flags.append([flag])
        elif value is not None and value is not False:
            flags.append([f"{flag}={value}"])
    return flags


def _depth(value: Any, limit: int = _DEEPEST + 1) -> int:
    """How many lists and mappings stand in each other, counted up to a limit: YAML's may hold themselves."""
    inner = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(inner, list | tuple | set | frozenset):
        return 0
    return 1 + max((_depth(one, limit - 1) for one in inner), default=0) if limit else 0


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


# ---------------------------------------------------------------------------------------- types


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def truth(text: str) -> bool:
    """True or false."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def value_of(text: str) -> Value:
    """What an option's text means: true, false, none, a number, else itself."""
    words: dict[str, Value] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def pairs(texts: Sequence[str], flag: str) -> dict[str, Value]:
    """``["key=value", ...]`` as a mapping.

    Raises:
        InputError: A text has no ``=``.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InputError(f"{flag} is {text!r}, but must be key=value")
        found[key.strip()] = value_of(value.strip())
    return found


# ------------------------------------------------------------------------------------ the flags


def add_shared(parser: Parser, out: str | None = None) -> None:
    """Flags of every verb that works: ``--config``, ``--json``, ``--quiet`` and, if told, ``--out``."""
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
        choices=list(PRESETS),
        help="paper: the paper's settings, the defaults; mtdnn: the set-up of MT-DNN's code, which it was "
        "built on; mtdnn-a: with the optimizer and schedule from before February 2022",
    )
    _add_fields(group, Run, "", [*_NOT_FLAGS, *skip])
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
    told = "trackers of Trainer's to report to, such as tensorboard (default: none)"
    parser.add_argument("--report-to", nargs="+", metavar="NAME", help=told)


def add_engine(parser: Parser) -> None:
    """Who runs the runs, and with what each."""
    group = parser.add_argument_group("who runs the runs")
    add = group.add_argument
    add("--engine", metavar="NAME", help="local (the default), ray or slurm")
    add("--workers", type=whole, metavar="N", help="runs at a time (default: what fits)")
    add("--cpus", type=whole, metavar="N", help="cores a run (default: what fits; on ray, slurm 1 a process)")
    add("--gpus", type=number, metavar="X", help="GPUs a run: a whole number, a share such as 0.5, or 0")
    add("--processes", type=whole, metavar="N", help="processes that share a run's batches (one a GPU)")
    add("--ray-address", metavar="HOST:PORT", help="head of a Ray cluster (default: this machine)")
    add(
        "--slurm",
        action="extend",
        nargs="+",
        metavar="KEY=VALUE",
        help="options of jobs, such as partition=gpu time=240 account=x, or cluster=local to try it out",
    )
    add("--retries", type=whole, metavar="N", help="attempts that a run may be lost in (default: 3)")


def engine(values: dict[str, Any], out: str) -> Engine | None:
    """Take the flags of ``add_engine`` but ``--retries`` out, and make the engine.

    Returns:
        None under ``torchrun``, whose processes do every run together.

    Raises:
        InputError: A value is out of its range, or what the engine needs is not there.
    """
    from pats.run import ranks

    names = ("workers", "cpus", "gpus", "processes")
    given = {key: values.pop(key) for key in names if key in values}
    address, options = values.pop("ray_address", None), pairs(values.pop("slurm", []), "--slurm")
    name = values.pop("engine", "local")
    if ranks.count() > 1:
        if name != "local":
            raise InputError(
                f"--engine {name} starts processes of its own: leave torchrun out, or the engine"
            )
        return None
    return create(name, Path(out), address=address, options=options, **given)


def add_noise(parser: Parser) -> None:
    """Every setting of ``Noise`` but its seed, which is ``--noise-seed``; and the scope."""
    from pats._noise import Noise

    group = parser.add_argument_group("settings of the method pats")
    _add_fields(group, Noise, NOISE, ["seed", "steps"])
    group.add_argument("--scope", dest=f"{NOISE}scope", metavar="TEXT", help="parameters that get noise")


def add_methods(parser: Parser) -> None:
    """``add_noise``, and the options of every other method as ``--METHOD-OPTION``."""
    from pats import methods

    add_noise(parser)
    for name, method in methods.registry().items():
        if name not in NOISY and method.option_fields():
            group = parser.add_argument_group(f"settings of the method {name}", method.summary)
            _add_fields(group, method.Options, f"{name}.", [], f"{name}-")


def methods_help(more: str = "pats is the default") -> str:
    """What can be named as a method."""
    from pats import methods

    return (
        f"{', '.join(methods.registry())}; several joined by +, such as noisytune+pats; my_module:MyMethod "
        f"for a class of your own; {more}"
    )


def _add_fields(group: Any, cls: type[Any], prefix: str, skip: Collection[str], start: str = "") -> None:
    hints, told = get_type_hints(cls), _help(cls)
    for field in fields(cls):
        if field.name in skip:
            continue
        kinds = get_args(hints[field.name]) or (hints[field.name],)
        renamed = _NOISE_RENAMED if prefix == NOISE else {} if prefix else _RENAMED
        name = renamed.get(field.name, field.name)
        convert, metavar = next(
            (found for kind, found in _CONVERTERS.items() if kind in kinds), (str, "TEXT")
        )
        alone = {"nargs": "?", "const": True} if convert is truth else {}  # the flag without a value is true
        group.add_argument(
            "--" + start + name.replace("_", "-"),
            dest=prefix + field.name,
            type=convert,
            metavar=metavar,
            **alone,
            help=told.get(field.name, "likewise"),  # a docstring may tell of two fields in one entry
        )


# bool first, as it is an int; float before int, as it takes both.
_CONVERTERS: dict[type, tuple[Any, str]] = {
    bool: (truth, "true|false"),
    float: (number, "X"),
    int: (whole, "N"),
}


def _help(cls: type[Any]) -> dict[str, str]:
    """The sentences of a docstring's ``Args:``, by field."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", told).replace("``", "").replace("%", "%%") for name, told in found}


# ---------------------------------------------------------------------------------- into a Run


def run_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of a run out of the flags' values."""
    names = {field.name for field in fields(Run)}
    settings = dict(PRESETS[values.pop("preset", "paper")])
    settings |= {key: values.pop(key) for key in list(values) if key in names}
    if "task_option" in values:
        settings["task_options"] = pairs(values.pop("task_option"), "--task-option")
    return settings


def noise_settings(values: dict[str, Any]) -> dict[str, Value]:
    """Take the settings of the noise out of the flags' values."""
    keys = [key for key in values if key.startswith(NOISE)]
    return {key.removeprefix(NOISE): values.pop(key) for key in keys}


def method_options(values: dict[str, Any], rows: Mapping[str, str]) -> dict[str, dict[str, Value]]:
    """Options of every row: of the methods' own flags, and of ``--option ROW.key=value``, which wins.

    Args:
        values: The flags' values; those that are used are taken out.
        rows: Method by row. Where there is one row alone, ``--option key=value`` is its.

    Raises:
        InputError: An option is for no row, or there are flags of a method and no row of it.
    """
    from pats import methods

    noise = noise_settings(values)
    used = {part for method in rows.values() for part in methods.parts(method)}
    noisy = next((name for name in NOISY if name in used), "pats")
    if noisy in used:
        _check_size(noise, noisy)
    settings = {noisy: noise}
    for name in methods.registry():
        keys = [key for key in values if key.startswith(f"{name}.")]
        settings.setdefault(name, {}).update({key.partition(".")[2]: values.pop(key) for key in keys})
    options: dict[str, dict[str, Value]] = {}
    for name, given in settings.items():
        ours = [row for row, method in rows.items() if name in methods.parts(method)]
        if given and not ours:
            key = next(iter(given))
            flag = "--" + (_NOISE_RENAMED.get(key, key) if name in NOISY else f"{name}-{key}")
            flag = flag.replace("_", "-")
            raise InputError(
                f"{flag} is a setting of the method {name}, which is not used here: leave it out, or use "
                f"{name}"
            )
        for row in ours if given else ():
            prefix = f"{name}." if len(methods.parts(rows[row])) > 1 else ""
            options.setdefault(row, {}).update({prefix + key: value for key, value in given.items()})
    for name, value in pairs(values.pop("option", []), "--option").items():
        row, key = _row_of(name, rows)
        if row not in rows:
            raise InputError(
                f"--option {name!r} is for no row: write ROW.key=value with a row of {', '.join(rows)}"
            )
        options.setdefault(row, {})[key] = value
    return options


def _check_size(noise: Mapping[str, Value], method: str) -> None:
    """Refuse a size of the noise that its scale does not use, in the words of the flags."""
    from pats import methods
    from pats._noise import SIZES

    scale = noise.get("scale", methods.registry()[method].Options().scale)
    for other, (name, _) in SIZES.items():
        if other != scale and noise.get(name) is not None:
            instead = SIZES[str(scale)][0] if scale in SIZES else "budget"
            raise InputError(
                f"--{_NOISE_RENAMED.get(name, name)} goes with --scale {other} only, and the scale of "
                f"{method} is {scale}: add --scale {other}, or set --{_NOISE_RENAMED.get(instead, instead)}"
            )


def _row_of(name: str, rows: Mapping[str, str]) -> tuple[str, str]:
    """Row and key of ``ROW.key`` or, where there is one row alone, of ``key``; "" is no row."""
    owners = [row for row in rows if name.startswith(f"{row}.")]
    if owners:
        row = max(owners, key=len)
        return row, name[len(row) + 1 :]
    alone = next(iter(rows)) if len(rows) == 1 else ""
    from pats import methods

    head, dot, _ = name.partition(".")
    return (alone if not dot or (alone and head in methods.parts(rows[alone])) else ""), name
