"""Which metric decides on a user's own table."""

from collections import Counter
from collections.abc import Sequence

from pats._errors import InputError
from pats.tasks.audit import Finding
from pats.tasks.metrics import ABOUT, about

UNEVEN = 3  # times the rarest class that the most frequent one has at least where classes are uneven

USUAL = {False: ("accuracy", "macro_f1"), True: ("pearson", "spearman")}  # by whether the labels are scores


def chosen(classes: Sequence[str], values: Sequence[float]) -> tuple[tuple[str, ...], list[Finding]]:
    """The metrics of a table, the one that decides first, and what to say about it.

    Accuracy decides on classes; macro F1 where the most frequent class has at least three times as many rows
    as the rarest, since a model that never finds rare classes has a good accuracy there. Pearson's
    correlation decides on scores.

    Args:
        classes: Names of the classes; empty for scores.
        values: The class index or score of every row.
    """
    usual = USUAL[not classes]
    if not classes:
        return usual, []
    counts = Counter(values).most_common()
    (most, many), (least, few) = counts[0], counts[-1]
    if many < UNEVEN * few:
        return usual, []
    message = (
        f"The classes are uneven ({classes[int(most)]} has {many} rows, {classes[int(least)]} {few}; always "
        f"answering {classes[int(most)]} would be right in {100 * many / len(values):.3g} % of them): macro "
        "F1 decides, in which every class counts alike, unless --metric names another."
    )
    finding = Finding("uneven", message, {"most": many, "fewest": few})
    return tuple(reversed(usual)), [finding]


def named(metric: str, metrics: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """The metrics of a table with one that the user names first.

    Raises:
        InputError: The metric is not for such labels.
    """
    regression, kind = not classes, "classes" if classes else "scores"
    fits = about(metric).regression == regression
    if not fits or (metric == "f1" and len(classes) > 2):
        kind = kind if not fits else f"{len(classes)} classes"
        fitting = (n for n, one in ABOUT.items() if one.regression == regression and n != "f1")
        raise InputError(f"the metric {metric!r} is not for {kind}: name one of {', '.join(fitting)}")
    return (metric, *(other for other in metrics if other != metric))
