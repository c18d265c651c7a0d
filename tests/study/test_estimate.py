from dataclasses import replace

import pytest

from pats.run.spec import Run
from pats.study.estimate import FIXED, SIMPLE_RUN, START, Estimate, timed
from support.made_results import make_result

RUN = Run(data="t.csv", method="vanilla", steps=100)
TIMES = {"load": 2.0, "train": 9.0, "evaluate": 1.0, "total": 13.0}  # of ten steps: 1 s each, and 3 s once


def ended(run, **times):
    return make_result(run, [0.5], timings=TIMES | times)


@pytest.mark.parametrize(
    ("results", "measured", "run", "seconds"),
    [
        ([], {}, RUN, None),
        ([], {"vanilla": 0.5}, RUN, START + FIXED + 100 * 0.5),
        ([], {"pats": 0.5}, RUN, None),
        ([RUN], {"vanilla": 0.5}, RUN, START + 3 + 100 * 1.0),  # what ended counts more than what was timed
        ([RUN], {}, replace(RUN, steps=50), START + 3 + 50 * 1.0),
        ([RUN], {}, replace(RUN, method="pats"), START + 3 + 100 * 1.0),
        ([RUN], {"vanilla": 0.5, "pats": 1.0}, replace(RUN, method="pats"), START + 3 + 100 * 2.0),
        ([], {}, replace(RUN, method="majority"), SIMPLE_RUN),
        ([replace(RUN, method="tfidf")], {}, replace(RUN, method="tfidf"), START + 3),
        ([RUN], {}, replace(RUN, data="other.csv"), None),
    ],
)
def test_seconds_of_a_run(results, measured, run, seconds):
    steps = {(RUN.model, method): value for method, value in measured.items()}
    estimate = Estimate({"t": (480, 0)}, steps)
    estimate.learn(map(ended, results))
    estimate.learn([None])
    assert estimate.seconds(run) == (None if seconds is None else pytest.approx(seconds))


def test_a_process_that_starts_at_once_costs_nothing():
    estimate = Estimate({"t": (480, 0)}, {("minilm", "vanilla"): 0.5}, start=0.0)
    assert estimate.seconds(RUN) == pytest.approx(FIXED + 100 * 0.5)


def test_evaluations_count_where_nothing_has_ended():
    estimate = Estimate({"t": (480, 160)}, {("minilm", "vanilla"): 0.3})
    run = replace(RUN, steps=None, epochs=5, batch_size=16, evaluations=6)
    assert estimate.seconds(run) == pytest.approx(START + FIXED + 150 * 0.3 + 6 * 160 / 16 * 0.1)


def test_several_runs_share_the_workers():
    estimate = Estimate({"t": (480, 0)}, {("minilm", "vanilla"): 0.5})
    one = estimate.seconds(RUN)
    other = replace(RUN, data_seed=1)
    assert estimate.all_of([RUN, other]) == pytest.approx(2 * one)
    assert estimate.all_of([RUN, other], coming=2, workers=2) == pytest.approx(2 * one)
    assert estimate.all_of([RUN, other], shares={RUN.id: 0.5}) == pytest.approx(1.5 * one)
    assert estimate.all_of([replace(RUN, data="unknown.csv")]) is None


def test_no_number_of_workers_makes_one_run_shorter():
    estimate = Estimate({"t": (480, 0)}, {("minilm", "vanilla"): 0.5})
    one, half = estimate.seconds(RUN), estimate.seconds(replace(RUN, steps=50))
    assert estimate.together([RUN], 4) == pytest.approx(one)
    assert estimate.together([RUN, replace(RUN, steps=50), replace(RUN, steps=50)], 2) == pytest.approx(
        one + half
    )
    assert estimate.together([], 2) is None
    assert estimate.together([RUN, replace(RUN, data="unknown.csv")], 2) is None


@pytest.mark.parametrize(("takes", "calls"), [((1.0, 0.4), 2), ((3.0,), 1)])
def test_a_step_is_timed_warm_unless_it_is_slow(takes, calls):
    now, done = [0.0], []

    def step():
        now[0] += takes[len(done)]
        done.append(1)

    assert timed(step, lambda: now[0]) == pytest.approx(takes[-1])
    assert len(done) == calls
