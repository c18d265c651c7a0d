"""The parser of a verb: the command line and the YAML file of ``--config`` as one set of values."""

import argparse
import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from pats._errors import InputError, did_you_mean

_DEEPEST = 3  # lists and mappings in each other that a setting may be
_DEEP = "is nested too deeply: settings are numbers, words, or lists and mappings of them"
DESCRIBE: tuple[str, ...] = ("",)  # given to a verb in place of its flags, asks for its parser


class Described(Exception):
    """The answer to ``DESCRIBE``."""

    def __init__(self, parser: "Parser") -> None:
        super().__init__(parser.prog)
        self.parser = parser


def parser_of(verb: str) -> "Parser":
    """The parser of a verb, whose module is imported."""
    try:
        import_module(f"pats.cli.{verb.replace('-', '_')}").main(DESCRIBE)
    except Described as described:
        return described.parser
    raise AssertionError(f"pats.cli.{verb} does not read its flags")


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
        raise InputError(f"{message} ({self.prog} --help-all lists the options)")

    def read(self, argv: Sequence[str]) -> dict[str, Any]:
        """The flags that were given, the file of ``--config`` first, so that the command line wins.

        Raises:
            InputError: A flag is unknown, lacks its value, or has one of another type.
            Described: The arguments are ``DESCRIBE``.
        """
        if argv is DESCRIBE:
            raise Described(self)
        given, extra = self.parse_known_args(argv)
        if extra:
            perhaps = did_you_mean(extra[0].partition("=")[0], self._flags())
            raise InputError(
                f"unrecognized arguments: {' '.join(extra)}{perhaps}; {self.prog} --help-all lists the "
                "options"
            )
        values = vars(given)
        path = values.pop("config", None)
        if path is None:
            return values
        from_file = _as_flags(path)
        from_flags, unknown = self.parse_known_args([text for flag in from_file for text in flag])
        if unknown:
            key = unknown[0].lstrip("-").partition("=")[0]
            perhaps = did_you_mean(key, [flag.lstrip("-") for flag in self._flags()])
            raise InputError(
                f"{path} has the unknown key {key!r}{perhaps}: its keys are the flags of {self.prog} without "
                "their dashes"
            )
        merged = vars(from_flags)
        # Of a flag that may be given several times, what the file and the command line say both hold.
        extended = {one.dest for one in self._actions if isinstance(one, argparse._ExtendAction)}
        for key, value in values.items():
            both = isinstance(value, list) and key in extended
            merged[key] = [*merged.get(key, []), *value] if both else value
        merged.pop("config", None)
        return merged

    def _flags(self) -> list[str]:
        return [flag for flag in self._option_string_actions if flag.startswith("--")]


def _as_flags(path: str) -> list[list[str]]:
    import yaml

    try:
        written = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a name with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the file {path} of --config cannot be read: {reason}") from None
    try:
        content = yaml.safe_load(written.decode())
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        # A tag such as !!int before what is none raises what its reader happens to raise.
        reason = (str(error) or type(error).__name__).splitlines()[0]
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
    """How deep lists and mappings are nested, counted up to a limit: YAML's may hold themselves."""
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
