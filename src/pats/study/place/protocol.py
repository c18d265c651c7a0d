"""What the study asks of whoever places its runs: four verbs, and no results."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Protocol

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
