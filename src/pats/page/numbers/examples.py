"""Uncertainty over examples: how far one run's score would move on another sample of the same test items.

It is not the uncertainty over seeds: a difference may be firm over seeds and still be of these few hundred
examples alone. Scores are resampled from a run's own ``predictions.csv.gz``.
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pats import _schema
from pats.page.numbers import ranked
from pats.tasks import metrics, multilabel

Array = NDArray[np.float64]
Pairs = tuple[Array, Array]  # labels and predictions of one split

RESAMPLES = 1000
PIECE = 1_000_000  # counts that are held at a time
RESAMPLES_SLOW = 200  # of metrics that are computed one resample at a time
OF_COUNTS = ("accuracy", "f1", "macro_f1", "matthews", "weighted_f1", "balanced_accuracy")
OF_SCORES = ("pearson", "spearman")


class Damaged(Exception):
    """Predictions cannot be read; the message says what is wrong, as "is gone"."""


@dataclass(frozen=True)
class Answers:
    """What one run says of the examples of one split.

    Args:
        true: Class indices, or scores; of several labels a row, 0 and 1 for each label.
        predicted: The same of the predictions.
        shares: Probabilities of the classes, one row an example; None for scores, and in files without them.
        split: Name of the split.
    """

    true: Array
    predicted: Array
    shares: Array | None = None
    split: str = ""

    def take(self, rows: NDArray[np.int64]) -> "Answers":
        """The answers to some of the examples."""
        shares = None if self.shares is None else self.shares[rows]
        return Answers(self.true[rows], self.predicted[rows], shares, self.split)


def measured(answers: Answers, metric: str) -> float:
    """A metric of ``pats.tasks.metrics`` of answers, in its own unit."""
    return metrics.compute([metric], answers.predicted, answers.true, answers.shares)[metric]


@dataclass(frozen=True)
class Examples:
    """What one run's predictions say.

    Args:
        count: Examples.
        score: The metric × 100.
        interval: Its 95 % interval × 100 over examples, a percentile bootstrap (seeded); of an accuracy of 0
            or 100 the exact one.
        majority: The metric × 100 of always predicting the most frequent class; None for regression.
    """

    count: int
    score: float
    interval: tuple[float, float]
    majority: float | None

    @property
    def plausible(self) -> tuple[float, float] | None:
        """The interval; None where all resamples agree, which tells nothing."""
        return None if self.interval[0] == self.interval[1] else self.interval


def resampled(parts: Sequence[Answers], metric: str, labels: Sequence[str]) -> Examples | None:
    """What the predictions of one run say, its examples resampled.

    Args:
        parts: From ``read``; over several splits the mean is taken, as in the result.
        metric: Name of the metric.
        labels: Classes in the order of their indices; empty for regression.

    Returns:
        None where there is nothing, or the metric is not known.
    """
    about = metrics.ABOUT.get(metric)
    if not parts or about is None or about.regression == bool(labels):
        return None
    if metric in metrics.OF_PROBABILITIES and any(part.shares is None for part in parts):
        return None
    draws, scores, majorities = [], [], []
    for part in parts:
        score, drawn, majority = _resampled(part, metric, len(labels))
        scores.append(score)
        draws.append(drawn)
        majorities += [] if majority is None else [majority]
    low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
    count = sum(len(part.true) for part in parts)
    if metric == "accuracy" and low == high and low in (0, 1):
        # All are right, or all wrong, and so in every resample: the exact (Clopper-Pearson) interval instead.
        low, high = stats.binomtest(round(low * count), count).proportion_ci()
    return Examples(
        count,
        100 * float(np.mean(scores)),
        (100 * float(low), 100 * float(high)),
        100 * float(np.mean(majorities)) if majorities else None,
    )


def _resampled(part: Answers, metric: str, classes: int) -> tuple[float, Array, float | None]:
    """A score, the scores of resampled examples, and that of the most frequent class where it has one."""
    true, predicted = part.true, part.predicted
    if metric in OF_COUNTS and true.ndim == 1:
        counts = confusion((true, predicted), classes)
        constant = np.zeros_like(counts)
        constant[:, counts.sum(axis=1).argmax()] = counts.sum(axis=1)
        shares = counts.ravel() / counts.sum()
        generator, drawn = np.random.default_rng(0), []
        piece = max(
            1, min(RESAMPLES, PIECE // shares.size)
        )  # tables at a time: of 200 classes each is 320 kB
        for start in range(0, RESAMPLES, piece):
            tables = generator.multinomial(int(counts.sum()), shares, min(piece, RESAMPLES - start))
            drawn.append(of_counts(metric, tables.reshape(-1, *counts.shape)))
        return (
            float(of_counts(metric, counts[None])[0]),
            np.concatenate(drawn),
            float(of_counts(metric, constant[None])[0]),
        )
    if metric in OF_SCORES:
        if metric == "spearman":
            true, predicted = stats.rankdata(true), stats.rankdata(predicted)
        rows = np.random.default_rng(0).integers(0, true.size, (RESAMPLES, true.size))
        score = float(_pearson(true[None], predicted[None])[0])
        return score, _pearson(true[rows], predicted[rows]), None
    rows = np.random.default_rng(0).integers(0, len(true), (RESAMPLES_SLOW, len(true)))
    return measured(part, metric), each(part, metric, rows), None


def each(answers: Answers, metric: str, rows: NDArray[np.int64]) -> Array:
    """A metric of every resample of examples, one row each."""
    if metric in ranked.OF_RANKS and answers.shares is not None:
        return ranked.of_resamples(metric, answers.shares, answers.true, rows)
    return np.array([measured(answers.take(own), metric) for own in rows])


def read(
    path: Path, labels: Sequence[str], split: str, digest: str | None = None, several: bool = False
) -> list[Answers]:
    """The labels and predictions of one run, one entry a split.

    Args:
        path: A ``predictions.csv.gz``.
        labels: Classes in the order of their indices; empty for regression.
        split: ``"dev"`` (with ``dev_matched`` and ``dev_mismatched``) or ``"test"``.
        digest: Hash of the table's text, as the result has it; None is not checked.
        several: A row may have several labels.

    Raises:
        Damaged: The file is gone, or is not what the run wrote.
    """
    try:
        content = gzip.decompress(_schema.read(path))
        if digest is not None and hashlib.blake2b(content, digest_size=16).hexdigest() != digest:
            raise Damaged("is not what the run wrote")
        rows = csv.reader(io.StringIO(content.decode("utf-8")))
        next(rows, None)
        number = {label: float(index) for index, label in enumerate(labels)}
        answers: dict[str, list[tuple[float, ...]]] = {}
        for name, _, label, predicted, *shares in rows:
            if name == split or name.startswith(f"{split}_"):
                pair: tuple[float, ...]
                if several:
                    pair = (*_marks(label, labels), *_marks(predicted, labels))
                else:
                    pair = (number[label], number[predicted]) if labels else (float(label), float(predicted))
                answers.setdefault(name, []).append((*pair, *map(float, shares)))
        tables = {name: np.asarray(own, dtype=np.float64) for name, own in answers.items()}
    except FileNotFoundError:
        raise Damaged("is gone") from None
    except (OSError, EOFError, ValueError, KeyError, zlib.error, csv.Error):
        raise Damaged("is cut or damaged") from None
    if not all(np.isfinite(table).all() for table in tables.values()):
        raise Damaged("holds numbers that are not finite")
    if several:
        wide = len(labels)
        return [
            Answers(table[:, :wide], table[:, wide : 2 * wide], table[:, 2 * wide :], name)
            for name, table in tables.items()
        ]
    return [
        Answers(
            table[:, 0],
            table[:, 1],
            table[:, 2:] if labels and table.shape[1] - 2 == len(labels) else None,
            name,
        )
        for name, table in tables.items()
    ]


def together(parts: Sequence[Sequence[Answers]]) -> list[Answers]:
    """What several runs say of different examples as what one run says of all of them, by split."""
    if len(parts) == 1:
        return list(parts[0])
    by_split: dict[str, list[Answers]] = {}
    for own in parts:
        for one in own:
            by_split.setdefault(one.split, []).append(one)
    return [
        Answers(
            np.concatenate([one.true for one in own]),
            np.concatenate([one.predicted for one in own]),
            None if any(one.shares is None for one in own) else np.concatenate([one.shares for one in own]),
            split,
        )
        for split, own in by_split.items()
    ]


def _marks(cell: str, labels: Sequence[str]) -> list[float]:
    """0 and 1 for every label, of a cell of predictions."""
    marks = dict.fromkeys(labels, 0.0)
    for label in multilabel.split(cell, labels):
        if label not in marks:
            raise KeyError(label)
        marks[label] = 1.0
    return list(marks.values())


def confusion(pairs: Pairs, classes: int) -> NDArray[np.int64]:
    """Counts by label and prediction."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (pairs[0].astype(np.int64), pairs[1].astype(np.int64)), 1)
    return counts


