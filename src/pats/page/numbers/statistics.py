"""Statistics for few seeds: paired differences, exact tests, and what could have been shown at all.

Every function takes plain sequences of finite numbers and refuses others with ``ValueError``. What
needs at least two values returns None for fewer. Random parts are seeded, so that a table printed
twice is the same table.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

ALPHA = 0.05
EXACT_UP_TO = 12  # 2**12 sign patterns are enumerated; more seeds take random ones
FLIPS = 10_000
POINTS = 10_000  # quantiles of a spread; with more, no power changes by 1e-4
BCA_FROM = 20  # below, bootstrap intervals of a mean are too narrow: at n = 5 they miss in 16-18 %
ROUNDING = 1e-8  # of the largest score, at least of 1: smaller differences are of the arithmetic

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """A difference between two methods, paired by seed.

    Args:
        n: Pairs.
        mean: Mean difference, in the unit of the scores.
        interval: 95 % interval of the mean; None below two pairs, and where all differences are equal:
            their spread is then unknown, not zero.
        p: Two-sided sign-flip p-value; None below two pairs.
        detectable: Smallest true difference that these seeds would have shown in 80 % of studies; None
            where so many pairs can show none, where the spread is unknown, and where it is ``beyond``.
        beyond: Even the largest difference that the metric's scale allows would not have been shown.
        equal: ``"exactly"`` or ``"up to rounding"`` where both methods score the same in every pair.
        shift: Every pair has the same difference, and it is not zero.
    """

    n: int
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    detectable: float | None
    beyond: bool = False
    equal: Literal["exactly", "up to rounding"] | None = None
    shift: bool = False


def _array(values: Sequence[float]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("needs a non-empty sequence of finite numbers")
    return array


def iqm(values: Sequence[float]) -> float:
    """Interquartile mean: the mean of what is left without the lowest and highest quarter.

    Of n values, ⌊n/4⌋ are cut at either end (``scipy.stats.trim_mean``), so that below four values
    it is the mean.
    """
    return float(stats.trim_mean(_array(values), 0.25))


def std(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1); None for one value."""
    array = _array(values)
    return float(array.std(ddof=1)) if array.size > 1 else None


