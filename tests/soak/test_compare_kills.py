import random
import sys

import pytest

from crashes import events, finish, kill, results, start, wait_for
from tiny import make_table, make_tiny_bert

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_ten_kills_at_random_moments(tmp_path):
    make_tiny_bert(tmp_path / "bert")
    make_table(tmp_path / "texts.csv", rows=160)
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    alone.mkdir()
    killed.mkdir()
    printed = finish(start(tmp_path, alone, "--seeds", "3"))
    draw, out = random.Random(), killed / "out"
    for _ in range(10):
        process = start(tmp_path, killed, "--seeds", "3")
        goal = len(events(out)) + draw.randint(0, 8)
        wait_for(lambda goal=goal: len(events(out)) >= goal, process)
        kill(process)
    assert finish(start(tmp_path, killed, "--seeds", "3")) == printed
    assert results(out) == results(alone / "out")
