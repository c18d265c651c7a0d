import json
import math

import numpy as np
import pytest
import torch

import pats
from pats.measure.distribution import Distribution


def distribution(*parts):
    found = Distribution()
    for part in parts:
        found.add(torch.as_tensor(part, dtype=torch.float64))
    return found


def exact_gini(values):
    ordered = np.sort(values)
    rank = np.arange(1, len(ordered) + 1)
    return float((2 * rank - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


SAMPLES = {
    "lognormal, wide": np.random.default_rng(0).lognormal(-14, 3, 100_000),
    "lognormal, narrow": np.random.default_rng(1).lognormal(-14, 0.7, 100_000),
    "like a matrix": np.abs(np.prod(np.random.default_rng(2).normal(size=(2, 100_000)), axis=0)) * 1e-6,
    "with zeros": np.r_[np.zeros(30_000), np.random.default_rng(3).exponential(1e-6, 70_000)],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_distribution_against_numpy(name):
    values = SAMPLES[name]
    found = distribution(*np.split(-values, 4))  # signs do not count
    assert found.entries == len(values)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.std == pytest.approx(values.std(), rel=1e-9)
    assert found.cv == pytest.approx(values.std() / values.mean(), rel=1e-9)
    assert 0 <= exact_gini(values) - found.gini < 0.002
    assert found.insensitive == np.mean(values < 5e-8)
    assert found.beyond == np.mean(values > 1e-5)
    counts, _ = np.histogram(values, bins=50, range=(5e-8, 1e-5))
    # A value within a rounding of an inner edge may count on its other side.
    assert np.abs(np.cumsum(found.window.numpy()) - np.cumsum(counts)).max() <= 1
    assert found.window.sum() == counts.sum()
    for share in (0.35, 0.5, 0.9):
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.13)


def test_distribution_is_built_in_pieces_and_added():
    values = SAMPLES["lognormal, wide"]
    whole, left, right = distribution(values), distribution(values[:10]), distribution(values[10:])
    left += right
    assert left.summary() == pytest.approx(whole.summary())
    assert torch.equal(left.counts, whole.counts)
    assert torch.equal(left.window, whole.window)
    again = Distribution.from_dict(json.loads(json.dumps(whole.to_dict())))
    assert again.gini == pytest.approx(whole.gini, abs=1e-6)
    assert again.summary() == pytest.approx(whole.summary(), rel=1e-4)
    assert torch.equal(again.counts, whole.counts)


def test_distribution_edges():
    empty = distribution()
    assert (empty.mean, empty.std, empty.cv, empty.gini, empty.insensitive, empty.quantile(0.5)) == (0,) * 6
    assert Distribution.from_dict(empty.to_dict()).entries == 0
    equal = distribution([2e-6] * 50)
    assert (equal.cv, equal.gini) == pytest.approx((0, 0), abs=1e-7)
    one_holds_all = distribution([0.0] * 999 + [1.0])
    assert one_holds_all.gini == pytest.approx(0.999)
    assert (one_holds_all.zeros, one_holds_all.quantile(0.5)) == (999, 0)
    broken = distribution([1e-6, math.nan, math.inf, -math.inf])
    assert (broken.entries, broken.not_finite, broken.mean) == (1, 3, pytest.approx(1e-6))
    outside = distribution([1e-30, 1e30])
    assert outside.entries == 2
    with pytest.raises(pats.InputError, match="measure it again"):
        Distribution.from_dict({"first": 0})


def test_distribution_takes_half_precision_and_chunks():
    values = torch.rand(3, 500_000).bfloat16()
    found = Distribution()
    found.add(values)
    assert found.entries + found.not_finite == values.numel()
    assert found.mean == pytest.approx(float(values.double().mean()))
