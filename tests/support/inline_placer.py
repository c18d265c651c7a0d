"""The placer of tests that want results and no processes."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pats.run.spec import Run
from pats.study.place.protocol import State
from pats.study.place.worker import work


class InlinePlacer:
    """A placer that does every attempt at once, in this process.

    Subclasses may set ``train`` and ``places``.
    """

    train: Callable[[Run, Path], Any] | None = None  # None is ``pats.finetune``, as ``work`` has it
    places = 1

    def __init__(self) -> None:
        self.states: dict[str, State] = {}

    def submit(self, attempt: Path) -> str:
        self.states[str(attempt)] = "done" if work(attempt, self.train) == 0 else "failed"
        return str(attempt)

    def poll(self, handles: Collection[str]) -> dict[str, State]:
        return {handle: self.states.pop(handle) for handle in handles if handle in self.states}

    def cancel(self, handle: str) -> None:
        pass

    def capacity(self) -> int:
        return self.places - len(self.states)
