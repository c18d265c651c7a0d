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


@pytest.mark.parametrize(("labels", "bound"), [([0, 1], BOUNDS[0]), ([1, 0], BOUNDS[1])])
def test_it_stays_in_its_bounds(labels, bound):
    logits = np.asarray([[1, 0], [0, 1]], np.float32)
    assert temperature([(logits, np.asarray(labels))]) == pytest.approx(bound, rel=1e-3)
