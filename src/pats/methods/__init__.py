"""Fine-tuning methods by name; adding one is a file here with one subclass of ``Method``."""

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pats._errors import InputError
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
    "number",
    "option",
    "parts",
    "registry",
]


@cache
def registry() -> Mapping[str, type[Method[Any]]]:
    """Every method of this package by its name, in alphabetic order."""
    modules = [
        import_module(f"{__name__}.{info.name}")
        for info in iter_modules(__path__)
        if not info.name.startswith("_")
    ]
    found = {
        member.name: member
        for module in modules
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Method) and member.__module__ == module.__name__
    }
    return dict(sorted(found.items()))


def parts(name: str) -> tuple[str, ...]:
    """Names of the methods that a name means: ``"noisytune+pats"`` is two."""
    return tuple(part.strip() for part in name.split("+"))


def create(name: str, options: Mapping[str, Value] | None = None) -> Method[Any]:
    """The method of this name with these options.

    Args:
        name: One of ``registry()``; ``my_module:MyMethod`` for a class of one's own, which is looked
            for in Python's path and the current folder; or several of them, joined by ``+``.
        options: Values by name; missing ones take their defaults. Several methods' options are
            ``part.option``, or ``option`` alone where one part has it.

    Raises:
        InputError: There is no such method, methods do not go together, or an option is unknown or out
            of its range.
    """
    names = parts(name)
    if len(names) == 1:
        return _found(names[0])(options)
    if len(set(names)) < len(names):
        raise InputError(f"{name!r} names one method twice: name it once")
    return Composite({part: _found(part) for part in names}, options or {})


def _found(name: str) -> type[Method[Any]]:
    if ":" in name:
        return _of_ones_own(name)
    methods = registry()
    if name not in methods:
        raise InputError(
            f"there is no method {name!r}; the methods are: {', '.join(methods)}, several of them joined "
            "by '+', or my_module:MyMethod for a class of your own"
        )
    return methods[name]


def _of_ones_own(reference: str) -> type[Method[Any]]:
    module_name, _, class_name = reference.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise InputError(
            f"the method {reference!r} cannot be found: write my_module:MyMethod, the name of a module of "
            "Python and of a class in it"
        )
    if (here := os.getcwd()) not in sys.path:  # a console script does not look there by itself
        sys.path.append(here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise InputError(
            f"the method {reference!r} cannot be found: there is no module {module_name!r} in {here} or "
            "in Python's path"
        ) from None
    except SyntaxError as error:
        raise InputError(
            f"the method {reference!r} cannot be used: {error.filename} has a syntax error in line "
            f"{error.lineno} ({error.msg})"
        ) from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise InputError(
            f"the method {reference!r} cannot be used: {module_name!r} has no subclass of "
            f"pats.methods.Method named {class_name!r}"
        )
    for aspect in found.changes:
        if aspect not in ASPECTS:
            raise InputError(
                f"the method {reference!r} says that it changes {aspect!r}, but must choose from: "
                f"{', '.join(ASPECTS)}"
            )
    return found
