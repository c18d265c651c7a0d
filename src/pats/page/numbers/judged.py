"""What a table's predictions show beyond one score: classes, confusions, doubts over examples, hard rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pats.page.numbers.examples import Answers, each, measured

Counts = NDArray[np.int64]

RESAMPLES = 1000
RESAMPLES_SLOW = 200  # of metrics that are computed one resample at a time
MIN_PART = 5  # rows below which a part of the examples has no score


@dataclass(frozen=True)
class OfClass:
    """How well one class is found; × 100.

    Args:
        label: Its name.
        count: Examples of it.
        predicted: How often it is predicted.
        precision: Share of its predictions that are right; None where it is never predicted.
        recall: Share of its examples that are found; None without any.
        f1: 2·hits / (examples + predictions); None without either.
    """

    label: str
    count: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


def per_class(labels: Sequence[str], counts: Counts) -> list[OfClass]:
    """Precision, recall and F1 of every class.

    Args:
        labels: Names of the classes.
        counts: By label and prediction.
    """
    hits, true, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)

    def share(above: int, below: int) -> float | None:
        return 100 * above / below if below else None

    return [
        OfClass(
            label,
            int(true[i]),
            int(predicted[i]),
            share(int(hits[i]), int(predicted[i])),
            share(int(hits[i]), int(true[i])),
            share(2 * int(hits[i]), int(true[i] + predicted[i])),
        )
        for i, label in enumerate(labels)
    ]


def per_label(labels: Sequence[str], answers: Sequence[Answers]) -> list[OfClass]:
    """Precision, recall and F1 of every label, where an example may have several.

    Args:
        labels: Names of the labels.
        answers: Tables of 0 and 1, of one or more splits.
    """
    true = np.concatenate([part.true for part in answers])
    predicted = np.concatenate([part.predicted for part in answers])
    found = []
    for place, label in enumerate(labels):
        hits = int((true[:, place] * predicted[:, place]).sum())
        held, said = int(true[:, place].sum()), int(predicted[:, place].sum())
        counts = np.array([[0, said - hits], [held - hits, hits]])
        found.append(per_class(("", label), counts)[1])
    return found


def confusions(labels: Sequence[str], counts: Counts, most: int = 5) -> list[tuple[str, str, int]]:
    """The commonest mistakes: label, prediction, and how often; the most frequent first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = (divmod(int(place), len(labels)) for place in order)
    return [(labels[a], labels[b], int(wrong[a, b])) for a, b in places if wrong[a, b]]


def paired_over_examples(
    ours: Sequence[Answers], theirs: Sequence[Answers], metric: str
) -> tuple[float, tuple[float, float]] | None:
    """The difference × 100 of two runs on the same examples, with its 95 % interval over examples.

    The rows are resampled (percentile bootstrap, seeded), the same ones for both; over several splits the
    mean is taken. It is no doubt over seeds.

    Returns:
        None where the two are not of the same examples.
    """
    found = _gaps(ours, theirs, metric)
    if found is None:
        return None
    low, high = np.quantile(found[1], [0.025, 0.975])
    return 100 * found[0], (100 * float(low), 100 * float(high))


def error_over_examples(ours: Sequence[Answers], theirs: Sequence[Answers], metric: str) -> float | None:
    """The standard error × 100 of that difference over examples: its standard deviation over the resamples.

    Returns:
        None where the two are not of the same examples.
    """
    found = _gaps(ours, theirs, metric)
    return None if found is None else 100 * float(np.std(found[1], ddof=1))


def _gaps(
    ours: Sequence[Answers], theirs: Sequence[Answers], metric: str
) -> tuple[float, NDArray[np.float64]] | None:
    """The difference of two runs, and that of every resample of their examples."""
    if not ours or len(ours) != len(theirs):
        return None
    if not all(np.array_equal(a.true, b.true) for a, b in zip(ours, theirs, strict=True)):
        return None
    resamples = RESAMPLES if metric in ("accuracy", "mae") else RESAMPLES_SLOW
    points, draws = [], []
    for a, b in zip(ours, theirs, strict=True):
        points.append(measured(a, metric) - measured(b, metric))
        rows = np.random.default_rng(0).integers(0, len(a.true), (resamples, len(a.true)))
        if metric in ("accuracy", "mae"):
            gap = _each(a, metric) - _each(b, metric)
            draws.append(gap[rows].mean(axis=1))
        else:
            draws.append(each(a, metric, rows) - each(b, metric, rows))
    return float(np.mean(points)), np.mean(draws, axis=0)


def _each(answers: Answers, metric: str) -> NDArray[np.float64]:
    if metric == "accuracy":
        return np.asarray(answers.true == answers.predicted, np.float64)
    return np.abs(answers.true - answers.predicted)


def missed_by_all(rows: Mapping[str, Answers]) -> list[tuple[int, float, float, int]]:
    """Rows of one split that every method gets wrong, perhaps because their label is.

    Args:
        rows: Answers of classification by method, of the same examples in the same order.

    Returns:
        Place in the split, label, the prediction that most methods agree on, and how many do; rows on which
        more agree come first.
    """
    every = list(rows.values())
    if len(every) < 2:
        return []
    wrong = np.all([one.predicted != one.true for one in every], axis=0)
    found = []
    for place in np.flatnonzero(wrong):
        values, many = np.unique([one.predicted[place] for one in every], return_counts=True)
        best = int(many.argmax())
        found.append((int(place), float(every[0].true[place]), float(values[best]), int(many[best])))
    return sorted(found, key=lambda row: (-row[3], row[0]))


def by_part(answers: Answers, parts: Sequence[str], metric: str) -> dict[str, tuple[int, float]]:
    """The score × 100 of every part of the examples, with its rows; parts of few rows are left out.

    Args:
        answers: Of one split.
        parts: Name of the part of every example, such as its group.
        metric: Name of the metric.
    """
    names = np.asarray(parts)
    inside = {name: np.flatnonzero(names == name) for name in dict.fromkeys(parts)}
    return {
        name: (rows.size, 100 * measured(answers.take(rows), metric))
        for name, rows in inside.items()
        if rows.size >= MIN_PART
    }


def length_parts(lengths: Sequence[int], most: int = 4) -> list[str]:
    """The quarter of every length, named by its range of words; equal lengths stay together."""
    ordered = np.asarray(lengths)
    cuts = np.unique(np.quantile(ordered, np.arange(1, most) / most, method="higher"))
    place = np.searchsorted(cuts, ordered, side="right")
    names = {}
    for number in np.unique(place):
        own = ordered[place == number]
        low, high = int(own.min()), int(own.max())
        names[int(number)] = f"{low} words" if low == high else f"{low} to {high} words"
    return [names[int(number)] for number in place]
