"""What the predictions of a table's runs show: classes never predicted, the majority, doubts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pats.page.numbers import examples, judged
from pats.page.numbers.examples import Answers, Damaged, Examples
from pats.page.numbers.tables import Group
from pats.results import Cell, Doubt, Result
from pats.tasks import multilabel

Counts = NDArray[np.int64]

MOST_RUNS = 400  # a study with more is read one run a cell: thousands of files take minutes


@dataclass(frozen=True)
class Reading:
    """What was read of one table's runs.

    Args:
        labels: Names of the classes; empty for regression, and where nothing was read.
        counts: Counts by label and prediction of every run that was read, by row.
        first: Doubts over examples of the first run that was read, by row.
        damaged: A sentence for every file that cannot be read.
        answers: What the first run that was read says of every example, by row.
        several: The same where an example may have several labels; counts and answers are then empty.
        doubt: What the dev rows leave open between two rows, of whatever model (``over_dev``).
    """

    labels: tuple[str, ...] = ()
    counts: Mapping[str, Sequence[Counts]] = field(default_factory=dict)
    first: Mapping[str, Examples] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    answers: Mapping[str, Sequence[Answers]] = field(default_factory=dict)
    several: Mapping[str, Sequence[Answers]] = field(default_factory=dict)
    doubt: Doubt | None = None

    @property
    def majority(self) -> float | None:
        """The metric × 100 of always answering the most frequent class; None where it is not known."""
        return next((doubts.majority for doubts in self.first.values() if doubts.majority is not None), None)

    def never(self) -> dict[str, dict[str, tuple[int, int]]]:
        """By class and row: how many runs never predict a class that occurs, and how many were read.

        Runs that predict one class alone are left out: of them that is the news.
        """
        runs: dict[str, dict[str, tuple[int, int]]] = {}
        for row, counts in self.counts.items():
            able = [one for one in counts if (one.sum(axis=0) > 0).sum() > 1]
            for place, label in enumerate(self.labels):
                without = sum(bool(one[place].sum() and not one[:, place].sum()) for one in able)
                if without:
                    runs.setdefault(label, {})[row] = (without, len(counts))
        return {label: runs[label] for label in self.labels if label in runs}


Readings = Mapping[tuple[str, str], Reading]  # by task and model


def read(groups: Sequence[Group], predictions: Mapping[str, Path]) -> dict[tuple[str, str], Reading]:
    """Read the predictions of a study's runs.

    Args:
        groups: The tables.
        predictions: Where the predictions of a run are, by id; a run that is not there is passed over.
    """
    runs = sum(len(line.cell.results) for group in groups for line in group.lines)
    most = None if runs <= MOST_RUNS else 1
    return {(group.task, group.model): _read(group, predictions, most) for group in groups}


def _read(group: Group, predictions: Mapping[str, Path], most: int | None) -> Reading:
    labels: tuple[str, ...] = ()
    counts: dict[str, list[Counts]] = {}
    first: dict[str, Examples] = {}
    answers: dict[str, Sequence[Answers]] = {}
    several: dict[str, Sequence[Answers]] = {}
    damaged = []
    for line in group.lines:
        row = line.cell.label
        for seed, result, files in list(_written(line.cell, predictions))[:most]:
            classes, many = result.labels, result.run.kind == multilabel.KIND
            try:
                parts = _answers(files, group.split)
            except Damaged as why:
                damaged.append(
                    f"The predictions of {row}, seed {seed}, on {group.task} cannot be read: {why}; "
                    "numbers over examples and classes are without them."
                )
                continue
            if many and parts:
                labels = labels or classes
                several.setdefault(row, parts)
            elif classes and parts:
                labels = labels or classes
                if classes == labels:
                    whole = [examples.confusion((p.true, p.predicted), len(classes)) for p in parts]
                    counts.setdefault(row, []).append(np.sum(whole, axis=0))
            if row not in answers and parts and not many and classes == (labels or classes):
                answers[row] = parts
            if row not in first:
                doubts = examples.resampled(parts, result.metric, classes)
                first |= {} if doubts is None else {row: doubts}
    return Reading(labels, counts, first, tuple(damaged), answers, several, over_dev(predictions))


def over_dev(predictions: Mapping[str, Path]) -> Doubt:
    """The standard error × 100 of the difference of two rows' first runs over the dev rows.

    It is None where their predictions are not there or cannot be read; the page names a damaged file.
    """
    known: dict[tuple[str, ...], float | None] = {}

    def error(ours: Cell, theirs: Cell) -> float | None:
        pair = tuple(name for cell in (ours, theirs) for name in (cell.task, cell.model, cell.label))
        if pair not in known:
            try:
                first, second = (_first_answers(cell, predictions) for cell in (ours, theirs))
                known[pair] = judged.error_over_examples(first, second, str(ours.metric))
            except Damaged:
                known[pair] = None
        return known[pair]

    return error


def _first_answers(cell: Cell, predictions: Mapping[str, Path]) -> list[Answers]:
    """What the first run of a row says of the dev rows; empty where none has written its predictions."""
    _, _, files = next(iter(_written(cell, predictions)), (0, None, []))
    return _answers(files, "dev")


Files = list[tuple[Path, Result]]  # predictions, and the result that they are of


def _answers(files: Files, split: str) -> list[Answers]:
    """What the files say of a split: of folds, of each its own rows.

    Raises:
        Damaged: One of them cannot be read.
    """
    parts = []
    for path, result in files:
        several, digest = result.run.kind == multilabel.KIND, result.predictions.get("blake2b")
        try:
            parts.append(examples.read(path, result.labels, split, digest, several))
        except Damaged as why:
            raise Damaged(f"{path} {why}") from None
    return examples.together(parts)


def _written(cell: Cell, predictions: Mapping[str, Path]) -> Iterable[tuple[int, Result, Files]]:
    """The runs that have predictions, or should have them."""
    for outcome in cell.outcomes:
        result = cell.results.get(outcome.seed)
        if result is None:
            continue
        files = [
            (predictions[part.run_id], part.result)
            for part in outcome.parts or (outcome,)
            if part.result is not None and part.run_id in predictions
        ]
        if files and all(own.predictions or path.exists() for path, own in files):
            yield outcome.seed, result, files
