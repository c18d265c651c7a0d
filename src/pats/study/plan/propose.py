"""Proposes points of a search space, through Optuna's ask and tell; it places and stores nothing.

A proposer is a function of its seed and of the scores it was given, in order. A sweep that was killed asks a
new one the same questions, finds the answers in its store, and goes on as if nothing had happened.
"""

import itertools
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from pats._errors import InputError, did_you_mean
from pats._imports import try_import
from pats.study.plan.space import Params, Range, Space

NAMES = ("tpe", "random", "grid")


class Proposer:
    """Points of one space.

    Args:
        space: What to search over.
        name: ``"tpe"`` (a model of the good points, after ten random ones), ``"random"``, or ``"grid"``
            (every point once, in random order, then again).
        seed: Seed of its randomness.

    Raises:
        InputError: Optuna is not installed, there is no such proposer, or a range has no grid.
    """

    def __init__(self, space: Space, name: str = "tpe", seed: int = 0) -> None:
        check_proposer(name, space)
        self._optuna = try_import("optuna", "sweep")
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._distributions = {key: self._distribution(dimension) for key, dimension in space.items()}
        samplers = self._optuna.samplers
        sampler = samplers.TPESampler(seed=seed) if name == "tpe" else samplers.RandomSampler(seed=seed)
        self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._asked: dict[int, Any] = {}
        self._grid = self._points(space, seed) if name == "grid" else None

    def _distribution(self, dimension: Any) -> Any:
        distributions = self._optuna.distributions
        if isinstance(dimension, Range):
            return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        return distributions.CategoricalDistribution(dimension)

    @staticmethod
    def _points(space: Space, seed: int) -> Any:
        values = [dimension for dimension in space.values() if not isinstance(dimension, Range)]
        points = [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]
        random.Random(seed).shuffle(points)
        return itertools.cycle(points)

    def ask(self) -> tuple[int, Params]:
        """The next point, and the number under which to report its score."""
        if self._grid is not None:
            self._study.enqueue_trial(next(self._grid))
        trial = self._study.ask(self._distributions)
        self._asked[trial.number] = trial
        return trial.number, dict(trial.params)

    def tell(self, number: int, score: float | None, stopped_at: Mapping[float, float] | None = None) -> None:
        """What became of a point.

        Args:
            number: From ``ask``.
            score: What is to be large; None where its run failed or it was stopped early.
            stopped_at: Score by epochs of a point that was stopped early.
        """
        state = self._optuna.trial.TrialState
        if score is not None:
            self._study.tell(number, score)
        elif stopped_at:
            for epochs, reached in stopped_at.items():
                self._asked[number].report(reached, step=round(epochs * 1000))
            self._study.tell(number, state=state.PRUNED)
        else:
            self._study.tell(number, state=state.FAIL)

    def importance(self) -> dict[str, float]:
        """Share of every hyper-parameter in what decides over good scores, largest first (PED-ANOVA).

        Empty with fewer than four different scores, which show nothing.
        """
        done = [trial for trial in self._study.trials if trial.value is not None]
        if len({trial.value for trial in done}) < 4:
            return {}
        if len(self._distributions) == 1:
            return dict.fromkeys(self._distributions, 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's notes on experimental features
            # The best tenth of few trials is a single one: a quarter says more.
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
            shares = self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(value) for name, value in shares.items()}


def check_proposer(name: str, space: Space) -> None:
    """Raise InputError unless there is a proposer of that name for the space."""
    if name not in NAMES:
        raise InputError(
            f"proposer is {name!r}{did_you_mean(name, NAMES)}, but must be one of: {', '.join(NAMES)}"
        )
    ranges = [key for key, dimension in space.items() if isinstance(dimension, Range)]
    if name == "grid" and ranges:
        raise InputError(f"{ranges[0]} is a range, which has no grid: name its values, or use tpe or random")


def expected_maximum(scores: Sequence[float]) -> list[float]:
    """Expected best score after 1, 2, ... N trials of a random search (Dodge et al., EMNLP 2019).

        E[max of n] = Σ_i v_i · ((i/N)ⁿ - ((i-1)/N)ⁿ),   v_1 ≤ ... ≤ v_N the scores

    the mean maximum of n scores drawn with replacement. For trials that a model proposed it tells
    what their scores would have been worth in random order.

    Args:
        scores: One a trial, in any order and unit; NaN is refused.

    Returns:
        One value for every n from 1 to N; empty without scores.

    Raises:
        ValueError: A score is NaN.
    """
    ordered, count = sorted(scores), len(scores)
    if any(score != score for score in ordered):
        raise ValueError("a score is NaN")
    return [
        sum(v * ((i / count) ** n - ((i - 1) / count) ** n) for i, v in enumerate(ordered, start=1))
        for n in range(1, count + 1)
    ]
