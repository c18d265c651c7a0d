"""The runs of one method on one task with one model, as they ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from pats.baselines import is_simple
from pats.run.result import Result
from pats.run.spec import of_now
from pats.tasks.metric_names import sign

PLAIN = "vanilla"  # plain fine-tuning, which every method is compared with
ON_DEV = "soup"  # takes the best weights of a plain run on dev, so it is never below plain fine-tuning there


@dataclass(frozen=True)
class Outcome:
    """One run of a cell: its result, or why it has none.

    A result with status ``"failed"`` has no score either; ``failure`` says why for both kinds.

    Args:
        seed: Its seed.
        run_id: Its id.
        result: What it found.
        error: Why it has no result.
        parts: The runs of its folds, of which its scores are; else none.
    """

    seed: int
    run_id: str
    result: Result | None = None
    error: str | None = None
    parts: tuple["Outcome", ...] = ()

    @property
    def missing(self) -> bool:
        """Nothing has ended yet: the run waits, or is at work."""
        return self.result is None and self.error is None

    @property
    def failure(self) -> str | None:
        """Why the run has no score; None for one that has."""
        if self.result is None:
            return self.error or "it has not been run"
        if self.result.status != "done" or self.result.best is None:
            return self.result.error or "it ended without an evaluation"
        return None


@dataclass(frozen=True)
class Cell:
    """The runs of one method on one task with one model.

    Args:
        task: Name of the task or table.
        model: Name or folder of the model.
        label: Name of the row: the method's, or that of a variant of it.
        method: Name of the method.
        lr: Peak learning rate of all its runs; of folds, the median of theirs.
        outcomes: One entry a seed.
        control: A control row, which is compared but not tested.
    """

    task: str
    model: str
    label: str
    method: str
    lr: float
    outcomes: tuple[Outcome, ...]
    control: bool = False

    @property
    def simple(self) -> bool:
        """It is a baseline that is no fine-tuning: one run, whose score is the same whatever the seed."""
        return is_simple(self.method)

    @property
    def favoured(self) -> bool:
        """Its dev score is at least plain fine-tuning's by construction: test scores alone compare them."""
        return ON_DEV in self.method.split("+")

    @property
    def in_print(self) -> str:
        """The method whose printed scores may be shown beside the row: its own, not those of a variant of it.

        A row of version 0.1.0 may have the name that its method had then.
        """
        return self.method if of_now(self.label, {})["method"] == self.method else self.label

    @cached_property
    def results(self) -> dict[int, Result]:
        """The results that have a score, by seed."""
        return {
            outcome.seed: outcome.result
            for outcome in self.outcomes
            if outcome.result is not None and outcome.failure is None
        }

    @property
    def fitted(self) -> dict[str, Result]:
        """The results of every model with a score: of folds one a fold, else one a seed."""
        models: dict[str, Result] = {}
        for outcome in self.outcomes:
            if outcome.seed not in self.results:
                continue
            for place, part in enumerate(outcome.parts or (outcome,), 1):
                name = f"{outcome.seed}, fold {place}" if outcome.parts else str(outcome.seed)
                models |= {} if part.result is None else {name: part.result}
        return models

    @property
    def metric(self) -> str | None:
        """Name of the metric that decides; None while no run has a score."""
        return next((result.metric for result in self.results.values()), None)

    @property
    def dev(self) -> dict[int, float]:
        """Dev scores × 100 at the best epoch, by seed."""
        return {s: 100 * r.best for s, r in self.results.items() if r.best is not None}

    @property
    def last(self) -> dict[int, float]:
        """Dev scores × 100 at the last epoch, by seed."""
        return {s: 100 * r.last for s, r in self.results.items() if r.last is not None}

    @property
    def test(self) -> dict[int, float]:
        """Test scores × 100 of the best epoch's weights, by seed; empty without a test split."""
        return {s: 100 * r.test[r.metric] for s, r in self.results.items() if r.test is not None}

    @property
    def learned(self) -> list[int]:
        """The seeds whose runs predict more than one constant."""
        return [seed for seed in self.dev if not self.results[seed].degenerate]


# The standard error × 100 of the difference of two rows over the dev rows; None where nobody knows.
Doubt = Callable[[Cell, Cell], float | None]


def preferred(cells: Sequence[Cell], doubt: Doubt | None = None) -> Cell | None:
    """Of the rows of a task the one to use, by mean dev score over seeds; None without scores.

    Rows that only predict one constant are preferred only where all do, whatever their score. Rows with
    failed runs are considered only where every row has some: a mean over the seeds that survived would favour
    an unstable method.

    A fine-tuned row is preferred to a simple one only from one standard error of their difference on. Its
    epoch and learning rate were chosen on the same dev rows, which flatters it.

    Source: the one-standard-error rule (Breiman, Friedman, Olshen and Stone 1984, section 3.4.3).

    Args:
        cells: The rows.
        doubt: The standard error; None is without the rule.
    """
    scored = [cell for cell in cells if cell.dev]
    if not scored:
        return None
    able = [cell for cell in scored if cell.learned] or scored
    whole = [cell for cell in able if len(cell.dev) == len(cell.outcomes)]
    way = sign(str(scored[0].metric))

    def rank(cell: Cell) -> tuple[float, bool]:
        # Rounding chooses nothing, and of equals the simpler one is chosen.
        return round(way * fmean(cell.dev.values()), 6), cell.simple

    ahead = max(whole or able, key=rank)
    simple = max((cell for cell in whole or able if cell.simple), key=rank, default=None)
    if ahead.simple or simple is None or doubt is None:
        return ahead
    error = doubt(ahead, simple)
    return ahead if error is None or rank(ahead)[0] - rank(simple)[0] >= error else simple
