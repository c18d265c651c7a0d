"""Kinds that are found by themselves: classes in a package's modules, or in a module of the user's own."""

import os
import sys
from collections.abc import Collection
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from pats._errors import InputError

T = TypeVar("T")


def members(package: str, base: type[T], beside: Collection[str] = ()) -> list[type[T]]:
    """Subclasses of ``base`` that the public modules of a package define, in the modules' alphabetic order.

    Args:
        package: Dotted name of the package.
        base: Their base class, which is not among them.
        beside: Modules that hold something else, and are not imported for this.
    """
    path = import_module(package).__path__
    names = (info.name for info in iter_modules(path) if not info.name.startswith("_"))
    modules = [import_module(f"{package}.{name}") for name in sorted(names) if name not in beside]
    return [
        member
        for module in modules
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, base)
        and member is not base
        and member.__module__ == module.__name__
        and not member.__name__.startswith("_")
    ]


def of_ones_own(reference: str, base: type[T], what: str, home: str) -> type[T]:
    """A class that the user wrote, by ``"my_module:MyClass"``: in Python's path or the current folder.

    Args:
        reference: Module and class.
        base: What it must be a subclass of.
        what: What it is, in a word, such as ``"method"``.
        home: The package in which users find ``base``.

    Raises:
        InputError: There is no such module or class, or it cannot be used.
    """
    module_name, _, class_name = reference.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise InputError(
            f"the {what} {reference!r} cannot be found: write my_module:My{what.capitalize()}, the name of a "
            "module of Python and of a class in it"
        )
    if (here := os.getcwd()) not in sys.path:  # a console script does not look there by itself
        sys.path.append(here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise InputError(
            f"the {what} {reference!r} cannot be found: there is no module {module_name!r} in {here} or "
            "in Python's path"
        ) from None
    except SyntaxError as error:
        raise InputError(
            f"the {what} {reference!r} cannot be used: {error.filename} has a syntax error in line "
            f"{error.lineno} ({error.msg})"
        ) from None
    member: Any = getattr(module, class_name, None)
    if not (isinstance(member, type) and issubclass(member, base)):
        raise InputError(
            f"the {what} {reference!r} cannot be used: {module_name!r} has no subclass of "
            f"{home}.{base.__name__} named {class_name!r}"
        )
    return member
