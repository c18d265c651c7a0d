"""Whether PATS is as good as the simple models on a table, from the rows of ``benchmarks/rivals.py``.

On a table PATS passes where its score, over the splits, is not below that of TF-IDF with logistic regression,
nor below that of logistic regression on frozen embeddings, by more than one standard error of the paired
difference; or where it recommended such a simple model on every split.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

OURS = "pats"
SIMPLE = ("tfidf", "frozen")
SPLITS = 5
MINUTES, UP_TO = 20, 1000  # how long a table of so many rows may take


@dataclass(frozen=True)
class Gap:
    """PATS's score less a simple model's, paired by split.

    Args:
        mean: Over the splits.
        error: Its standard error; None with one split.
        splits: How many both were measured on.
    """

    mean: float
    error: float | None
    splits: int

    @property
    def within(self) -> bool:
        """Whether PATS is not worse by more than a standard error."""
        return self.error is not None and self.mean >= -self.error - 1e-9  # rounding decides nothing


@dataclass(frozen=True)
class Judged:
    """The verdict on a table.

    Args:
        table: Its name.
        metric: What was compared.
        means: Of every system, over its splits.
        gaps: To each simple model.
        recommended: The rows that PATS recommended, split by split.
        minutes: Of PATS's slowest split.
        rows: Of the table, for its time.
        missing: Why there is no verdict.
    """

    table: str
    metric: str
    means: Mapping[str, float]
    gaps: Mapping[str, Gap]
    recommended: Sequence[str]
    minutes: float | None
    rows: int
    missing: str | None

    @property
    def passed(self) -> bool | None:
        """Whether PATS passes; None without a verdict."""
        if self.missing:
            return None
        simple = all(name in SIMPLE for name in self.recommended)
        return simple or all(gap.within for gap in self.gaps.values())

    @property
    def in_time(self) -> bool | None:
        """Whether the slowest split kept the limit; None where there is no limit, or no time."""
        if self.rows > UP_TO or self.minutes is None:
            return None
        return self.minutes <= MINUTES


def gap(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Gap | None:
    """The difference over the splits that both have; None where they share none."""
    differences = [ours[split] - theirs[split] for split in sorted({*ours} & {*theirs})]
    if not differences:
        return None
    count = len(differences)
    return Gap(fmean(differences), stdev(differences) / sqrt(count) if count > 1 else None, count)


def judge(rows: Iterable[Mapping[str, Any]], splits: int = SPLITS) -> list[Judged]:
    """The verdict on every table, in the order of the rows."""
    by_table: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_table.setdefault(row["table"], []).append(row)
    return [_judged(table, own, splits) for table, own in by_table.items()]


def _judged(table: str, rows: Sequence[Mapping[str, Any]], splits: int) -> Judged:
    metric = rows[0]["metric"]
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["status"] == "done":
            found.setdefault(row["system"], {})[row["split"]] = row["scores"][metric]
    ours = [row for row in rows if row["system"] == OURS]
    done = sorted((row for row in ours if row["status"] == "done"), key=lambda row: int(row["split"]))
    gaps = {name: gap(found.get(OURS, {}), found.get(name, {})) for name in SIMPLE}
    short = [name for name in (OURS, *SIMPLE) if len(found.get(name, {})) < splits]
    failed = sum(row["status"] != "done" for row in ours)
    missing = None
    if short:
        missing = f"{', '.join(short)}: fewer than {splits} splits" + (f", {failed} failed" if failed else "")
    elif any(one is not None and one.error is None for one in gaps.values()):
        missing = "one split shows no error"
    return Judged(
        table,
        metric,
        {name: fmean(scores.values()) for name, scores in found.items()},
        {name: one for name, one in gaps.items() if one is not None},
        [row["recommended"] for row in done],
        max((row["seconds"] / 60 for row in ours), default=None),
        rows[0]["rows"],
        missing,
    )


def told(found: Gap | None) -> str:
    """A difference × 100 with its standard error; empty where there is none."""
    error = "" if found is None or found.error is None else f" ± {100 * found.error:.1f}"
    return "" if found is None else f"{100 * found.mean:+.1f}{error}"


def scores_of(rows: Iterable[Mapping[str, Any]], table: str, system: str) -> dict[int, float]:
    """The scores of a system on a table, by split."""
    own = (row for row in rows if (row["table"], row["system"], row["status"]) == (table, system, "done"))
    return {row["split"]: row["scores"][row["metric"]] for row in own}


WORDS = {True: "yes", False: "NO", None: ""}


def cells(judged: Judged) -> list[str]:
    """A line of the table of verdicts."""
    gaps = [told(judged.gaps.get(name)) for name in SIMPLE]
    names = dict.fromkeys(judged.recommended)
    often = ", ".join(f"{name} {judged.recommended.count(name)}" for name in names)
    minutes = "" if judged.minutes is None else f"{judged.minutes:.0f}"
    verdict = judged.missing or WORDS[judged.passed]
    return [judged.table, judged.metric, *gaps, often, minutes, WORDS[judged.in_time], verdict]


HEADS = [
    "table",
    "metric × 100",
    "PATS − TF-IDF ± standard error",
    "PATS − frozen ± standard error",
    "recommended, splits",
    "minutes of the slowest split",
    "in time",
    "as good as the simple models",
]
