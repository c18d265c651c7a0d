"""kill -9 at a random moment of a real run of 60 steps: started again, it ends with the same bits."""

import random
import time

import pytest

from support.killed_runs import ended, finish, kill_once, start


@pytest.mark.minilm
@pytest.mark.timeout(900)
def test_three_kills_at_random_moments(minilm, tmp_path):
    finish(start(tmp_path / "alone"))
    draw = random.Random(time.time_ns())
    told = [kill_once(tmp_path / str(kill), draw) for kill in range(3)]
    assert any(one["killed"] for one in told), told
    for kill in range(3):
        assert ended(tmp_path / str(kill)) == ended(tmp_path / "alone"), told[kill]
