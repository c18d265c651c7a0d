import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pats.page.numbers import statistics as S


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0], 1.0), ([1, 2, 3, 100], 2.5), ([1, 1, 2, 2, 3, 3, 50, 90], 2.5)]
)
def test_iqm(values, expected):
    assert S.iqm(values) == expected


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [1.0, math.inf], [[1.0]]])
def test_refuses_what_is_no_sequence_of_finite_numbers(bad):
    with pytest.raises(ValueError, match="finite"):
        S.iqm(bad)


def test_t_interval_golden():
    # mean 3, sd √2.5, t(.975, 4) = 2.776445
    low, high = S.interval([1, 2, 3, 4, 5])
    assert (low, high) == pytest.approx((3 - 1.963243, 3 + 1.963243), abs=1e-6)


def test_interval_of_one_and_of_equal_values():
    assert S.interval([1.0]) is None
    # Equal values tell no spread: an interval of width 0 would claim that there is none.
    assert S.interval([2.0, 2.0, 2.0]) is None
    assert S.interval([2.0] * 25) is None
    assert S.interval([0.4, 0.4 + 1e-16, 0.4 - 1e-16]) is None


def test_interval_is_cut_at_the_scale():
    low, high = S.interval([50.0, 99.0])
    assert low < 0 < 100 < high
    assert S.interval([50.0, 99.0], limits=(0.0, 100.0)) == (0.0, 100.0)
    assert S.interval([50.0, 50.1, 50.2], limits=(0.0, 100.0)) == S.interval([50.0, 50.1, 50.2])


def test_bca_from_twenty_values_is_scipys_and_repeats():
    values = np.random.default_rng(3).exponential(size=20)
    found = stats.bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(0))
    assert S.interval(values) == pytest.approx(tuple(found.confidence_interval))
    assert S.interval(values) == S.interval(values)
    student = stats.t.interval(0.95, 18, np.mean(values[1:]), stats.sem(values[1:]))
    assert S.interval(values[1:]) == pytest.approx(student)  # from 19 values it is Student's


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
def test_sign_flip_is_scipys_exact_permutation_test(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    ours = S.sign_flip(values)
    theirs = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert ours == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(("n", "smallest"), [(2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_sign_flip_cannot_go_below_its_smallest(n, smallest):
    assert S.sign_flip([1.0] * n) == smallest
    assert S.sign_flip([0.1, *[0.1] * (n - 1)]) == smallest  # whatever rounding does to equal sums


def test_sign_flip_edges():
    assert S.sign_flip([1.0]) is None
    assert S.sign_flip([0.0] * 5) == 1.0
    assert S.sign_flip([0.0] * 15) == 1.0
    assert S.sign_flip([1.0] * 20) == pytest.approx(1 / 10_001)


@pytest.mark.parametrize("n", [6, 14])
def test_sign_flip_under_the_null_rejects_at_most_its_level(n):
    draw = np.random.default_rng(7)
    rejected = np.mean([S.sign_flip(draw.standard_t(3, n)) <= 0.05 for _ in range(400)])
    assert rejected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_t_interval_under_the_null_covers():
    draw = np.random.default_rng(1)
    found = [S.interval(draw.normal(size=5)) for _ in range(2000)]
    assert np.mean([low <= 0 <= high for low, high in found]) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.9, 0.5, 0.001], [1.0, 1.0, 0.003]),
    ],
)
def test_holm(raw, adjusted):
    assert S.holm(raw) == pytest.approx(adjusted)


@pytest.mark.parametrize(("family", "needed"), [(0, 6), (1, 6), (2, 7), (3, 7), (4, 8), (10, 9)])
def test_seeds_needed(family, needed):
    assert S.seeds_needed(family) == needed
    assert 2 / 2**needed <= 0.05 / max(family, 1) < 2 / 2 ** (needed - 1)
    assert S.can_be_significant(needed, family)
    assert not S.can_be_significant(needed - 1, family)


@pytest.mark.parametrize(
    ("n", "alpha"),
    [(2, 0.05), (2, 0.01), (3, 0.05), (3, 0.01), (5, 0.05), (6, 0.001), (7, 0.001), (10, 0.05), (30, 0.01)],
)
def test_detectable_has_the_power_it_promises(n, alpha):
    shift = S.detectable(2.0, n, alpha)
    values = np.random.default_rng(n).normal(shift, 2.0, size=(4000, n))
    found = stats.ttest_1samp(values, 0, axis=1).pvalue <= alpha
    assert np.mean(found) == pytest.approx(0.8, abs=0.025)


def test_detectable_golden_and_edges():
    assert S.detectable(1.0, 10) == pytest.approx(0.996, abs=0.002)
    assert S.detectable(1.0, 1) is None
    assert S.detectable(0.0, 5) == 0.0
    assert S.detectable(1.0, 5, alpha=0.01) > S.detectable(1.0, 5)


