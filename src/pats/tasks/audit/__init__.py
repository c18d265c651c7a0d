"""What a user should know of a table before anything is trained on it."""

from collections.abc import Sequence
from dataclasses import replace

from pats.tasks._text import shown
from pats.tasks.audit.columns import blank_marks, left_out, may_group, other_texts, unused_splits
from pats.tasks.audit.finding import ERROR, NOTE, WARNING, Finding, Row, by_weight
from pats.tasks.audit.labels import dates, many, missing_words, mixed_truth, spellings, uneven
from pats.tasks.audit.leaks import named_labels
from pats.tasks.audit.notation import (
    ambiguous_numbers,
    has_decimal_commas,
    marked_numbers,
    thousands,
    with_minus,
)
from pats.tasks.audit.numbers import (
    codes_with_an_e,
    constant_scores,
    far_scores,
    marks,
    names_with_a_point,
    offset_scores,
    row_numbers,
    stray_fractions,
    strays,
)
from pats.tasks.audit.slips import slips
from pats.tasks.audit.texts import cut, damaged, empty, escapes, markup, numeric, script
from pats.tasks.audit.twins import across, swapped, twins, two_labels

__all__ = [
    "ERROR",
    "NOTE",
    "WARNING",
    "Finding",
    "Row",
    "across",
    "ambiguous_numbers",
    "audit",
    "blank_marks",
    "by_weight",
    "codes_with_an_e",
    "has_decimal_commas",
    "left_out",
    "marked_numbers",
    "may_group",
    "names_with_a_point",
    "other_texts",
    "row_numbers",
    "shown",
    "spellings",
    "stray_fractions",
    "strays",
    "thousands",
    "twins",
    "two_labels",
    "unused_splits",
    "with_minus",
]


def audit(
    rows: Sequence[Row],
    classes: Sequence[str],
    values: Sequence[float],
    sets: Sequence[Sequence[int]] = (),
    *,
    divided: bool,
) -> list[Finding]:
    """What is to be known of the rows of a table.

    Args:
        rows: The rows.
        classes: Names of the classes; empty for scores.
        values: The class index, score or number of the label set of every row.
        sets: Where rows have several labels, the labels of every set.
        divided: Train and dev are made from these rows, and do not come with them.
    """
    own: Sequence[tuple[Row, Sequence[int]]] = []
    if classes:
        pairs = zip(rows, values, strict=True)
        own = [(row, sets[int(value)] if sets else [int(value)]) for row, value in pairs]
    named = [(row, classes[label]) for row, labels in own for label in labels]
    if sets:
        named = [(replace(row, cell=name), name) for row, name in named]
    names = [name for _, name in named]
    return [
        *spellings([row for row, _ in named], names),
        *slips(names),
        *many(classes),
        *dates(classes),
        *mixed_truth(classes),
        *missing_words(names),
        *([] if sets else marks(names)),
        *([] if classes else [*far_scores(rows, values), *offset_scores(values), *constant_scores(values)]),
        *([] if sets else uneven(names)),
        *([] if sets else named_labels([row for row, _ in named], names)),
        *twins(rows, divided),
        *two_labels(rows, values, regression=not classes),
        *swapped(rows, values),
        *empty(rows),
        *numeric(rows),
        *damaged(rows),
        *markup(rows),
        *escapes(rows),
        *cut(rows),
        *script(rows),
    ]
