"""What a comparison leaves out so that a first answer fits into its time limit.

Only a preset's own search and length are cut: rates and steps that somebody names stay.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pats.page.content.words import duration
from pats.study.plan.grid import Study

SAFE = 0.9  # of the time that is left: an estimate may be wrong

# Seconds to a study's first answer; None where nobody knows.
Forecast = Callable[[Study], float | None]


@dataclass(frozen=True)
class Cut:
    """What is trained where the time is short: no trials of learning rates, and perhaps fewer steps.

    Args:
        rate: The learning rate of every row.
        steps: The most steps of a run; None is no limit.
    """

    rate: float
    steps: int | None

    def of(self, study: Study) -> Study:
        """The study without what is left out."""
        run = replace(study.run, lr=self.rate, max_steps=self.steps)
        return replace(study, lr_grid=(), halving=None, run=run)

    def told(self, study: Study, limit: float, full: int, alone: float | None) -> str:
        """The sentence on it.

        Args:
            study: The whole study.
            limit: Seconds of the time limit.
            full: Steps of a run of the whole study.
            alone: Seconds to a first answer, where even that does not fit; else None.
        """
        given = f"The time limit of {duration(limit)} is too short for"
        if alone is not None:
            return (
                f"{given} one fine-tuning, as a first answer takes about {duration(alone)}: no method is "
                "trained. Name a longer --time-limit."
            )
        if self.steps != study.run.max_steps:
            return (
                f"{given} whole runs and a search for their learning rates: every method is trained with "
                f"{self.rate:g} for {self.steps} of {full} steps. A longer --time-limit makes both."
            )
        return (
            f"{given} a search for learning rates before a first answer: every method is trained with "
            f"{self.rate:g}. A longer --time-limit searches for them."
        )


def cut(study: Study, left: float, full: int, forecast: Forecast) -> tuple[Cut | None, float | None]:
    """What to leave out of a study, None where nothing need be, and the seconds of what fits even so not.

    Args:
        study: The whole study.
        left: Seconds that there are.
        full: Steps of a run.
        forecast: How long a first answer takes.
    """
    whole, left = forecast(study), SAFE * left
    if whole is None or whole <= left:
        return None, None
    searched = Cut(sorted(study.lr_grid)[len(study.lr_grid) // 2], study.run.max_steps)
    alone = forecast(searched.of(study))
    if alone is None or alone <= left:
        return searched, None
    least = study.run.min_steps
    if least is None or study.run.steps is not None or least >= full:
        return searched, alone
    shortest = forecast(replace(searched, steps=least).of(study))
    if shortest is None or shortest > left:
        return searched, alone if shortest is None else shortest
    steps = least + int((full - least) * (left - shortest) / (alone - shortest))
    return replace(searched, steps=steps), None
