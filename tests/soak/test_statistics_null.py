"""False positives of the report's statistics under the null, for 3, 5, 10 and 20 seeds."""

import math

import numpy as np
import pytest

from benchmarks import record
from pats.page.numbers import statistics as S

pytestmark = pytest.mark.soak

REPEATS = {3: 4000, 5: 2000, 10: 1000, 20: 500}  # many seeds take random signs and BCa, which cost more
FAMILY = 3


def normal(draw, n):
    return draw.normal(size=n)


def heavy(draw, n):
    """Student's t with three degrees of freedom: now and then a run collapses."""
    return draw.standard_t(3, n)


def skewed(draw, n):
    """Not symmetric, so that the sign-flip test's assumption does not hold."""
    return draw.exponential(size=n) - 1


def discrete(draw, n):
    """Differences of accuracies on 277 examples: multiples of 1/277, many of them equal."""
    return (draw.binomial(277, 0.6, n) - draw.binomial(277, 0.6, n)) / 277


NULLS = (normal, heavy, skewed, discrete)


def rates(null, n):
    """Shares of many studies in which a true null was rejected, or an interval missed it."""
    draw = np.random.default_rng(n)
    count = dict.fromkeys(("sign_flip", "sign_flip_of_a_shift", "interval", "family", "across_4_tasks"), 0)
    for _ in range(REPEATS[n]):
        values = null(draw, n)
        count["sign_flip"] += S.sign_flip(values) <= S.ALPHA
        shift = values + 3 * max(float(np.std(values)), 1e-3)
        count["sign_flip_of_a_shift"] += S.sign_flip(shift) <= S.ALPHA
        low, high = S.interval(values)
        count["interval"] += not low <= 0 <= high
        allowed = S.can_be_significant(n, FAMILY)
        family = S.holm([S.sign_flip(null(draw, n)) for _ in range(FAMILY)])
        count["family"] += allowed and min(family) <= S.ALPHA
        count["across_4_tasks"] += S.across([null(draw, n).tolist() for _ in range(4)]).p <= S.ALPHA
    return {name: round(value / REPEATS[n], 4) for name, value in count.items()}


def test_false_positive_rates():
    recording = record.start("statistics_null", ["numpy", "scipy"])
    rows = [
        {"null": null.__name__, "seeds": n, "repeats": REPEATS[n], **rates(null, n)}
        for null in NULLS
        for n in REPEATS
    ]
    recording.put(rows, settings={"level": S.ALPHA})
    for values in rows:
        name, n = values["null"], values["seeds"]
        symmetric = name != "skewed"
        above = S.ALPHA + 4 * math.sqrt(S.ALPHA * (1 - S.ALPHA) / REPEATS[n])
        if symmetric:
            for key in ("sign_flip", "family", "across_4_tasks"):
                assert values[key] <= above, (name, n, key)
        if n < S.seeds_needed(1):
            assert values["sign_flip"] == 0, (name, n)  # nothing can be significant
        if n >= 10:
            assert values["sign_flip_of_a_shift"] > 0.9, (name, n)  # the control: a true difference is found
        if name == "normal":
            assert values["interval"] <= above + (0.02 if n >= S.BCA_FROM else 0), n
