"""What a search for one row of a sweep found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pats.run.spec import Run, Value
from pats.study.plan.planned import Place
from pats.study.plan.space import Params


@dataclass
class Trial:
    """One proposal.

    Args:
        number: Its number within its row, from 0.
        params: What was proposed.
        seed: Seed of its runs.
        runs: Its runs, one a rung.
        scores: Best dev score × 100 of those that have one, by epochs.
        failure: Why a run of it ended without a score; None where none did.
        constant: Its last run predicts one constant.
        sign: -1 where a lower score is better, else 1.
    """

    number: int
    params: Params
    seed: int
    runs: list[Run] = field(default_factory=list)
    scores: dict[float, float] = field(default_factory=dict)
    failure: str | None = None
    constant: bool = False
    sign: int = 1

    @property
    def failed(self) -> bool:
        """A run of it ended without a score."""
        return self.failure is not None

    def score(self, epochs: float) -> float | None:
        """The score after all epochs; None where it was stopped early or failed."""
        return self.scores.get(epochs)

    def worth(self, epochs: float) -> float | None:
        """The score, negated where lower is better."""
        score = self.score(epochs)
        return None if score is None else self.sign * score


@dataclass(frozen=True)
class Search:
    """What the search for one row on one task with one model found.

    Args:
        place: Task, model and row.
        trials: All trials, in order.
        winner: The best point by its mean dev score over its trials; one that only predicts constants,
            or has a failed trial, only where every point does.
        score: That mean, × 100; it was selected for, so the result is the score on fresh seeds. None
            where every trial failed.
        expected: Expected best dev score of 1, 2, ... trials; see ``expected_maximum``.
        importance: Share of every hyper-parameter, largest first; empty where too few scores differ.
        epochs: Epochs that the trials took together.
    """

    place: Place
    trials: tuple[Trial, ...]
    winner: Params
    score: float | None
    expected: tuple[float, ...]
    importance: Mapping[str, float]
    epochs: float


def in_words(search: Search) -> str:
    """A search in a sentence."""
    task, model, label = search.place
    head = f"Search for {label} on {task} with {Path(model).name}: {len(search.trials)} trials"
    reasons = [trial.failure for trial in search.trials if trial.failure is not None]
    head += f" ({len(reasons)} failed, the first because: {reasons[0].rstrip('.')})" if reasons else ""
    constant = sum(trial.constant for trial in search.trials)
    head += f" ({constant} with one constant as its predictions)" if constant else ""
    if search.score is None:
        return f"{head}, none with a score."
    words = [f"{head}, best {_listed(search.winner)} with dev {search.score:.1f} where it was selected"]
    if len(search.expected) > 1:
        sizes = dict.fromkeys(
            [*(2**k for k in range(10) if 2**k < len(search.expected)), len(search.expected)]
        )
        values = ", ".join(f"{search.expected[size - 1]:.1f} of {size}" for size in sizes)
        words.append(f"expected best dev score of random trials {values}")
    if len(search.importance) > 1:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in search.importance.items())
        words.append(f"what decided over the best quarter: {shares}")
    return "; ".join(words) + "."


def _listed(params: Mapping[str, Value]) -> str:
    return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in params.items())
