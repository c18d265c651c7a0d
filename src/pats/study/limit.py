"""The time that a comparison has, by a clock that nobody sets."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pats.run.spec import Run

RESERVE = 20.0  # seconds kept for stopping what runs, for the tables, and for the chosen model
SMALL = 0.2  # of a short limit, no more than this share


@dataclass
class Limit:
    """A time limit, counted from when it is made.

    Args:
        seconds: How long; infinite without one.
        estimate: Seconds that a run takes; None where nobody knows.
        clock: The clock; a seam for tests.
        last: Seconds of a run that is still to come once all others have ended.
    """

    seconds: float = math.inf
    estimate: Callable[[Run], float | None] = lambda run: None
    clock: Callable[[], float] = time.monotonic
    last: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def left(self) -> float:
        """Seconds to the end."""
        return self.began + self.seconds - self.clock()

    @property
    def reserve(self) -> float:
        """Seconds at the end in which no run trains."""
        return min(RESERVE, SMALL * self.seconds) + min(self.last, SMALL * self.seconds)

    @property
    def over(self) -> bool:
        """It is time to stop what runs."""
        return self.left <= self.reserve

    @property
    def at_end(self) -> bool:
        """What was asked to stop has had its time: half of the reserve."""
        return self.left <= self.reserve / 2

    def allows(self, run: Run) -> bool:
        """Whether a run that started now would end in time, as far as anybody knows."""
        if math.isinf(self.seconds):
            return True
        seconds = self.estimate(run)
        return not self.over and (seconds is None or seconds <= self.left - self.reserve)


FOREVER = Limit()
