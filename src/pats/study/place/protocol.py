"""What the study asks of whoever places its runs: four verbs, and no results."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from pats._errors import InputError

Handle = str
NAMES = ("local", "ray", "slurm")

# "done" and "failed" end a run for good (a bad input, an exception); "lost" is worth another attempt:
# its process was killed, and is known to be gone. "unseen" is an attempt that the engine lost sight
# of (a node went away, or another process submitted it): the signs of life in the store decide.
State = Literal["running", "done", "failed", "lost", "unseen"]


class Engine(Protocol):
    """Runs attempts at least once; that results count once is the store's work.

    An attempt is a folder with ``spec.json``; running it is ``python -m pats.study.place.worker FOLDER``.
    Engines pass no results, so the folder must be the same for the coordinator and for every node.
    """

    def submit(self, attempt: Path) -> Handle:
        """Start an attempt, or let it wait for its turn, and return at once."""

    def poll(self, handles: Collection[Handle]) -> Mapping[Handle, State]:
        """The state of every attempt; a handle that is not there counts as ``"unseen"``.

        The handles may be an earlier process's. An attempt that waits for its turn is running.
        """

    def cancel(self, handle: Handle) -> None:
        """End an attempt as far as the engine reaches, before this returns; unknown handles are ignored."""

    def capacity(self) -> int:
        """How many more attempts to submit now."""


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
) -> Engine:
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
        from pats.study.place.ray import RayEngine

        return RayEngine(address, workers, cpus, gpus, processes)
    if name == "slurm":
        from pats.study.place.slurm import SlurmEngine

        return SlurmEngine(out / "slurm", workers, cpus, gpus, processes, options)
    from pats.study.place.local import LocalEngine

    return LocalEngine(workers, cpus, gpus, processes)
