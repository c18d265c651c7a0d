"""What the time of a run goes to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timings:
    """Seconds by part. A part within another counts for itself alone, so the parts add up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens within towards a part."""
        started = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - started
            own = whole - self._inner.pop()
            self._inner[-1] += whole
            self.seconds[name] = self.seconds.get(name, 0.0) + own
