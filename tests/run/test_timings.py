import pytest

from pats.run import timings
from pats.run.timings import Timings


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timings.time, "perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    return passes


def test_a_part_within_another_counts_for_itself(clock):
    measured = Timings()
    with measured.part("train"):
        clock(10)
        with measured.part("evaluate"):
            clock(3)
            with measured.part("save"):
                clock(2)
        with measured.part("save"):
            clock(1)
        clock(4)
    with measured.part("save"):
        clock(0.5)
    assert measured.seconds == {"train": 14, "evaluate": 3, "save": 3.5}


def test_a_part_that_fails_counts(clock):
    measured = Timings()

    def fail():
        with measured.part("train"):
            clock(2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert measured.seconds == {"train": 2}
