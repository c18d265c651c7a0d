"""Runs that are asked to stop end at a step, and continue as if nothing had been."""

from dataclasses import replace

import pytest

from pats.run import Stopped, finetune
from pats.run.folder.checkpoint import Progress
from support.small_run import small_run
from support.stopped_runs import lasting_content, weights_digest

COUNTED = {"min_steps": 12, "evaluations": 3}


@pytest.fixture(scope="module")
def run(tiny_bert, reviews):
    """Five steps an epoch."""
    return small_run(tiny_bert, reviews)


def after(steps):
    """Says after so many steps that a run is to stop."""
    calls = iter(range(1, steps + 1))
    return lambda: next(calls) == steps


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, [5, 10]),
        ({"min_steps": 12}, [5, 10, 12]),
        ({"max_steps": 7}, [5, 7]),
        (COUNTED, [4, 8, 12]),
        ({"max_steps": 7, "evaluations": 2}, [4, 7]),
        ({"evaluations": 2}, [5, 10]),
        ({"steps": 3, "min_steps": 12, "evaluations": 9}, [1, 2, 3]),
    ],
)
def test_steps_and_evaluations(run, settings, steps):
    assert [epoch.step for epoch in finetune(replace(run, **settings)).epochs] == steps


@pytest.mark.parametrize(("settings", "stops"), [({}, [3, 5, 7]), (COUNTED, [3, 4, 5])])
def test_a_stopped_run_ends_with_the_same_weights(run, settings, stops, tmp_path):
    run = replace(run, **settings)
    alone = finetune(run, tmp_path / "alone")
    for stop in stops:
        out = tmp_path / str(stop)
        with pytest.raises(Stopped, match=f"after step {stop}"):
            finetune(run, out, stop=after(stop))
        assert Progress.load(out / "checkpoint").step == stop
        continued = finetune(run, out, stop=lambda: False)
        assert weights_digest(out) == weights_digest(tmp_path / "alone")
        assert lasting_content(continued) == lasting_content(alone)


def test_the_last_step_is_not_stopped(run):
    assert finetune(replace(run, steps=2), stop=after(2)).status == "done"


def test_a_run_that_keeps_nothing_stops_at_once(run):
    with pytest.raises(Stopped):
        finetune(run, stop=after(1))
