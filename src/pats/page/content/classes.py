"""The section on classes: how well each one is found, what it is taken for, and which are never predicted."""

from collections.abc import Sequence

import numpy as np

from pats.page.content.blocks import Grid, Section
from pats.page.content.words import name_of, number
from pats.page.numbers.judged import OfClass, confusions, per_class, per_label
from pats.page.numbers.reading import Reading, Readings
from pats.page.numbers.tables import Group

MATRIX = 12  # classes up to which the whole confusion matrix is shown


def classes(groups: Sequence[Group], read: Readings) -> Section | None:
    """The classes over the runs whose predictions were read; None where none were."""
    tables = grids(groups, read)
    shown = min(len(tables), 8)
    several = labels_of(groups, read)
    if several:
        text = (
            "An example may have several labels; each is right or wrong by itself. The first run's "
            "numbers, with the thresholds that were tuned on dev."
        )
        return Section("classes", "Labels", text, tuple(several), shown=min(len(several), 8))
    if not tables:
        return None
    for group in groups:
        reading, where = read[group.task, group.model], _place(group, groups)
        for row, counts in reading.counts.items():
            tables.append(_detail(reading, counts[0], f"{where}: {row}", group.where))
            tables.append(_matrix(reading, counts[0], f"{where}: {row}"))
    text = (
        "F1: means over the runs whose predictions were read; the numbers of examples are the first run's, "
        "and so are precision, recall and confusions. A high accuracy may hide a class that is never "
        "predicted, where that class is rare."
    )
    return Section("classes", "Classes", text, tuple(tables), shown=shown)


def grids(groups: Sequence[Group], read: Readings, most: int = 1000) -> list[Grid]:
    """F1 of every class by method, one table a group; none for more than ``most`` classes."""
    tables = []
    for group in groups:
        reading = read.get((group.task, group.model), Reading())
        if not reading.counts or len(reading.labels) > most:
            continue
        first = next(iter(reading.counts.values()))[0]
        rows = []
        for place, label in enumerate(reading.labels):
            cells = [_cell(counts, place) for counts in reading.counts.values()]
            share = 100 * first[place].sum() / max(first.sum(), 1)
            rows.append((label, f"{first[place].sum():,}", f"{share:.1f} %", *cells))
        heads = ("class", "examples", "share", *reading.counts)
        where = _place(group, groups)
        tables.append(Grid(f"{where}: F1 × 100 of each class on {group.where}", heads, tuple(rows)))
    return tables


def labels_of(groups: Sequence[Group], read: Readings) -> list[Grid]:
    """Precision, recall and F1 of every label by method, where an example may have several."""
    return [
        _table(
            per_label(reading.labels, parts),
            f"{_place(group, groups)}: {row}, first run",
            group.where,
            "label",
        )
        for group in groups
        for reading in [read.get((group.task, group.model), Reading())]
        for row, parts in reading.several.items()
    ]


def _place(group: Group, groups: Sequence[Group]) -> str:
    models = {other.model for other in groups}
    return group.task if len(models) == 1 else f"{group.task} · {name_of(group.model)}"


def _detail(reading: Reading, counts: np.ndarray, where: str, split: str) -> Grid:
    return _table(per_class(reading.labels, counts), f"{where}, first run", split, "class")


def _table(found: Sequence[OfClass], where: str, split: str, what: str) -> Grid:
    rows = tuple(
        (
            one.label,
            f"{one.count:,}",
            f"{one.predicted:,}" if one.predicted else "never",
            number(one.precision),
            number(one.recall),
            number(one.f1),
        )
        for one in found
    )
    heads = (what, "examples", "predicted", "precision", "recall", "F1")
    return Grid(f"{where}: precision, recall and F1 × 100 on {split}", heads, rows)


def _matrix(reading: Reading, counts: np.ndarray, where: str) -> Grid:
    if len(reading.labels) > MATRIX:
        found = confusions(reading.labels, counts, most=20)
        rows = tuple((label, predicted, str(many)) for label, predicted, many in found)
        heads: tuple[str, ...] = ("label", "predicted as", "examples")
        return Grid(f"{where}, first run: the commonest confusions", heads, rows)
    table = tuple(
        (label, *(f"{many:,}" for many in own)) for label, own in zip(reading.labels, counts, strict=True)
    )
    return Grid(f"{where}, first run: examples by label and prediction", ("label", *reading.labels), table)


def _cell(counts: Sequence[np.ndarray], place: int) -> str:
    if not any(one[:, place].sum() for one in counts):
        return "never predicted"
    both = [int(one[place].sum() + one[:, place].sum()) for one in counts]
    f1_by_run = [
        200 * int(one[place, place]) / size if size else 0.0 for one, size in zip(counts, both, strict=True)
    ]
    return number(float(np.mean(f1_by_run)))
