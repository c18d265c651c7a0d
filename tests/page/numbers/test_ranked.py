"""AUROC and average precision of many resamples at once, beside one resample at a time."""

import numpy as np
import pytest

from pats.page.numbers import examples, judged
from pats.page.numbers.examples import RESAMPLES_SLOW, Answers, measured, resampled
from pats.page.numbers.ranked import OF_RANKS, of_resamples


def answers(size, classes, seed=0, digits=2):
    """Random probabilities, rounded so that many are equal."""
    generator = np.random.default_rng(seed)
    shares = np.round(generator.dirichlet(np.ones(classes), size), digits)
    true = np.random.default_rng(1).integers(0, classes, size).astype(np.float64)
    return Answers(true, shares.argmax(axis=1).astype(np.float64), shares, "test")


@pytest.mark.parametrize("metric", OF_RANKS)
@pytest.mark.parametrize(("size", "classes"), [(40, 2), (30, 3), (60, 12), (3, 8), (1, 2)])
def test_the_values_are_those_of_one_resample_at_a_time(metric, size, classes):
    own = answers(size, classes)
    rows = np.random.default_rng(2).integers(0, size, (30, size))
    rows[0] = 0  # one example alone: no class has others beside it
    slow = [measured(own.take(drawn), metric) for drawn in rows]
    fast = of_resamples(metric, own.shares, own.true, rows)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


def test_no_resample_of_two_hundred_classes_is_judged_by_itself(monkeypatch):
    asked = []
    for module in (examples, judged):
        monkeypatch.setattr(module, "measured", lambda own, metric: asked.append(metric) or 0.5)
    own, other = answers(300, 200, digits=7), answers(300, 200, 3, 7)
    assert examples.resampled([own], "auroc", [str(i) for i in range(200)]) is not None
    assert judged.paired_over_examples([own], [other], "auroc") is not None
    assert len(asked) == 3  # the scores themselves


def test_the_interval_is_of_these_resamples():
    own = answers(50, 4)
    rows = np.random.default_rng(0).integers(0, 50, (RESAMPLES_SLOW, 50))
    low, high = np.quantile([100 * measured(own.take(drawn), "auroc") for drawn in rows], [0.025, 0.975])
    found = resampled([own], "auroc", list("abcd"))
    np.testing.assert_allclose(found.interval, (low, high), rtol=0, atol=1e-9)
