"""kill -9 at a random moment of a run of 60 steps: started again, it ends with the same bits."""

import random
import time

import pytest

from support.killed_runs import ending_of, finish_run, kill_once, start_run


@pytest.mark.timeout(900)
def test_three_kills_at_random_moments(tiny_bert, tmp_path):
    finish_run(start_run(tmp_path / "alone", model=str(tiny_bert)))
    draw = random.Random(time.time_ns())
    told = [kill_once(tmp_path / str(kill), draw, str(tiny_bert)) for kill in range(3)]
    assert any(one["killed"] for one in told), told
    for kill in range(3):
        assert ending_of(tmp_path / str(kill)) == ending_of(tmp_path / "alone"), told[kill]
