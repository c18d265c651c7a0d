"""What a stage has still to run, by the plan and by what is known; no run is started here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.evidence.plan import Plan, Stage

Row = Mapping[str, Any]
AGAIN = "again"  # stage of the rows that were run a second time


@dataclass(frozen=True)
class Job:
    """A run of the plan."""

    model: str
    arm: str
    task: str
    seed: int
    rate: float


class Unfinished(SystemExit):
    """A stage needs another one's results, which are not all there."""


class Known:
    """What has been found.

    Args:
        plan: The plan.
        rows: Rows of the result file.
    """

    def __init__(self, plan: Plan, rows: Iterable[Row]) -> None:
        self.plan = plan
        self.rows = [row for row in rows if row["stage"] != AGAIN]
        self.scores = {_job(row): 100 * row["best"] for row in self.rows if row["status"] == "done"}
        self.failures = {_job(row) for row in self.rows} - set(self.scores)

    def rate(self, arm: str, stage: Stage) -> float | None:
        """An arm's rate: the best of its trials on dev, of equals the smallest; None where all failed.

        Raises:
            Unfinished: A trial is missing.
        """
        if stage.rate is not None:
            return stage.rate * self.plan.arms[arm].times
        tuned = [(name, one) for name, one in self.plan.stages.items() if one.tunes]
        trials: dict[float, list[float]] = {}
        for name, tuning in tuned:
            jobs = self.trials(arm, tuning) if tuning.model == stage.model else []
            missing = [job for job in jobs if job not in self.scores and job not in self.failures]
            if missing:
                raise Unfinished(f"stage {name} has not ended: {arm} lacks its trial at {missing[0].rate:g}")
            failed = {job.rate for job in jobs if job in self.failures}
            for job in jobs:
                if job.rate not in failed:
                    trials.setdefault(job.rate, []).append(self.scores[job])
        return max(trials, key=lambda rate: (fmean(trials[rate]), -rate), default=None)

    def trials(self, arm: str, stage: Stage) -> list[Job]:
        """The runs that find an arm's rate."""
        times = self.plan.arms[arm].times
        return [
            Job(stage.model, arm, task, seed, rate * times)
            for rate in self.plan.rates
            for seed in stage.seeds
            for task in stage.tasks
        ]

    def jobs(self, arm: str, stage: Stage, seeds: int | None = None) -> list[Job]:
        """An arm's runs in a stage, of its first seeds."""
        if stage.tunes:
            return self.trials(arm, stage)
        rate = self.rate(arm, stage)
        if rate is None:
            return []
        some = stage.seeds[:seeds]
        return [Job(stage.model, arm, task, seed, rate) for seed in some for task in stage.tasks]

    def gaps(self, arm: str, stage: Stage, seeds: int | None = None) -> list[float] | None:
        """Points above plain fine-tuning in every pair of a stage; None where a pair is missing."""
        ours, plain = (self.jobs(one, stage, seeds) for one in (arm, self.plan.plain))
        if not ours or not {*ours, *plain} <= {*self.scores}:
            return None
        return [self.scores[one] - self.scores[other] for one, other in zip(ours, plain, strict=True)]

    def dropped(self, stage: Stage) -> dict[str, str]:
        """Arms that the stage's rules drop, and why."""
        reasons = {}
        for rule in stage.drop:
            for arm in self.plan.others:
                gaps = self.gaps(arm, stage, rule.seeds)
                if gaps and fmean(gaps) < rule.below and arm not in reasons:
                    many = f"{rule.seeds} seed{'s' * (rule.seeds > 1)}"
                    reasons[arm] = f"{fmean(gaps):+.1f} after {many}, below {rule.below:+.1f}"
        return reasons

    def ranked(self, name: str) -> list[str]:
        """The arms of a stage that were not dropped, the best first; of equals the first of the plan.

        Raises:
            Unfinished: A run of it is missing.
        """
        stage = self.plan.stages[name]
        out = self.dropped(stage)
        means = {}
        for arm in self.arms(stage):
            if arm in out or arm == self.plan.plain or self.fails(arm, stage):
                continue
            gaps = self.gaps(arm, stage)
            if gaps is None:
                raise Unfinished(f"stage {name} has not ended: a run of {arm} is missing")
            means[arm] = fmean(gaps)
        return sorted(means, key=lambda arm: -means[arm])

    def fails(self, arm: str, stage: Stage) -> bool:
        """Whether all trials of the arm failed, or a run of it in the stage."""
        jobs = self.jobs(arm, stage)
        return not jobs or bool(self.failures & {*jobs})

    def arms(self, stage: Stage) -> list[str]:
        """The arms of a stage, plain fine-tuning first."""
        if stage.arms is None:
            return [self.plan.plain, *self.plan.others]
        best = self.ranked(stage.arms.of)[: stage.arms.best]
        return [*dict.fromkeys([self.plan.plain, *best, *stage.arms.also])]

    def todo(self, stage: Stage, without: Iterable[str] = ()) -> list[Job]:
        """What is to run, in its order: seed by seed, plain fine-tuning first, each arm on all tasks.

        Args:
            stage: The stage.
            without: Arms that failed just now.
        """
        out = {*self.dropped(stage), *without}
        arms = [arm for arm in self.arms(stage) if arm not in out]
        jobs = [job for arm in arms for job in self.jobs(arm, stage)]
        if not stage.tunes:
            jobs.sort(key=lambda job: stage.seeds.index(job.seed))
            jobs = [
                Job(stage.model, name, task, 0, 0.0) for name in self.plan.simple for task in stage.tasks
            ] + jobs
        return [job for job in jobs if job not in self.scores]

    def ended(self, stage: Stage) -> bool:
        """Whether nothing of a stage is left to run."""
        try:
            return all(job in self.failures for job in self.todo(stage))
        except Unfinished:  # a stage before it has not ended
            return False

    def spent(self) -> float:
        """Hours of one core that the runs took."""
        return sum(row["seconds"] or 0.0 for row in self.rows) / 3600


def _job(row: Row) -> Job:
    return Job(row["model"], row["arm"], row["task"], row["seed"], row["lr"])
