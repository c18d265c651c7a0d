"""What a user should know of a table before anything is trained on it."""

from collections.abc import Sequence

from pats.tasks._text import shown
from pats.tasks.audit.columns import left_out
from pats.tasks.audit.finding import ERROR, NOTE, WARNING, Finding, Row, by_weight
from pats.tasks.audit.labels import missing_words, mixed_truth, several_labels, spellings, uneven
from pats.tasks.audit.texts import empty, markup, numeric, script
from pats.tasks.audit.twins import across, swapped, twins, two_labels

__all__ = [
    "ERROR",
    "NOTE",
    "WARNING",
    "Finding",
    "Row",
    "across",
    "audit",
    "by_weight",
    "left_out",
    "several_labels",
    "shown",
    "spellings",
    "twins",
    "two_labels",
]


def audit(
    rows: Sequence[Row], classes: Sequence[str], values: Sequence[float], divided: bool
) -> list[Finding]:
    """What is to be known of the rows of a table.

    Args:
        rows: The rows.
        classes: Names of the classes; empty for scores.
        values: The class index or score of every row.
        divided: Train and dev are made from these rows, and do not come with them.
    """
    names = [classes[int(value)] for value in values] if classes else []
    return [
        *(spellings(rows, names) if classes else []),
        *mixed_truth(classes),
        *missing_words(names),
        *uneven(names),
        *twins(rows, divided),
        *two_labels(rows, values, regression=not classes),
        *swapped(rows, values),
        *empty(rows),
        *numeric(rows),
        *markup(rows),
        *script(rows),
    ]
