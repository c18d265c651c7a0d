"""What a task is once it is loaded: named splits of texts with labels, and how it is scored."""

import hashlib
import json
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from pats.tasks import multilabel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """One split of a task: parallel columns of the same length.

    Args:
        text: First (or only) text of every example.
        text_pair: Second text of every example; None for a single-text task.
        label: Class index (classification), score (regression) or number of the label set (where a text may
            have several labels) of every example; None where the split has no labels, such as GLUE's test
            sets.
        group: Optional name of a subset for every example (the phenomenon, in the embedded task);
            metrics are reported for each group beside the whole.
    """

    text: tuple[str, ...]
    text_pair: tuple[str, ...] | None = None
    label: tuple[float, ...] | None = None
    group: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.text)

    def take(self, rows: "list[int]") -> "Split":
        """The split made of these rows, in this order."""

        def pick(column: tuple[T, ...] | None) -> tuple[T, ...] | None:
            return None if column is None else tuple(column[row] for row in rows)

        return Split(
            tuple(self.text[row] for row in rows),
            pick(self.text_pair),
            pick(self.label),
            pick(self.group),
        )


@dataclass(frozen=True)
class TaskData:
    """A loaded task.

    Args:
        name: Canonical lower-case name, such as ``"cola"``, ``"grammar"`` or a table's file stem.
        labels: Names of the classes in the order of their indices; empty for regression.
        splits: ``"train"`` and one or more dev splits (``"dev"``; MNLI has ``"dev_matched"`` and
            ``"dev_mismatched"``), and ``"test"`` only where it has labels.
        metric: The metric that decides, a name in ``pats.tasks.metrics``; over several dev splits
            it is their mean.
        metrics: All metrics to report, ``metric`` first.
        source: ``"folder"``, ``"hub"``, ``"table"`` or ``"embedded"``.
        notes: What was detected or differs from the official data, in sentences for the user.
        columns: Columns of the one or two texts of a table, several where they are joined; empty for other
            sources.
        sets: Of texts that may have several labels, the indices of the labels of every label set, by the
            number that ``Split.label`` gives; else empty.
        of_folds: Of one fold of a table, the fingerprint of all of its folds.
    """

    name: str
    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    metric: str
    metrics: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = field(default=())
    columns: tuple[str | tuple[str, ...], ...] = ()
    sets: tuple[tuple[int, ...], ...] = ()
    of_folds: str | None = None

    @property
    def regression(self) -> bool:
        """True where the label is a score."""
        return not self.labels

    @property
    def multilabel(self) -> bool:
        """True where a text may have several labels."""
        return bool(self.sets)

    def marks(self, values: "ArrayLike") -> "NDArray[np.float32]":
        """0 and 1 for every label, a row for every value of ``Split.label``."""
        return multilabel.marks(values, self.sets, len(self.labels))

    @property
    def dev_splits(self) -> tuple[str, ...]:
        """Names of the splits on which epochs and methods are chosen."""
        return tuple(name for name in self.splits if name.startswith("dev"))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything a result depends on: labels, texts and label values of every split.

        The folds of a table have one, of all of them.
        """
        if self.of_folds is not None:
            return self.of_folds
        content = {name: [split.text, split.text_pair, split.label] for name, split in self.splits.items()}
        known = [self.labels, content, *([self.sets] if self.sets else [])]
        text = json.dumps(known, ensure_ascii=False, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def stratify(
    groups: Sequence[Hashable], strata: Sequence[int], shares: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Divide rows into parts of given shares, stratum by stratum, without dividing a group.

    Args:
        groups: Group of every row, such as its text; rows of one group stay together.
        strata: Stratum of every row, such as its class; a group has that of its first row.
        shares: Share of every part, of sum 1. A stratum reaches every part if it has that many
            groups; the earlier part wins a tie.
        seed: Seed of the order within strata.

    Returns:
        The rows of every part, ascending. Without rows, every part is empty.
    """
    blocks: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        blocks.setdefault(group, []).append(row)
    by_stratum: dict[int, list[list[int]]] = {}
    for block in blocks.values():
        by_stratum.setdefault(strata[block[0]], []).append(block)
    generator = random.Random(seed)
    parts: dict[str, list[int]] = {name: [] for name in shares}
    room = dict.fromkeys(shares, 0.0)  # what a stratum leaves over is made good by the next one
    for _, stratum in sorted(by_stratum.items()):
        generator.shuffle(stratum)
        stratum.sort(key=len, reverse=True)  # large groups first, so that small ones even out
        total = sum(len(block) for block in stratum)
        room = {name: room[name] + share * total for name, share in shares.items()}
        unserved = list(shares)
        for left, block in zip(range(len(stratum), 0, -1), stratum, strict=True):
            part = max(unserved if len(unserved) >= left else shares, key=room.__getitem__)
            parts[part] += block
            room[part] -= len(block)
            if part in unserved:
                unserved.remove(part)
    return {name: sorted(rows) for name, rows in parts.items()}
