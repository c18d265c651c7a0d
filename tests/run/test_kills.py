"""kill -9 at a random moment of a run of 60 steps: started again, it ends with the same bits.

One kill that met the run; tests/soak/test_run_kills.py has fifty.
"""

import random
import time

import pytest

from support.killed_runs import ending_of, finish_run, kill_once, start_run

TRIES = 3  # a moment near the end may come too late


@pytest.mark.timeout(900)
def test_a_kill_at_a_random_moment(tiny_bert, tmp_path):
    finish_run(start_run(tmp_path / "alone", model=str(tiny_bert)))
    draw = random.Random(time.time_ns())
    for kill in range(TRIES):
        told = kill_once(tmp_path / str(kill), draw, str(tiny_bert))
        assert ending_of(tmp_path / str(kill)) == ending_of(tmp_path / "alone"), told
        if told["killed"]:
            return
    raise AssertionError("no kill met the run")
