"""Fine-tuning methods by name; adding one is a file here with one subclass of ``Method``."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pats._errors import InputError, did_you_mean
from pats._registry import members, of_ones_own
from pats.methods._batch import MicroBatch, PassClock
from pats.methods._compose import Composite
from pats.methods._divergence import divergence
from pats.methods._method import ASPECTS, Method, Training, anchors
from pats.methods._options import NoOptions, Value, choice, number, option

__all__ = [
    "ASPECTS",
    "Composite",
    "Method",
    "MicroBatch",
    "NoOptions",
    "PassClock",
    "Training",
    "Value",
    "anchors",
    "choice",
    "create",
    "divergence",
    "find",
    "noisy",
    "number",
    "option",
    "parts",
    "registry",
]


@cache
def registry() -> Mapping[str, type[Method[Any]]]:
    """Every method of this package by its name, in alphabetic order."""
    return {method.name: method for method in sorted(members(__name__, Method), key=lambda one: one.name)}


def noisy() -> tuple[str, ...]:
    """Names of the methods whose options are settings of ``Noise``, in alphabetic order."""
    return tuple(name for name, method in registry().items() if method.noisy)


def parts(name: str) -> tuple[str, ...]:
    """Names of the methods that a name means: ``"noisytune+pats"`` is two."""
    return tuple(part.strip() for part in name.split("+"))


def create(name: str, options: Mapping[str, Value] | None = None) -> Method[Any]:
    """The method of this name with these options.

    Args:
        name: One of ``registry()``; ``my_module:MyMethod`` for a class of your own, which is looked
            for in Python's path and the current folder; or several of them, joined by ``+``.
        options: Values by name; missing ones take their defaults. Several methods' options are
            ``part.option``, or ``option`` alone where one part has it.

    Raises:
        InputError: There is no such method, methods do not go together, or an option is unknown or out
            of its range.
    """
    names = parts(name)
    if len(names) == 1:
        return find(names[0])(options)
    if len(set(names)) < len(names):
        raise InputError(f"{name!r} names one method twice: name it once")
    return Composite({part: find(part) for part in names}, options or {})


def find(name: str) -> type[Method[Any]]:
    """The class of one method.

    Raises:
        InputError: There is no method of this name, or it cannot be used.
    """
    if ":" in name:
        return _of_ones_own(name)
    methods = registry()
    if name not in methods:
        raise _unknown(name)
    return methods[name]


def _unknown(name: str) -> InputError:
    from pats import baselines  # which needs numpy, as this package does not

    simple = baselines.registry()
    if name in simple:
        return InputError(f"{name!r} is no fine-tuning: name it by itself, in pats run or pats compare")
    return InputError(
        f"there is no method {name!r}{did_you_mean(name, [*registry(), *simple])}; the methods are: "
        f"{', '.join(registry())}, several of them joined by '+', or my_module:MyMethod for a class of "
        f"your own; and {', '.join(simple)}, which are no fine-tuning"
    )


def _of_ones_own(reference: str) -> type[Method[Any]]:
    method = of_ones_own(reference, Method, "method", __name__)
    for aspect in method.changes:
        if aspect not in ASPECTS:
            raise InputError(
                f"the method {reference!r} says that it changes {aspect!r}, but must choose from: "
                f"{', '.join(ASPECTS)}"
            )
    return method
