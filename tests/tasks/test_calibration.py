import numpy as np
import pytest

from pats.tasks.calibration import BOUNDS, temperature


def made(t, n=40_000, classes=3):
    """Logits t times as large as those from which the labels are drawn."""
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(n, classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (draw.random((n, 1)) > shares.cumsum(1)).sum(1).clip(max=classes - 1)
    return (t * logits).astype(np.float32), labels


@pytest.mark.parametrize("t", [0.5, 1.0, 3.0])
def test_it_takes_back_what_logits_were_multiplied_with(t):
    logits, labels = made(t)
    assert temperature([(logits, labels)]) == pytest.approx(t, rel=0.03)
    halves = [(logits[:100], labels[:100]), (logits[100:], labels[100:])]
    assert temperature(halves) == temperature([(logits, labels)])


@pytest.mark.parametrize(
    ("labels", "scale", "bound"),
    [([0, 1], 1e-3, BOUNDS[0]), ([1, 0], 1, BOUNDS[1]), ([0, 1], 1e3, BOUNDS[1])],
)
def test_it_stays_in_its_bounds(labels, scale, bound):
    logits = np.asarray([[scale, 0], [0, scale]], np.float32)
    assert temperature([(logits, np.asarray(labels))]) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("rows", [2, 9, 40, 1000])
def test_rows_that_are_all_right_leave_as_much_doubt_as_there_are_rows(rows):
    logits = np.tile(np.asarray([[1, 0]], np.float32), (rows, 1))
    found = temperature([(logits, np.zeros(rows, np.int64))])
    assert 1 / (1 + np.exp(-1 / found)) == pytest.approx((rows + 1) / (rows + 2), rel=1e-4)
