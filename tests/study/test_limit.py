import math

import pytest

from pats.run.spec import Run
from pats.study.limit import Limit

RUN = Run(task="rte")


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("seconds", "passed", "estimate", "allowed", "over", "at_end"),
    [
        (1200, 0, None, True, False, False),  # nobody knows: it is tried
        (1200, 0, 1000, True, False, False),
        (1200, 0, 1190, False, False, False),  # 20 s are kept for the end
        (1200, 600, 590, False, False, False),
        (1200, 1181, 0, False, True, False),
        (1200, 1191, 0, False, True, True),
        (10, 0, 7, True, False, False),  # of a short time, a fifth
        (10, 0, 9, False, False, False),
        (math.inf, 1e9, 1e9, True, False, False),
    ],
)
def test_what_may_start_and_what_must_stop(seconds, passed, estimate, allowed, over, at_end):
    clock = Clock()
    limit = Limit(seconds, lambda run: estimate, clock)
    clock.now += passed
    assert (limit.allows(RUN), limit.over, limit.at_end) == (allowed, over, at_end)
    assert limit.left == seconds - passed
