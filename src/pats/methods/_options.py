"""Options of a method: fields of a frozen dataclass, each with its range and where its default comes from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_type_hints

from pats._errors import InputError, did_you_mean

Value = int | float | bool | str | None


@dataclass(frozen=True)
class NoOptions:
    """A method without options."""


def option(default: Value, allowed: str, fine: Callable[[Any], bool], source: str = "") -> Any:
    """A field of an options dataclass.

    Args:
        default: Its default.
        allowed: Its range in words, as in "x is 3, but must be <allowed>".
        fine: Whether a value lies in the range; it sees values of the field's type only, but None.
        source: Where the default comes from.
    """
    return field(default=default, metadata={"allowed": allowed, "fine": fine, "source": source})


def number(
    default: float | None, low: float = 0, high: float = math.inf, *, above: bool = False, source: str = ""
) -> Any:
    """A field for a finite number from ``low`` to ``high``; ``above`` leaves ``low`` itself out."""
    start = f"above {low:g}" if above else f"at least {low:g}"
    end = "" if high == math.inf else f" and at most {high:g}"

    def fine(value: float) -> bool:
        return math.isfinite(value) and low <= value <= high and not (above and value == low)

    return option(default, f"a number {start}{end}", fine, source)


def choice(*allowed: str, source: str = "") -> Any:
    """A field for one of some words, the first of which is the default."""
    return option(allowed[0], f"one of: {', '.join(allowed)}", allowed.__contains__, source)


def scope(default: str | None, source: str = "") -> Any:
    """A field for a scope in words, as in ``pats.scope``."""
    return option(default, "a scope: all, encoder, pretrained or a regular expression", bool, source)


def parsed(method: str, cls: type[Any], known: tuple[Field[Any], ...], values: Mapping[str, Value]) -> Any:
    """The options of a method, checked.

    Args:
        method: The method's name, for messages.
        cls: The options' dataclass.
        known: The fields that a user may set.
        values: Values by name.

    Raises:
        InputError: An option is unknown, of another type, or out of its range.
    """
    hints, names = get_type_hints(cls), {f.name for f in known}
    for name, value in values.items():
        if name not in names:
            allowed = f"its options are: {', '.join(sorted(names))}" if names else "it has none"
            raise InputError(
                f"method {method!r} has no option {name!r}{did_you_mean(name, names)}; {allowed}"
            )
        if not _fits(value, hints[name]):
            raise InputError(
                f"option {name!r} of method {method!r} is {value!r}, but must be {in_words(hints[name])}"
            )
    for f in fields(cls):
        value = values.get(f.name)
        if value is not None and "fine" in f.metadata and not f.metadata["fine"](value):
            raise InputError(f"{f.name} is {value!r}, but must be {f.metadata['allowed']}")
    return cls(**values)


def default_of(f: Field[Any]) -> Any:
    """A field's default."""
    assert f.default is not MISSING, f"option {f.name} needs a default"
    return f.default


def _fits(value: object, kind: Any) -> bool:
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, bool) or value is None:
        return type(value) in kinds
    if isinstance(value, int) and float in kinds:
        return True
    return isinstance(value, kinds) and not (isinstance(value, float) and math.isnan(value))


def in_words(kind: Any) -> str:
    """An option's type in words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return " or ".join(words.get(kind, "nothing") for kind in kinds)
