"""What a comparison leaves out so that a first answer fits into its time limit.

That is the case for a search that halves, as the preset ``table`` has it; without one nothing is left out.
Steps are only fewer where there is a least number of them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pats._schema import Misfit, build
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


@dataclass(frozen=True)
class Decided:
    """A cut that a study was made with, as its file keeps it.

    Args:
        seconds: The time limit.
        cut: What was left out.
        of: What the cut depends on of the whole study, see ``basis``.
    """

    seconds: float
    cut: Cut
    of: Mapping[str, Any]

    def holds(self, study: Study, limit: float) -> bool:
        """Whether it is this study's, and there is no more time than there was."""
        return self.of == basis(study) and limit <= self.seconds


def decided(content: Mapping[str, Any]) -> Decided | None:
    """The cut in the content of a study's file; None where there is none that can be read."""
    try:
        found: Decided = build(Decided, content.get("cut"))
    except Misfit:
        return None
    return found


def basis(study: Study) -> dict[str, Any]:
    """What a cut changes, and what it depends on, in plain values."""
    plain = {"lr_grid": study.lr_grid, "halving": study.halving, "run": study.run.to_dict()}
    found: dict[str, Any] = json.loads(json.dumps(plain))
    return found


def cut(study: Study, left: float, full: int, forecast: Forecast) -> tuple[Cut | None, float | None]:
    """What to leave out of a study, None where nothing need be, and the seconds of what even so does not fit.

    Args:
        study: The whole study.
        left: Seconds that there are.
        full: Steps of a run.
        forecast: How long a first answer takes.
    """
    seconds, safe = forecast(study), SAFE * left
    if seconds is None or seconds <= safe:
        return None, None
    searched = Cut(sorted(study.lr_grid)[len(study.lr_grid) // 2], study.run.max_steps)
    alone = forecast(searched.of(study))
    if alone is None or alone <= safe:
        return searched, None
    least = study.run.min_steps
    if least is None or study.run.steps is not None or least >= full:
        return searched, alone if alone > left else None
    shortest = forecast(replace(searched, steps=least).of(study)) or 0.0  # nothing is left to make
    if shortest > left:
        return searched, shortest
    steps = least + max(0, int((full - least) * (safe - shortest) / (alone - shortest)))
    return replace(searched, steps=steps), None
