"""How a run trains, by name: set-ups, the training's optimizers, and the schedules of its learning rate.

Each is a class in a file here: ``plain`` has what anyone has, ``mtdnn`` what MT-DNN's code has. Adding one is
a file here, or a class in one, with a subclass of ``Setup``, ``BaseOptimizer`` or ``Schedule``.
"""

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from pats._registry import members
from pats.setups._optimizer import BaseOptimizer, Rates
from pats.setups._schedule import Schedule
from pats.setups._setup import Preset, Setup

__all__ = [
    "BaseOptimizer",
    "Preset",
    "Rates",
    "Schedule",
    "Setup",
    "optimizers",
    "presets",
    "schedules",
    "setups",
]

T = TypeVar("T")


@cache
def setups() -> Mapping[str, Setup]:
    """Every set-up by its name."""
    return {one.name: one() for one in _plain_first(members(__name__, Setup))}


@cache
def optimizers() -> Mapping[str, BaseOptimizer]:
    """Every optimizer of a run by its name."""
    classes = members(__name__, BaseOptimizer)  # type: ignore[type-abstract]
    return {one.name: one() for one in _plain_first(classes)}


@cache
def schedules() -> Mapping[str, Schedule]:
    """Every schedule of the learning rate by its name."""
    classes = members(__name__, Schedule)  # type: ignore[type-abstract]
    return {one.name: one() for one in _plain_first(classes)}


@cache
def presets() -> Mapping[str, Preset]:
    """Every preset of every set-up by its name."""
    return {name: preset for setup in setups().values() for name, preset in setup.presets.items()}


def _plain_first(classes: list[type[T]]) -> list[type[T]]:
    """The classes of ``plain`` first, as they come first in help and messages."""
    return sorted(classes, key=lambda one: one.__module__ != f"{__name__}.plain")
