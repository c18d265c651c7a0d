"""What a learning rate's schedule is, by the name that ``Run.schedule`` has for it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar


class Schedule(ABC):
    """How the learning rate changes over a run.

    A subclass in a module of ``pats.setups`` is found by its ``name``.

    Attributes:
        name: What it is called.
        of_trainer: What Trainer calls it, which then makes it itself; None where it does not know it.
    """

    name: ClassVar[str]
    of_trainer: ClassVar[str | None] = None

    @abstractmethod
    def factor(self, warmup: float, steps: int) -> Callable[[int], float]:
        """The learning rate's multiplier at step k, counted from 0.

        Args:
            warmup: Share of the steps that are warm-up.
            steps: Steps of the whole run.
        """
