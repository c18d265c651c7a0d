import numpy as np
import pytest

from pats.page.numbers import calibration

SHARES = np.array([[0.9, 0.1], [0.9, 0.1], [0.25, 0.75], [0.25, 0.75], [1.0, 0.0]])
TRUE = np.array([0.0, 1.0, 1.0, 1.0, 0.0])


def test_bins_by_hand():
    found = calibration.reliability(SHARES, TRUE)
    told = [(one.low, one.high, one.count, one.confidence, one.accuracy) for one in found]
    assert told == [
        pytest.approx((0.7, 0.8, 2, 0.75, 1.0)),
        pytest.approx((0.8, 0.9, 2, 0.9, 0.5)),
        pytest.approx((0.9, 1.0, 1, 1.0, 1.0)),
    ]
    assert calibration.ece(SHARES, TRUE) == pytest.approx((2 * 0.25 + 2 * 0.4) / 5)


def test_probabilities_that_are_true_have_no_error_and_wrong_ones_have():
    draw = np.random.default_rng(0)
    shares = draw.dirichlet([1, 1, 1], 20_000)
    true = (draw.random((20_000, 1)) > shares.cumsum(1)).sum(1).astype(float)
    assert calibration.ece(shares, true) < 0.01
    sharp = shares**4 / (shares**4).sum(1, keepdims=True)
    assert calibration.ece(sharp, true) > 0.1
