"""Who places the runs: this machine, Ray, Slurm, or the processes of a launcher.

Adding an engine that ``--engine`` names is a file here with one subclass of ``NamedPlacer``.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pats._errors import InputError, did_you_mean
from pats._registry import members, of_ones_own
from pats.study.place.protocol import Flag, NamedPlacer, Placer

__all__ = ["DEFAULT", "Flag", "NamedPlacer", "Placer", "create", "registry"]

DEFAULT = "local"

# The modules here that hold no engine; some take long to import, or are made for another process.
_BESIDE = (
    *("coordinator", "group", "launch", "loopback", "process", "protocol", "resources", "sharing"),
    *("template", "worker"),
)


@cache
def registry() -> Mapping[str, type[NamedPlacer]]:
    """Every engine of this package by its name, in alphabetic order of their files."""
    engines = members(__name__, NamedPlacer, _BESIDE)  # type: ignore[type-abstract]
    return {one.name: one for one in engines}


def create(
    name: str,
    out: Path,
    *,
    workers: int | None = None,
    cpus: int | None = None,
    gpus: float | None = None,
    processes: int | None = None,
    flags: Mapping[str, Any] = MappingProxyType({}),
) -> Placer:
    """An engine by its name.

    Args:
        name: One of ``registry()``, or ``my_module:MyEngine`` for a class of your own, which is looked for
            in Python's path and the current folder.
        out: Folder of the study, which all nodes must see.
        workers: Runs at a time; None is as many as fit.
        cpus: Cores a run; None is what fits locally, else one a process.
        gpus: GPUs a run: a whole number, or a share of one.
        processes: Processes a run, which share its batches; None is one a GPU.
        flags: Values of engines' own flags, such as ``{"--ray-address": "10.0.0.1:6379"}``.

    Raises:
        InputError: There is no such engine, what it needs is not there, or a flag is another's.
    """
    engine = _found(name)
    for owner, other in registry().items():
        for flag in other.flags.values():
            if flags.get(flag.name) and owner != name:
                raise InputError(
                    f"{flag.name} is for --engine {owner}, but the engine is {name}: leave one out"
                )
    own = {key: flags[flag.name] for key, flag in engine.flags.items() if flags.get(flag.name)}
    return engine.create(out, workers=workers, cpus=cpus, gpus=gpus, processes=processes, **own)


def _found(name: str) -> type[NamedPlacer]:
    if ":" in name:
        return of_ones_own(name, NamedPlacer, "engine", __name__)  # type: ignore[type-abstract]
    if name not in registry():
        raise InputError(
            f"engine is {name!r}{did_you_mean(name, registry())}, but must be one of: "
            f"{', '.join(registry())}, or my_module:MyEngine for a class of your own"
        )
    return registry()[name]