def test_paired():
    found = S.paired([3.0, 4.0, 5.0], [1.0, 1.0, 1.0], family=3)
    assert (found.n, found.mean, found.p) == (3, 3.0, 0.25)
    assert found.interval == pytest.approx(stats.t.interval(0.95, 2, 3, 1 / math.sqrt(3)))
    assert found.detectable is None  # three pairs can show nothing, whatever the scores
    assert S.paired([1.0], [2.0]) == S.Paired(1, -1.0, None, None, None)
    with pytest.raises(ValueError, match="paired"):
        S.paired([1.0], [1.0, 2.0])


@pytest.mark.parametrize(("family", "n"), [(1, 6), (3, 7)])
def test_what_could_have_been_shown_is_told_from_the_first_number_of_pairs_that_can(family, n):
    ours = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    spread = float(np.std(ours[:n], ddof=1))
    found = S.paired(ours[:n], [0.0] * n, family)
    assert found.detectable == pytest.approx(S.detectable(spread, n, 0.05 / family))
    assert S.paired(ours[: n - 1], [0.0] * (n - 1), family).detectable is None


@pytest.mark.parametrize("scale", [1.0, 50.0, 0.0])
def test_differences_of_rounding_are_none(scale):
    theirs = [scale] * 6
    ours = [scale + 1e-14 * (k + 1) for k in range(6)]
    assert S.paired(theirs, theirs) == S.Paired(6, 0.0, None, 1.0, None, equal="exactly")
    assert S.paired(ours, theirs) == S.Paired(6, 0.0, None, 1.0, None, equal="up to rounding")
    assert S.probability_of_improvement(ours, theirs) == 0.5
    assert S.almost_stochastic_order(ours * 2, theirs * 2) >= 0.5
    spread = S.normalise({"a": {"x": [scale + 1e-14], "y": [scale]}})
    assert spread == {"a": {"x": [0.5], "y": [0.5]}}
    assert S.paired([1e-6] * 6, [0.0] * 6).p == 2 / 2**6  # small is not rounding
    assert S.paired([1.5e-8] * 6, [0.0] * 6).equal is None
    assert S.paired([0.5e-8] * 6, [0.0] * 6).equal == "up to rounding"


@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_a_constant_shift_has_no_interval_and_no_smallest_difference(noise):
    found = S.paired([50.4 + k * noise for k in range(8)], [50.0] * 8)
    assert (found.n, found.shift, found.equal, found.p) == (8, True, None, 2 / 2**8)
    assert found.mean == pytest.approx(0.4)
    assert (found.interval, found.detectable) == (None, None)


def test_what_could_have_been_shown_stays_within_the_scale():
    """Six Pearson correlations × 100 that differ so much that not even the whole scale would be enough."""
    ours, theirs = [-90.0, 95.0, 80.0, -70.0, 99.0, -99.0], [0.0] * 6
    free, bound = S.paired(ours, theirs), S.paired(ours, theirs, limits=(-100.0, 100.0))
    assert free.detectable > 100
    assert (bound.detectable, bound.beyond) == (None, True)
    assert bound.interval == pytest.approx(free.interval)
    near = S.paired([1.0, 2.0, 3.0, 1.0, 2.0, 3.0], theirs, limits=(-100.0, 100.0))
    assert (near.beyond, near.detectable) == (False, S.paired([1.0, 2.0, 3.0] * 2, theirs).detectable)


def test_a_difference_may_lead_to_either_end_of_the_scale():
    theirs = [90.0] * 6
    found = S.paired([60.0, 99.0, 70.0, 95.0, 65.0, 98.0], theirs, limits=(0.0, 100.0))
    assert not found.beyond
    assert 10 < found.detectable < 90
    mirrored = S.paired([40.0, 1.0, 30.0, 5.0, 35.0, 2.0], [10.0] * 6, limits=(0.0, 100.0))
    assert mirrored.detectable == pytest.approx(found.detectable)


def test_probability_of_improvement_counts_pairs():
    ours, theirs = [1.0, 2.0, 3.0], [2.0, 2.0]
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(ours, theirs)]
    assert S.probability_of_improvement(ours, theirs) == pytest.approx(np.mean(pairs))


def test_normalise():
    found = S.normalise({"a": {"x": [1.0, 3.0], "y": [2.0]}, "b": {"x": [4.0], "y": [4.0]}})
    assert found == {"a": {"x": [0.0, 1.0], "y": [0.5]}, "b": {"x": [0.5], "y": [0.5]}}


def test_stratified_resamples_within_tasks():
    # Within its task every score is the same, so no sample differs from the whole.
    assert S.stratified([[0.0] * 5, [1.0] * 5], np.mean) == (0.5, (0.5, 0.5))
    value, (low, high) = S.stratified([[0.0, 1.0, 2.0, 3.0], [5.0, 6.0, 7.0, 8.0]])
    assert low < value < high


