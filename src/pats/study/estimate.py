"""How long runs take: by those that have ended, and before the first of them by a step of each row."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType

from pats import tasks
from pats.baselines import is_simple
from pats.results import Result
from pats.run.spec import Run

START = 5.0  # seconds of a process before its run begins: its imports
FORK = 0.5  # of one that is forked from a process that has made them
FIXED = 3.0  # seconds of a run beside its steps: the model, its export
SIMPLE_RUN = 10.0  # seconds of a row without fine-tuning
_WHOLE: Mapping[str, float] = MappingProxyType({})
EVALUATED = 1 / 3  # of a training step, what the same rows take without gradients


@dataclass
class Estimate:
    """Seconds of runs by what is known so far.

    Args:
        rows: Rows of training and dev data by task.
        steps: Measured seconds of a step by model and row; empty where nothing was measured.
        start: Seconds of a process before its run begins.
    """

    rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    steps: Mapping[tuple[str, str], float] = field(default_factory=dict)
    start: float = START
    _ended: dict[tuple[str, str, str], list[tuple[float, float]]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def learn(self, results: Iterable[Result | None]) -> None:
        """Take results in: what a run took, divided into what goes with its steps and what does not."""
        for result in results:
            if result is None or result.run_id in self._seen or "total" not in result.timings:
                continue
            self._seen.add(result.run_id)
            steps = result.epochs[-1].step if result.epochs else 0
            seconds = result.timings
            moving = seconds.get("train", 0.0) + seconds.get("evaluate", 0.0) if steps else 0.0
            entry = (moving / max(steps, 1), seconds["total"] - moving)
            self._ended.setdefault(self._key(result.run), []).append(entry)

    def seconds(self, run: Run) -> float | None:
        """What a run takes from its start; None where nobody knows."""
        if is_simple(run.method):
            ended = self._ended.get(self._key(run))
            return SIMPLE_RUN if ended is None else self.start + fmean(fixed for _, fixed in ended)
        train, _ = self.rows.get(_task(run), (0, 0))
        if not train:
            return None
        per_step, fixed = self._pace(run)
        if per_step is None:
            return None
        return self.start + fixed + per_step * run.total_steps(max(1, round(run.fraction * train)))

    def all_of(
        self,
        runs: Iterable[Run],
        coming: int = 0,
        workers: int = 1,
        shares: Mapping[str, float] = _WHOLE,
    ) -> float | None:
        """Seconds of several runs, so many at a time; None where nobody knows.

        Args:
            runs: The runs.
            coming: More runs, which are taken to be like these.
            workers: Runs at a time.
            shares: What is left of a run, by id.
        """
        known = [(run, seconds) for run in runs if (seconds := self.seconds(run)) is not None]
        if not known:
            return None
        mean = fmean(seconds for _, seconds in known)
        rest = sum(shares.get(run.id, 1.0) * seconds for run, seconds in known) + coming * mean
        return rest / max(1, workers)

    def together(self, runs: Iterable[Run], workers: int) -> float | None:
        """Seconds until the last of several runs has ended, the longest of which begins last.

        Args:
            runs: The runs.
            workers: Runs at a time.

        Returns:
            The seconds; None where there are no runs, or nobody knows how long one of them takes.
        """
        known = [self.seconds(run) for run in runs]
        each = sorted(seconds for seconds in known if seconds is not None)
        if not each or len(each) < len(known):
            return None
        return sum(each[:-1]) / max(1, workers) + each[-1]

    def _key(self, run: Run) -> tuple[str, str, str]:
        return _task(run), run.model, run.method

    def _pace(self, run: Run) -> tuple[float | None, float]:
        """Seconds of a step with its share of the evaluations, and of what is once in a run."""
        own = self._ended.get(self._key(run))
        if own is not None:
            return fmean(step for step, _ in own), fmean(fixed for _, fixed in own)
        known = self.steps.get((run.model, run.method))
        task = _task(run)
        others = [
            (self.steps.get((model, method)), entries)
            for (where, model, method), entries in self._ended.items()
            if (where, model) == (task, run.model) and not is_simple(method)
        ]
        if others:  # another method's run tells more of the machine than a few steps do
            measured, entries = others[0]
            ratio = known / measured if known and measured else 1.0
            return ratio * fmean(step for step, _ in entries), fmean(fixed for _, fixed in entries)
        if known is None:
            return None, FIXED
        train, dev = self.rows[task]
        total = run.total_steps(train)
        evaluations = run.evaluations or run.epochs
        judged = evaluations * dev / run.batch_size * EVALUATED * known
        return known + judged / total, FIXED


def _task(run: Run) -> str:
    return run.task or tasks.stem(str(run.data))


def timed(step: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of a step, measured once it has been warmed up; of one that is slow, the first time counts."""
    began = clock()
    step()
    first = clock() - began
    if first > 2.0:
        return first
    began = clock()
    step()
    return clock() - began
