"""What the plan costs: hours of one core, computed from measured steps."""

import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import record
from benchmarks.evidence.agenda import Job, Known
from benchmarks.evidence.plan import Plan, Stage
from benchmarks.tables import rows_of
from pats.run import Run
from pats.tasks import GLUE

PACE = "evidence_pace"
STEPS = {"minilm": 20, "mpnet-base": 4}  # that are measured


@dataclass(frozen=True)
class Planned:
    """What a stage costs by the plan, no arm dropped."""

    name: str
    runs: int
    hours: float


def step(plan: Plan, arm: str, plain: float, size: float = 1.0) -> float:
    """Seconds of an arm's step, by those of plain fine-tuning.

    Passes take as long as its own; what else a method takes, as its arithmetic on weights, goes with the
    encoder's size and not with the batch.
    """
    measured: dict[str, Any] = {str(one["method"]): one for one in _rows("methods")}
    rows = [measured.get(part) for part in plan.arms[arm].method.split("+")]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows) and plan.arms[arm].method != "vanilla":
        return plain * plan.arms[arm].passes
    passes = max((row["forward_passes"] for row in known), default=1)
    quiet = min(row["plain_ms"] for row in measured.values()) / 1000  # whatever else the machine did
    more = quiet * sum(max(0.0, row["time"] - row["forward_passes"]) for row in known)
    return float(plain * passes + size * more)


def seconds(plan: Plan, model: str, task: str, arm: str) -> float:
    """What a run takes; of one that is not fine-tuned, or where nothing was measured, 0."""
    paces = {(str(one["model"]), str(one["task"])): one for one in _rows(PACE)}
    about = plan.tasks[task]
    pace = paces.get((model, about.task or task))
    if pace is None or arm not in plan.arms:
        return 0.0
    rows = max(1, round(about.fraction * GLUE[about.task or task].rows["train"]))
    steps = about.steps or math.ceil(about.epochs * math.ceil(rows / plan.run.get("batch_size", 32)))
    passes = math.ceil(about.epochs) + 1  # an evaluation every epoch, and the predictions
    each = step(plan, arm, pace["step"], plan.models[model].size)
    return float(pace["fixed"] + steps * each + passes * pace["evaluation"])


def hours_of(plan: Plan, jobs: Iterable[Job]) -> float:
    """Hours of a core that jobs take."""
    return sum(seconds(plan, job.model, job.task, job.arm) for job in jobs) / 3600


def planned(plan: Plan) -> Iterator[Planned]:
    """What every stage costs if no arm is dropped; one that is chosen later costs as the mean arm."""
    for name, stage in plan.stages.items():
        runs, taken = 0, 0.0
        named = [plan.plain, *(plan.others if stage.arms is None else stage.arms.also)]
        chosen = 0 if stage.arms is None else stage.arms.best
        for task in stage.tasks:
            of = {arm: seconds(plan, stage.model, task, arm) for arm in plan.arms}
            many = len(_seeds(plan, name, stage, task)) * (len(plan.rates) if stage.tunes else 1)
            mean = fmean(of[arm] for arm in plan.others)
            runs += many * (len(named) + chosen)
            taken += many * (sum(of[arm] for arm in named) + chosen * mean)
        yield Planned(name, runs, taken / 3600)


def _seeds(plan: Plan, name: str, stage: Stage, task: str) -> list[int]:
    """The seeds on a task that no stage before has run."""
    before = [plan.stages[one] for one in [*plan.stages][: [*plan.stages].index(name)]]
    done = {seed for one in before if task in one.tasks and one.model == stage.model for seed in one.seeds}
    return [seed for seed in stage.seeds if seed not in done]


def told(plan: Plan, known: Known) -> str:
    """The hours of every stage, by the plan and so far."""
    spent: dict[str, float] = {}
    for row in known.rows:
        spent[row["stage"]] = spent.get(row["stage"], 0.0) + (row["seconds"] or 0.0) / 3600
    parts = [*planned(plan)]
    lines = [
        f"{one.name:14}{one.runs:5} runs {one.hours:6.1f} h, taken {spent.get(one.name, 0.0):5.1f} h"
        for one in parts
    ]
    total = f"{'all':14}{sum(one.runs for one in parts):5} runs {sum(one.hours for one in parts):6.1f} h"
    return "\n".join([*lines, f"{total}, taken {sum(spent.values()):5.1f} h of {plan.hours:g}"])


def measure(plan: Plan, data: str | None) -> None:
    """Measure steps and evaluations of plain fine-tuning, in seconds of one core."""
    import torch

    torch.set_num_threads(1)
    recording = record.start(PACE, threads=1)
    stages, names = plan.stages.values(), plan.tasks
    places = {(stage.model, names[task].task or task): task for stage in stages for task in stage.tasks}
    with tempfile.TemporaryDirectory() as folder:
        rows = [_pace(plan, model, task, data, Path(folder)) for (model, _), task in places.items()]
    recording.put(rows)


def _pace(plan: Plan, model: str, task: str, data: str | None, folder: Path) -> dict[str, Any]:
    import pats

    about, steps = plan.tasks[task], STEPS[model]
    weights = _random_mpnet(folder / model) if plan.models[model].folder else model
    run = Run(**plan.run, model=weights, task=about.task or task, data=data, method="vanilla", steps=steps)
    began, cores = time.perf_counter(), time.process_time()
    out = folder / f"{model}-{task}"
    result = pats.finetune(replace(run, fraction=about.fraction, evaluations=1), out)
    share = (time.process_time() - cores) / (time.perf_counter() - began)  # of a core that others use, too
    taken = {name: share * value for name, value in result.timings.items()}
    fixed = taken["total"] - taken["train"] - taken["evaluate"] - taken["predict"]
    row = {
        "model": model,
        "task": about.task or task,
        "step": round(taken["train"] / steps, 4),
        "evaluation": round((taken["evaluate"] + taken["predict"]) / 2, 3),
        "fixed": round(max(fixed, 0.0), 3),
        "steps": steps,
        "share_of_a_core": round(share, 2),
    }
    print(row, flush=True)
    return row


def _random_mpnet(folder: Path) -> str:
    """A model of MPNet-base's size with weights drawn at random, which cost as much as trained ones."""
    from transformers import AutoTokenizer, MPNetConfig, MPNetModel

    from pats.run.model.source import resolve

    if not folder.exists():
        MPNetModel(MPNetConfig(vocab_size=30527)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(resolve("minilm")).save_pretrained(folder)
    return os.fspath(folder)


def _rows(name: str) -> list[dict[str, Any]]:
    results = record.read(name)
    return [] if results is None else rows_of(results)