def interval(
    values: Sequence[float], level: float = 1 - ALPHA, limits: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Confidence interval of the mean: Student's t below 20 values, from there on BCa bootstrap.

    One value gives None, and so do values that are equal up to rounding: they show no spread.

    Args:
        values: The values.
        level: The level.
        limits: Between which the true mean lies whatever the values: the interval is cut there.
    """
    bounds = _interval(tuple(_array(values).tolist()), level)
    if bounds is None or limits is None:
        return bounds
    return max(bounds[0], limits[0]), min(bounds[1], limits[1])


@lru_cache(maxsize=4096)  # a page shows the same interval in a table and in a chart, and BCa is slow
def _interval(values: tuple[float, ...], level: float) -> tuple[float, float] | None:
    array = np.asarray(values)
    if array.size < 2:
        return None
    mean = float(array.mean())
    if np.ptp(array) <= ROUNDING * np.abs(array).max():
        return None
    if array.size < BCA_FROM:
        low, high = stats.t.interval(level, array.size - 1, mean, stats.sem(array))
    else:
        low, high = stats.bootstrap(
            (array,), np.mean, confidence_level=level, method="BCa", rng=np.random.default_rng(0)
        ).confidence_interval
    return float(low), float(high)


def sign_flip(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of the mean under random signs: under the null, either sign is as likely.

    All 2ⁿ sign patterns up to n = 12, so that p ≥ 2/2ⁿ; beyond, 10,000 random ones (seeded) with the
    observed pattern counted in. One difference gives None.
    """
    array = _array(differences)
    n = array.size
    if n < 2:
        return None
    if n <= EXACT_UP_TO:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        means = np.abs((1 - 2 * bits) @ array)
        extra = 0
    else:
        signs = np.random.default_rng(0).integers(0, 2, size=(FLIPS, n)) * 2 - 1
        means = np.abs(signs @ array)
        extra = 1
    observed = abs(float(array.sum()))
    # Patterns that only rounding separates from the observed one count as equal to it.
    reached = int((means >= observed - 1e-9 * float(np.abs(array).sum())).sum())
    return (reached + extra) / (means.size + extra)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; none for none."""
    m = len(p_values)
    adjusted = [0.0] * m
    highest = 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def can_be_significant(n: int, family: int, alpha: float = ALPHA) -> bool:
    """Whether n pairs can reach α/m at all: the smallest sign-flip p is 2/2ⁿ."""
    return n >= seeds_needed(family, alpha)


def seeds_needed(family: int, alpha: float = ALPHA) -> int:
    """The smallest n with 2/2ⁿ ≤ α/m for a family of m comparisons."""
    return next(n for n in range(2, 10_000) if 2.0 ** (1 - n) <= alpha / max(family, 1))


def detectable(spread: float, n: int, alpha: float = ALPHA, power: float = 0.8) -> float | None:
    """Smallest true mean difference that a two-sided paired t test finds with this power.

    Args:
        spread: Standard deviation of the paired differences.
        n: Pairs.
        alpha: Level of the test, after division by the family's size.
        power: Share of studies that would find it.

    Returns:
        The difference in the unit of ``spread``; None below two pairs.
    """
    return None if n < 2 else _effect(n, alpha, power) * spread


@lru_cache
def _effect(n: int, alpha: float, power: float) -> float:
    """``detectable`` for differences of standard deviation 1."""
    degrees = n - 1
    # Over the quantiles of the estimated spread: scipy's noncentral t is wrong for some few degrees.
    at = (np.arange(POINTS) + 0.5) / POINTS
    spread = np.sqrt(stats.chi2.ppf(at, degrees) / degrees)
    needed = float(stats.t.ppf(1 - alpha / 2, degrees)) * spread

    def shortfall(shift: float) -> float:
        # Two-sided: the far tail counts, small as it is.
        found = stats.norm.cdf(shift - needed) + stats.norm.cdf(-shift - needed)
        return float(np.mean(found)) - power

    high = 1.0
    while shortfall(high) < 0:
        high *= 2
    return float(optimize.brentq(shortfall, 0.0, high)) / math.sqrt(n)


def differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """``ours - theirs`` pair by pair; 0 where the two scores differ by rounding alone.

    Raises:
        ValueError: The lengths differ, or a score is not finite.
    """
    a, b = _array(ours), _array(theirs)
    if a.size != b.size:
        raise ValueError(f"{a.size} and {b.size} scores cannot be paired")
    gap = a - b
    return [float(one) for one in np.where(np.abs(gap) <= _tolerance(a, b), 0.0, gap)]


def _tolerance(*scores: Array) -> float:
    return ROUNDING * max(1.0, *(float(np.abs(array).max()) for array in scores))


def paired(
    ours: Sequence[float],
    theirs: Sequence[float],
    family: int = 1,
    limits: tuple[float, float] | None = None,
) -> Paired:
    """Compare two methods on the same seeds, ``ours - theirs``.

    Args:
        ours: Scores of one method, one a seed.
        theirs: Scores of the other, in the same order of seeds.
        family: Comparisons made; it lowers the level of ``detectable``. ``p`` is not adjusted: see
            ``holm``.
        limits: Lowest and highest score of the metric: no difference can lead beyond them.

    Raises:
        ValueError: The lengths differ, or a score is not finite.
    """
    difference = differences(ours, theirs)
    n, mean = len(difference), float(np.mean(difference))
    if not any(difference):
        exactly = np.array_equal(ours, theirs)
        return Paired(
            n, 0.0, None, sign_flip(difference), None, equal="exactly" if exactly else "up to rounding"
        )
    width = None if limits is None else (limits[0] - limits[1], limits[1] - limits[0])
    bounds = interval(difference, limits=width)
    if bounds is None:
        return Paired(n, mean, None, sign_flip(difference), None, shift=n > 1)
    least = None
    if can_be_significant(n, family):
        spread = std(difference)
        assert spread is not None
        least = detectable(spread, n, ALPHA / max(family, 1))
    beyond = False
    if least is not None and limits is not None:
        start = float(np.mean(theirs))
        beyond = least > max(limits[1] - start, start - limits[0])
    return Paired(n, mean, bounds, sign_flip(difference), None if beyond else least, beyond)


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """P(A > B) + P(A = B)/2 for independent draws of the two methods: Mann-Whitney U / (n·m).

    Scores that differ by rounding alone count as equal.
    """
    a, b = _array(ours), _array(theirs)
    gap, same = a[:, None] - b, _tolerance(a, b)
    return float(np.mean((gap > same) + 0.5 * (np.abs(gap) <= same)))


def normalise(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, list[float]]]:
    """Scores by task and method, brought to [0, 1] within each task over all its methods and seeds.

    Metrics of different tasks have different spreads; here 0 is the worst and 1 the best run of a
    task. A task on which all runs are equal gives 0.5.
    """
    result = {}
    for task, methods in scores.items():
        pool = _array([score for values in methods.values() for score in values])
        low, width = float(pool.min()), float(np.ptp(pool))
        width = width if width > _tolerance(pool) else 0.0
        result[task] = {
            method: [(score - low) / width if width else 0.5 for score in values]
            for method, values in methods.items()
        }
    return result


def stratified(
    tasks: Sequence[Sequence[float]],
    statistic: Callable[..., Any] | None = None,
    resamples: int = 2000,
    level: float = 1 - ALPHA,
) -> tuple[float, tuple[float, float]]:
    """A statistic over all tasks' runs, with a percentile interval from a bootstrap within each task.

    With few runs a task the interval is too narrow, as every bootstrap of a handful of values.

    Args:
        tasks: The runs' scores, one sequence a task, on a common scale (``normalise``).
        statistic: From an array of scores to a number, along ``axis=-1``; None is the interquartile mean.
        resamples: Bootstrap samples; they are seeded.
        level: Level of the interval.
    """
    arrays = [_array(task) for task in tasks]
    draw = np.random.default_rng(0)
    value = statistic or _iqm
    samples = [array[draw.integers(0, array.size, (resamples, array.size))] for array in arrays]
    statistics = value(np.concatenate(samples, axis=1), axis=-1)
    low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2])
    return float(value(np.concatenate(arrays), axis=-1)), (float(low), float(high))


def _iqm(scores: Array, axis: int) -> Any:
    return stats.trim_mean(scores, 0.25, axis=axis)


def across(tasks: Sequence[Sequence[float]], level: float = 1 - ALPHA) -> Paired | None:
    """The mean over tasks of the mean paired difference, every task counting alike.

    The p-value is of random signs over all pairs of all tasks (``sign_flip``), which needs no common
    scale of the tasks' spreads; the interval is Student's t with Welch's and Satterthwaite's degrees of
    freedom, from the spread within tasks: over seeds, not over tasks that might have been chosen.

    Args:
        tasks: Differences paired by seed, one sequence a task.
        level: Level of the interval.

    Returns:
        None without tasks. The interval is None where a task has one pair alone, and where no task has any
        spread; ``detectable`` is not computed.
    """
    arrays = [_array(task) for task in tasks]
    if not arrays:
        return None
    count = len(arrays)
    mean = float(np.mean([array.mean() for array in arrays]))
    weighted = np.concatenate([array / (array.size * count) for array in arrays])
    p = sign_flip(weighted.tolist())
    bounds: tuple[float, float] | None = None
    if all(array.size > 1 for array in arrays):
        parts = [float(array.var(ddof=1)) / array.size / count**2 for array in arrays]
        error = math.sqrt(sum(parts))
        if error > ROUNDING * max(float(np.abs(array).max()) for array in arrays):
            degrees = sum(parts) ** 2 / sum(
                part**2 / (array.size - 1) for part, array in zip(parts, arrays, strict=True)
            )
            half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
            bounds = (mean - half, mean + half)
    equal: Literal["exactly"] | None = None if np.any(weighted) else "exactly"
    return Paired(weighted.size, mean, bounds, p, None, equal=equal)


ASO_FROM = 10  # runs a side; the bootstrap below means nothing with fewer


def almost_stochastic_order(
    ours: Sequence[float],
    theirs: Sequence[float],
    level: float = 1 - ALPHA,
    resamples: int = 1000,
    points: int = 200,
) -> float:
    """ε_min of almost stochastic order (Dror et al. 2019): how far "ours is better" is violated.

        ε = ∫_{F⁻¹ < G⁻¹} (F⁻¹ - G⁻¹)² dt / ∫ (F⁻¹ - G⁻¹)² dt,   ε_min = ε + σ̂·z_{level}·√((n+m)/(n·m))

    with F of ``ours``, G of ``theirs`` and σ̂ from a bootstrap (seeded): an upper bound of the true ε. 0:
    always better; below 0.5, strictly below 0.2: almost better; 1: never. Read it with ten runs or more a
    side (``ASO_FROM``).

    Args:
        ours: Scores of one method.
        theirs: Scores of the other; the numbers may differ.
        level: Confidence that the true ε is below ε_min.
        resamples: Bootstrap samples.
        points: Quantiles at which the integrals are taken.

    Source: del Barrio et al. 2018; equal to ``deepsig.aso`` up to the bootstrap's randomness.
    """
    a, b = np.sort(_array(ours)), np.sort(_array(theirs))
    draw = np.random.default_rng(0)
    factor = math.sqrt(a.size * b.size / (a.size + b.size))
    ratio = _violation(a[None], b[None], points)[0]
    first = np.sort(a[draw.integers(0, a.size, (resamples, a.size))], axis=1)
    second = np.sort(b[draw.integers(0, b.size, (resamples, b.size))], axis=1)
    spread = float(np.std(factor * (_violation(first, second, points) - ratio)))
    return float(np.clip(ratio + spread / factor * stats.norm.ppf(level), 0.0, 1.0))


def _violation(ours: Array, theirs: Array, points: int) -> Array:
    """The violation ratio of every row of two sorted tables; 0.5 where the two are the same."""
    at = (np.arange(points) + 0.5) / points

    def quantiles(ordered: Array) -> Array:
        places = np.ceil(at * ordered.shape[1] - 1e-12).astype(np.int64) - 1
        return np.asarray(ordered[:, places.clip(0)])

    gap = quantiles(ours) - quantiles(theirs)
    gap = np.where(np.abs(gap) <= _tolerance(ours, theirs), 0.0, gap)
    worse, whole = (np.where(gap < 0, gap, 0.0) ** 2).sum(axis=1), (gap**2).sum(axis=1)
    return np.asarray(np.divide(worse, whole, out=np.full_like(whole, 0.5), where=whole > 0))
