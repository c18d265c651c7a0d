import pytest
import torch

from pats.run.numbers import gini, six_digits


def by_pairs(values):
    """The mean difference of all pairs over twice the mean."""
    x = torch.tensor(values, dtype=torch.float64)
    return float((x[:, None] - x[None]).abs().mean() / (2 * x.mean()))


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 2.0], [0.1, 0.4, 3.0, 9.5]]
)
def test_gini_of_single_entries(values):
    sums = torch.tensor(values, dtype=torch.float64)
    assert gini(torch.ones(len(values)), sums) == pytest.approx(by_pairs(values), abs=1e-12)


def test_gini_of_bins_takes_their_entries_as_equal():
    counts, sums = torch.tensor([3, 0, 2]), torch.tensor([0.0, 0.0, 8.0], dtype=torch.float64)
    assert gini(counts, sums) == pytest.approx(by_pairs([0.0, 0.0, 0.0, 4.0, 4.0]), abs=1e-12)


def test_gini_of_nothing_is_0():
    assert gini(torch.zeros(3), torch.zeros(3, dtype=torch.float64)) == 0.0


def test_six_digits():
    assert [six_digits(value) for value in (1 / 3, 123456789.0, 0.0)] == [0.333333, 123457000.0, 0.0]
