"""What was found in a table, and the rows in which it was."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pats.tasks._text import key

NOTE, WARNING, ERROR = "note", "warning", "error"
SHOWN = 5  # groups that a sentence names
_WEIGHT = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Row:
    """An example of a table.

    Args:
        texts: Its one or two texts.
        cell: The label as written in the table.
        label: The label in one Unicode form (NFC), without blanks around it; empty where there is none.
        place: Where the row is, such as ``"line 7 of reviews.csv"``.
        split: The split that the table gives; None if it gives none.
        labels: Its labels, where the table lists several of them; else None.
        group: What it belongs to; rows of one group are never divided. None without groups.
        time: When it was written, as a number that grows; None without times.
        when: The same as written in the table.
    """

    texts: tuple[str, ...]
    cell: str
    label: str
    place: str
    split: str | None
    labels: tuple[str, ...] | None = None
    group: str | None = None
    time: float | None = None
    when: str = ""

    @cached_property
    def key(self) -> tuple[str, ...]:
        """What rows with the same texts share, see ``pats.tasks._text.key``."""
        return tuple(map(key, self.texts))


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        code: What kind of thing, such as ``"twins"``.
        message: What was found and what follows from it, in sentences.
        counts: The numbers of the message, by name.
        severity: ``"note"``; ``"warning"`` where results may mislead; ``"error"`` where nothing can be
            trained.
    """

    code: str
    message: str
    counts: Mapping[str, int] = field(default_factory=dict)
    severity: str = NOTE

    def __str__(self) -> str:
        return f"Warning: {self.message}" if self.severity == WARNING else self.message

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        named = {"code": self.code, "severity": self.severity, "message": self.message}
        return {**named, "counts": dict(self.counts)}


def by_weight(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings, then notes, each in the order in which they were found."""
    return sorted(findings, key=lambda one: _WEIGHT.index(one.severity))


def percent(share: float) -> str:
    """A share × 100 with two digits, or three."""
    return f"{share:.2g} %" if share < 99.5 else f"{share:.0f} %"


def count(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"
