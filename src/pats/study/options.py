"""``Options``: how a study is carried out, whatever it is of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console

from pats.study.limit import Limit


@dataclass(frozen=True)
class Options:
    """How a study is carried out, whatever runs its runs.

    Args:
        retries: Attempts a run may be lost in.
        keep_models: Keeps every run's weights.
        console: Where progress is shown; None shows none.
        report_to: Trackers that runs report to.
        force: Exports a chosen model also where it predicts one constant.
        limit: The time that there is.
        all_seeds: Makes every seed, also where more of them cannot change what to use.
    """

    retries: int = 3
    keep_models: bool = False
    console: Console | None = None
    report_to: Sequence[str] = ()
    force: bool = False
    limit: Limit = field(default_factory=Limit)
    all_seeds: bool = True
