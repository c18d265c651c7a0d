"""The parser of a verb: the command line and the YAML file of ``--config`` as one set of values."""

import argparse
import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from pats._errors import InputError, did_you_mean
from pats.cli._config import as_flags

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
        values = self._filled(vars(given))
        path = values.pop("config", None)
        if path is None:
            return values
        from_file = as_flags(path)
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
        return self._filled(merged)

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values, if that of no flag is empty, as a shell's variable is that nobody set."""
        for one in self._actions:
            if one.option_strings and values.get(one.dest) in ("", [""]):
                raise InputError(f"{one.option_strings[-1]} is empty: give it a value, or leave it out")
        return values

    def _flags(self) -> list[str]:
        return [flag for flag in self._option_string_actions if flag.startswith("--")]
