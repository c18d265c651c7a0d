"""What the study asks of whoever places its runs: four verbs, and no results."""

from pathlib import Path
from typing import Literal, Protocol

Handle = str

# "done" and "failed" end a run for good (a bad input, an exception); "lost" is worth another attempt:
# the process was killed, or its node went away.
State = Literal["running", "done", "failed", "lost"]


class Engine(Protocol):
    """Runs attempts at least once; that results count once is the store's work.

    An attempt is a folder with ``spec.json``; running it is ``python -m pats.study.worker FOLDER``.
    """

    def submit(self, attempt: Path) -> Handle:
        """Start an attempt, and return at once."""

    def poll(self) -> list[tuple[Handle, State]]:
        """The state of every attempt that has not yet been told to have ended."""

    def cancel(self, handle: Handle) -> None:
        """End an attempt, for good and before this returns; unknown handles are ignored."""

    def capacity(self) -> int:
        """How many more attempts could start now."""
