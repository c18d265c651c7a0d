"""What a model with several labels a row gets wrong: labels that it misses, or gives wrongly."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pats.page.content.words import listed
from pats.page.numbers.examples import Answers

MOST = 3  # labels, missed or wrongly given, that are named


class Slip(NamedTuple):
    """One label that is missed, or wrongly given.

    Args:
        label: Its name.
        missed: It is missed; else wrongly given.
        many: In how many rows.
        of: Of how many rows that have it; of wrongly given ones, that do not have it.
    """

    label: str
    missed: bool
    many: int
    of: int

    @property
    def what(self) -> str:
        """The label, and what is wrong with it."""
        return f"{self.label!r} {'missed' if self.missed else 'wrongly given'}"


def slips(labels: Sequence[str], parts: Sequence[Answers]) -> list[Slip]:
    """The most frequent ones, the most frequent first."""
    true = np.concatenate([one.true for one in parts])
    gaps = true - np.concatenate([one.predicted for one in parts])
    found = [
        Slip(
            label,
            missed,
            int((gaps[:, place] == (1 if missed else -1)).sum()),
            int((true[:, place] == missed).sum()),
        )
        for place, label in enumerate(labels)
        for missed in (True, False)
    ]
    return sorted((one for one in found if one.many), key=lambda one: -one.many)[:MOST]


def told(row: str, what: str, labels: Sequence[str], parts: Sequence[Answers]) -> str:
    """How many rows have exactly the right labels, and which labels are most often wrong.

    Args:
        row: The row of the table.
        what: What an example is called, such as ``"test row"``.
        labels: Names of the labels.
        parts: What its first run says.
    """
    size = sum(len(one.true) for one in parts)
    wrong = sum(int((one.true != one.predicted).any(axis=1).sum()) for one in parts)
    if not wrong:
        return f"{row} gives exactly the right labels to all {size} {what}s."
    named = [f"{one.what} ({one.many})" for one in slips(labels, parts)]
    right = f"{row} gives exactly the right labels to {size - wrong} of {size} {what}s"
    return f"{right}; most often {listed(named)}."
