"""The section on classes: how well each one is found, and which are never predicted."""

from collections.abc import Sequence

import numpy as np

from pats.page.content.blocks import Grid, Section
from pats.page.content.words import name_of, number
from pats.page.numbers.reading import Readings
from pats.page.numbers.tables import Group


def classes(groups: Sequence[Group], read: Readings) -> Section | None:
    """F1 of every class, mean over the runs whose predictions were read; None where none were."""
    grids = []
    for group in groups:
        reading = read[group.task, group.model]
        if not reading.counts:
            continue
        first = next(iter(reading.counts.values()))[0]
        rows = []
        for place, label in enumerate(reading.labels):
            cells = [_cell(counts, place) for counts in reading.counts.values()]
            share = 100 * first[place].sum() / max(first.sum(), 1)
            rows.append((label, f"{first[place].sum():,}", f"{share:.1f} %", *cells))
        models = {other.model for other in groups}
        where = group.task if len(models) == 1 else f"{group.task} · {name_of(group.model)}"
        heads = ("class", "examples", "share", *reading.counts)
        grids.append(Grid(f"{where}: F1 × 100 of each class on {group.split}", heads, tuple(rows)))
    if not grids:
        return None
    text = (
        "Means over the runs whose predictions were read; the numbers of examples are the first run's. A "
        "high accuracy may hide a class that is never predicted, where that class is rare."
    )
    return Section("classes", "Classes", text, tuple(grids), shown=8)


def _cell(counts: Sequence[np.ndarray], place: int) -> str:
    if not any(one[:, place].sum() for one in counts):
        return "never predicted"
    both = [int(one[place].sum() + one[:, place].sum()) for one in counts]
    f1_by_run = [
        200 * int(one[place, place]) / size if size else 0.0 for one, size in zip(counts, both, strict=True)
    ]
    return number(float(np.mean(f1_by_run)))
