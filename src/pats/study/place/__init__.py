"""Who places the runs: this machine, Ray, Slurm, or the processes of a launcher."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats.study.place.protocol import Placer

NAMES = ("local", "ray", "slurm")


def create(
    name: str,
    out: Path,
    *,
    workers: int | None = None,
    cpus: int | None = None,
    gpus: float | None = None,
    processes: int | None = None,
    address: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Placer:
    """An engine by its name.

    Args:
        name: ``"local"``, ``"ray"`` or ``"slurm"``.
        out: Folder of the study, which all nodes must see.
        workers: Runs at a time; None is as many as fit.
        cpus: Cores a run; None is what fits locally, else one a process.
        gpus: GPUs a run: a whole number, or a share of one.
        processes: Processes a run, which share its batches; None is one a GPU.
        address: Of a Ray cluster.
        options: Of Slurm's jobs.

    Raises:
        InputError: There is no such engine, what it needs is not there, or an argument is another's.
    """
    if name not in NAMES:
        raise InputError(f"engine is {name!r}, but must be one of: {', '.join(NAMES)}")
    for given, flag, owner in ((address, "--ray-address", "ray"), (options, "--slurm", "slurm")):
        if given and name != owner:
            raise InputError(f"{flag} is for --engine {owner}, but the engine is {name}: leave one out")
    if name == "ray":
        from pats.study.place.ray import RayPlacer

        return RayPlacer(address, workers, cpus, gpus, processes)
    if name == "slurm":
        from pats.study.place.slurm import SlurmPlacer

        return SlurmPlacer(out / "slurm", workers, cpus, gpus, processes, options)
    from pats.study.place.local import LocalPlacer

    return LocalPlacer(workers, cpus, gpus, processes)