def of_counts(metric: str, counts: NDArray[np.int64]) -> Array:
    """A metric of classification from confusion counts.

    Args:
        metric: One of ``OF_COUNTS``, as in ``pats.tasks.metrics``.
        counts: Of shape (tables, label, prediction).

    Returns:
        One score a table, in float64.
    """
    n = counts.sum(axis=(1, 2)).astype(np.float64)
    hits = np.diagonal(counts, axis1=1, axis2=2).astype(np.float64)
    true, predicted = counts.sum(axis=2).astype(np.float64), counts.sum(axis=1).astype(np.float64)
    if metric == "accuracy":
        return np.asarray(hits.sum(axis=1) / n)
    if metric == "matthews":
        covariance = hits.sum(axis=1) * n - (true * predicted).sum(axis=1)
        spread = (n**2 - (true**2).sum(axis=1)) * (n**2 - (predicted**2).sum(axis=1))
        return _over(covariance, np.sqrt(spread))
    both = true + predicted
    each = _over(2 * hits, both)
    if metric == "f1":
        return np.asarray(each[:, 1])
    if metric == "macro_f1":
        return np.asarray(each.sum(axis=1) / (both > 0).sum(axis=1))
    if metric == "weighted_f1":
        return np.asarray((each * true).sum(axis=1) / n)
    if metric == "balanced_accuracy":
        return np.asarray(_over(hits, true).sum(axis=1) / (true > 0).sum(axis=1))
    raise ValueError(f"{metric!r} is no metric of classification")


def _pearson(x: Array, y: Array) -> Array:
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    spread = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return _over((x * y).sum(axis=1), spread)


def _over(above: Array, below: Array) -> Array:
    """``above / below``; 0 where that is 0/0."""
    return np.asarray(np.divide(above, below, out=np.zeros_like(below), where=below > 0))
