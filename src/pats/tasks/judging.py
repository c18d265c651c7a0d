"""Which metric decides on a user's own table."""

from collections import Counter
from collections.abc import Sequence

from pats._errors import InputError
from pats.tasks._text import shown
from pats.tasks.audit import Finding
from pats.tasks.metric_names import ABOUT, about

UNEVEN = 1.5  # times the rarest class that the most frequent one has at least where classes are uneven

# By whether the labels are scores.
USUAL = {False: ("accuracy", "macro_f1"), True: ("pearson", "spearman", "mae")}
OF_SEVERAL = ("micro_f1", "macro_f1", "subset_accuracy")  # of texts that may have several labels
_SEVERAL_ALONE = ("micro_f1", "subset_accuracy")
_ALSO_OF_SEVERAL = ("weighted_f1",)


def usual(classes: Sequence[str], several: bool = False) -> tuple[str, ...]:
    """The metrics that nobody named, the one that decides first."""
    return OF_SEVERAL if several else USUAL[not classes]


def chosen(
    classes: Sequence[str], values: Sequence[float], several: bool = False
) -> tuple[tuple[str, ...], list[Finding]]:
    """The metrics of a table, the one that decides first, and what to say about it.

    Accuracy decides on classes; macro F1 where the most frequent class has at least 1.5 times as many
    rows as the rarest, since a model that never finds rare classes has a good accuracy there. Pearson's
    correlation decides on scores, micro F1 on several labels a text.

    Args:
        classes: Names of the classes; empty for scores.
        values: The class index, score or number of the label set of every row.
        several: A row may have several labels.
    """
    metrics = usual(classes, several)
    if several or not classes:
        return metrics, []
    counts = Counter(values).most_common()
    (most, many), (least, few) = counts[0], counts[-1]
    names = [name if name.isprintable() else shown(name) for name in classes]
    if many < UNEVEN * few:
        return metrics, []
    message = (
        f"The classes are uneven ({names[int(most)]} has {many} rows, {names[int(least)]} {few}; always "
        f"answering {names[int(most)]} would be right in {100 * many / len(values):.3g} % of them): macro "
        "F1 decides, in which every class counts alike, unless --metric names another."
    )
    finding = Finding("uneven", message, {"most": many, "fewest": few})
    return tuple(reversed(metrics)), [finding]


def named(
    metric: str, metrics: Sequence[str], classes: Sequence[str], several: bool = False
) -> tuple[str, ...]:
    """The metrics of a table with one that the user names first.

    Raises:
        InputError: The metric is not for such labels.
    """
    if several:
        fitting = (*OF_SEVERAL, *_ALSO_OF_SEVERAL)
        if metric not in fitting:
            raise InputError(
                f"the metric {metric!r} is not for several labels a text: name one of {', '.join(fitting)}"
            )
        return (metric, *(other for other in metrics if other != metric))
    regression, kind = not classes, "classes" if classes else "scores"
    fits = about(metric).regression == regression and metric not in _SEVERAL_ALONE
    if not fits or (metric == "f1" and len(classes) > 2):
        kind = kind if not fits else f"{len(classes)} classes"
        others = (n for n, one in ABOUT.items() if one.regression == regression)
        listed = ", ".join(n for n in others if n != "f1" and n not in _SEVERAL_ALONE)
        raise InputError(f"the metric {metric!r} is not for {kind}: name one of {listed}")
    return (metric, *(other for other in metrics if other != metric))
