"""What result files show of methods beside plain fine-tuning: differences paired by task and seed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.evidence.agenda import Known, Unfinished
from benchmarks.evidence.plan import Plan, Stage
from benchmarks.record import Results
from benchmarks.tables import READINGS, rows_of
from pats.page.numbers.statistics import Paired, across, holm
from pats.results.cell import ON_DEV

Score = tuple[str, int]  # task and seed

PLAIN = "plain fine-tuning"
FAVOURED = "chooses its weights on dev: never below plain fine-tuning there, which shows nothing"
LITERAL = "PATS as published"
GLUE_ROWS = {
    "vanilla": PLAIN,
    "noisytune": "NoisyTune",
    "sage": "SAGE",
    "pats": LITERAL,  # as the method was called when this was measured
}


@dataclass(frozen=True)
class Compared:
    """An arm beside plain fine-tuning.

    Args:
        arm: Its name.
        gaps: Points above plain fine-tuning by task, one a seed.
        all: The mean over tasks with its interval.
        tried: Configurations among which its settings were chosen; 1 is none but this one.
        p: Adjusted after Holm for the arms of its table; None where pairs are too few for any.
        note: What else a reader has to know.
    """

    arm: str
    gaps: Mapping[str, Sequence[float]]
    all: Paired
    tried: int = 1
    p: float | None = None
    note: str = ""

    @property
    def pairs(self) -> int:
        """Pairs of a task and a seed."""
        return sum(map(len, self.gaps.values()))

    @property
    def better(self) -> bool:
        """Above plain fine-tuning by its interval and its p-value; never by construction."""
        bounds = self.all.interval
        above = bounds is not None and bounds[0] > 0 and self.note != FAVOURED
        return above and self.p is not None and self.p <= 0.05

    @property
    def worse(self) -> bool:
        """Its interval lies below 0."""
        return self.all.interval is not None and self.all.interval[1] < 0


def compare(
    scores: Mapping[str, Mapping[Score, float]],
    plain: str = PLAIN,
    tried: Callable[[str], int] = lambda arm: 1,
    notes: Mapping[str, str] | None = None,
) -> list[Compared]:
    """Every arm beside plain fine-tuning, on the tasks and seeds that both have; the best first."""
    found = []
    for arm, own in scores.items():
        both = [key for key in own if key in scores.get(plain, {})]
        if arm == plain or not both:
            continue
        gaps: dict[str, list[float]] = {}
        for task, seed in sorted(both):
            gaps.setdefault(task, []).append(own[task, seed] - scores[plain][task, seed])
        pooled = across([*gaps.values()])
        assert pooled is not None
        found.append(Compared(arm, gaps, pooled, tried(arm), note=(notes or {}).get(arm, "")))
    known = [one.all.p for one in found]
    adjusted = holm([p for p in known if p is not None])
    values = iter(adjusted)
    made = [
        Compared(one.arm, one.gaps, one.all, one.tried, None if p is None else next(values), one.note)
        for one, p in zip(found, known, strict=True)
    ]
    return sorted(made, key=lambda one: -one.all.mean)


def scores_of(
    rows: Iterable[Mapping[str, Any]], arm: Callable[[Mapping[str, Any]], str], value: str = "best"
) -> dict[str, dict[Score, float]]:
    """Scores × 100 by arm, task and seed."""
    found: dict[str, dict[Score, float]] = {}
    for row in rows:
        if row["status"] == "done":
            found.setdefault(arm(row), {})[row["task"], row["seed"]] = 100 * row[value]
    return found


def base_size(results: Results, value: str = "best") -> list[Compared]:
    """Arms on MPNet-base."""
    rows = rows_of(results)
    about = {row["arm"]: row["about"] for row in rows}
    return compare(scores_of(rows, lambda row: str(row["arm"]), value), "plain", notes=about)


def readings(results: Results) -> list[Compared]:
    """The paper's readings on MiniLM."""
    names = {_options(options): name for name, options in READINGS.items()}
    return compare(scores_of(rows_of(results), lambda row: names[_options(row["options"])]))


def small_study(results: Results) -> list[Compared]:
    """Four methods on quarters of CoLA and MRPC."""
    return compare(scores_of(rows_of(results), lambda row: GLUE_ROWS[row["method"]]))


def of_stage(plan: Plan, known: Known, stage: Stage) -> list[Compared]:
    """The arms of a stage of the plan as far as it has been run; a dropped one on what it has."""
    scores: dict[str, dict[Score, float]] = {}
    try:
        arms = known.arms(stage)  # others may share seeds with it, from a stage before
    except Unfinished:
        arms = [*plan.arms]
    for arm in arms:
        try:
            jobs = known.jobs(arm, stage)
        except Unfinished:
            continue
        done = {(job.task, job.seed): known.scores[job] for job in jobs if job in known.scores}
        if done:
            scores[arm] = done
    out = {arm: FAVOURED for arm in scores if ON_DEV in plan.arms[arm].method.split("+")}
    out |= {arm: f"dropped: {why}" for arm, why in known.dropped(stage).items()} if scores else {}
    return compare(scores, plan.plain, lambda arm: tried(plan, known, arm, stage), out)


def tried(plan: Plan, known: Known, arm: str, stage: Stage) -> int:
    """Configurations of an arm among which its settings were chosen."""
    if stage.rate is not None:
        return 1
    tuned = [one for one in plan.stages.values() if one.tunes and one.model == stage.model]
    rates = {job.rate for one in tuned for job in known.trials(arm, one)}
    return max(1, len(rates))


def gap_of_epochs(results: Results, plain: str = "plain") -> float:
    """Points by which plain fine-tuning's best epoch on dev is above its last, on average."""
    rows = [row for row in rows_of(results) if row["arm"] == plain]
    return fmean(100 * (row["best"] - row["last"]) for row in rows)


def _options(options: Mapping[str, Any]) -> str:
    return str(sorted(options.items()))
