"""Fine-tuning methods by name; adding one is a file here with one subclass of ``Method``."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pats._errors import InputError
from pats.methods._method import Method, Training, Value

__all__ = ["Method", "Training", "create", "registry"]


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


def create(name: str, options: Mapping[str, Value] | None = None) -> Method[Any]:
    """The method of this name with these options.

    Raises:
        InputError: There is no such method, or an option is unknown or out of its range.
    """
    methods = registry()
    if name not in methods:
        raise InputError(f"there is no method {name!r}; the methods are: {', '.join(methods)}")
    return methods[name](options)
