"""What the study asks of the engine that places its runs: four verbs, and no results."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

Handle = str

# "done" and "failed" end a run for good (a bad input, an exception); "lost" is worth another attempt:
# its process was killed, and is known to be gone. "unseen" is an attempt that the engine lost sight
# of (a node went away, or another process submitted it): the signs of life in the store decide.
State = Literal["running", "done", "failed", "lost", "unseen"]


class Placer(Protocol):
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


class Flag(NamedTuple):
    """A flag of one engine alone, such as ``--ray-address``.

    Args:
        name: The flag.
        metavar: The word for its value in the help.
        help: What it is.
        pairs: It takes one or more ``KEY=VALUE``, which become a mapping.
    """

    name: str
    metavar: str
    help: str
    pairs: bool = False


class NamedPlacer(Placer):
    """An engine that ``--engine`` names. A subclass in a module of ``pats.study.place`` is found by itself.

    One of your own is named ``my_module:MyEngine``. It is made with what every engine takes, ``workers``,
    ``cpus``, ``gpus`` and ``processes``, each a number or None, and with the values of its flags.

    Attributes:
        name: What it is called.
        flags: Flags of its own by the keyword that takes the value; those of a class of your own have none.
        processes: Processes of a run, which share its batches.
    """

    name: ClassVar[str]
    flags: ClassVar[Mapping[str, Flag]] = MappingProxyType({})
    processes: int = 1

    @classmethod
    def create(cls, out: Path, **given: Any) -> Self:
        """The engine of a study.

        Args:
            out: Folder of the study.
            given: Numbers, and the values of its flags that were given.

        Raises:
            InputError: What it needs is not there, or a value is out of its range.
        """
        return cls(**given)

    def share_gpus(self, bytes_a_run: int | None) -> str | None:
        """Choose how many runs a GPU takes, where nobody said it.

        Args:
            bytes_a_run: Memory of a GPU that a run takes; None where it is not known.

        Returns:
            What was chosen and why, in a sentence; None where there was nothing to choose.
        """
        return None