GOLDEN = json.loads((Path(__file__).parent / "golden" / "numbers.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["rliable"], ids=lambda case: str(np.shape(case["ours"])))
def test_against_rliable(case):
    ours, theirs = np.array(case["ours"]), np.array(case["theirs"])
    value, (low, high) = S.stratified(ours.T.tolist(), resamples=20_000)
    assert value == pytest.approx(case["iqm"], abs=1e-12)
    assert S.iqm(ours.ravel()) == pytest.approx(case["iqm"], abs=1e-12)
    width = case["interval"][1] - case["interval"][0]
    # Two bootstraps of 20,000 differ by chance: a quantile's error is about a hundredth of the width.
    assert (low, high) == pytest.approx(tuple(case["interval"]), abs=0.03 * width)
    chances = [S.probability_of_improvement(a, b) for a, b in zip(ours.T, theirs.T, strict=True)]
    assert np.mean(chances) == pytest.approx(case["probability_of_improvement"], abs=1e-12)


@pytest.mark.parametrize("case", GOLDEN["deepsig"], ids=lambda case: f"{len(case['ours'])} runs")
def test_against_deepsig(case):
    found = S.almost_stochastic_order(case["ours"], case["theirs"], resamples=5000)
    spread = max(case["epsilon"]) - min(case["epsilon"])
    assert found == pytest.approx(np.mean(case["epsilon"]), abs=max(0.02, 2 * spread))


def test_almost_stochastic_order_is_the_share_of_the_area_by_hand():
    # At a level of one half nothing is added to ε. Gaps of the quantiles: -1, +1, -1, +3.
    found = S.almost_stochastic_order([4.0, 1.0, 9.0, 5.0], [2.0, 6.0, 6.0, 3.0], level=0.5, points=4)
    gaps = np.subtract([1, 4, 5, 9], [2, 3, 6, 6])
    assert found == pytest.approx((gaps[gaps < 0] ** 2).sum() / (gaps**2).sum())


def test_almost_stochastic_order_edges():
    low, high = [0.1, 0.2, 0.3] * 4, [1.1, 1.2, 1.3] * 4
    assert S.almost_stochastic_order(high, low) == 0.0
    # With little confidence asked for, the bound lies below ε itself, but not below what an ε can be.
    assert S.almost_stochastic_order([1.0, 2.0, 3.0, 5.0], [1.5, 1.0, 2.0, 4.0], level=0.001) == 0.0
    assert S.almost_stochastic_order(low, high) == 1.0
    assert S.almost_stochastic_order(low, low) >= 0.5
    assert S.almost_stochastic_order(high, low) == S.almost_stochastic_order(high, low)


def test_across_tasks():
    one = S.across([[1.0, 2.0, 4.0]])
    alone = S.paired([1.0, 2.0, 4.0], [0.0] * 3)
    assert (one.n, one.mean, one.p) == (3, pytest.approx(alone.mean), alone.p)
    assert one.interval == pytest.approx(alone.interval)
    two = S.across([[1.0, 2.0, 4.0], [0.5, 0.7]])
    assert (two.n, two.mean) == (5, pytest.approx((7 / 3 + 0.6) / 2))
    assert two.p == 2 / 2**5  # every pair is above zero
    error = math.sqrt(np.var([1, 2, 4], ddof=1) / 3 + np.var([0.5, 0.7], ddof=1) / 2) / 2
    assert (two.interval[1] - two.interval[0]) / error > 2 * 1.96
    assert S.across([[1.0], [2.0, 3.0]]).interval is None
    assert S.across([[2.0, 2.0], [4.0, 4.0]]).interval is None  # no spread anywhere
    assert S.across([[2.0, 2.0 + 1e-15], [4.0, 4.0]]).interval is None  # none but rounding
    assert S.across([[0.0, 0.0], [0.0]]).equal == "exactly"
    assert S.across([]) is None


@pytest.mark.parametrize(("n", "tasks"), [(3, 4), (5, 2)])
def test_across_tasks_under_the_null(n, tasks):
    """Tasks of very different spreads; a shift in one of them is the negative control."""
    draw, rejected, missed, found = np.random.default_rng(n), 0, 0, 0
    scales = np.geomspace(1, 10, tasks)[:, None]
    for _ in range(400):
        null = (draw.normal(size=(tasks, n)) * scales).tolist()
        result = S.across(null)
        rejected += result.p <= 0.05
        missed += not result.interval[0] <= 0 <= result.interval[1]
        found += S.across((np.array(null) + 3 * scales).tolist()).p <= 0.05
    error = 3 * math.sqrt(0.05 * 0.95 / 400)
    assert rejected / 400 <= 0.05 + error
    assert missed / 400 <= 0.05 + error + 0.02  # Satterthwaite's degrees are an approximation
    assert found / 400 > 0.5


def test_a_difference_is_alone_unless_a_family_is_named():
    ours, theirs = [0.5, 0.6, 0.55, 0.7, 0.62, 0.7, 0.66], [0.5, 0.52, 0.51, 0.58, 0.56, 0.6, 0.6]
    alone = S.paired(ours, theirs)
    assert alone == S.paired(ours, theirs, 1) == S.paired(ours, theirs, 0)
    assert alone.detectable == pytest.approx(S.detectable(S.std(S.differences(ours, theirs)), 7, 0.05))
    assert alone.detectable < S.paired(ours, theirs, 3).detectable
