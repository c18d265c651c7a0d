"""The engine inside ``torchrun`` and ``accelerate launch``: all processes do a run together."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from pats.run import environment, ranks
from pats.study.place.protocol import Handle, Placer, State

T = TypeVar("T")


class GroupPlacer:
    """Runs an attempt on all processes together.

    An attempt has ended when ``submit`` returns.
    """

    def __init__(self) -> None:
        self._ended: dict[Handle, State] = {}

    def submit(self, attempt: Path) -> Handle:
        """Tell the other processes, and do the attempt with them."""
        ranks.first(lambda: str(attempt))
        self._ended[str(attempt)] = "done" if _work(attempt) == 0 else "failed"
        return str(attempt)

    def poll(self, handles: Collection[Handle]) -> dict[Handle, State]:
        """Attempts that have ended, each reported once."""
        return {handle: self._ended.pop(handle) for handle in handles if handle in self._ended}

    def cancel(self, handle: Handle) -> None:
        """Nothing runs any more."""

    def capacity(self) -> int:
        """One at a time."""
        return 0 if self._ended else 1


def together(perform: Callable[[Placer], T]) -> T:
    """``perform`` on the first process, whose attempts all processes do; its result on every one."""
    ranks.join(environment.device())
    if not ranks.is_first():
        while (attempt := ranks.first(lambda: None)) is not None:
            _work(Path(attempt))

    def coordinate() -> T:
        try:
            return perform(GroupPlacer())
        finally:
            ranks.first(lambda: None)  # lets the other processes go

    return ranks.first(coordinate)


def _work(attempt: Path) -> int:
    from pats.study.place.worker import work

    return work(attempt)
