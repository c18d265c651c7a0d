"""What the plan costs: hours of one core, computed from measured steps."""

import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import record
from benchmarks.evidence.agenda import Job, Known
from benchmarks.evidence.plan import Plan, Stage
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


def ratio(plan: Plan, arm: str) -> float:
    """What a step of an arm costs beside plain fine-tuning's; what seems to cost less counts as much."""
    measured = record.read("methods")
    times: dict[str, Any] = {str(one["method"]): one["time"] for one in _rows(measured)}  # type: ignore[typeddict-item]
    method = plan.arms[arm].method
    return max(1.0, *(float(times.get(part, plan.arms[arm].passes)) for part in method.split("+")))


def seconds(plan: Plan, model: str, task: str, ratio: float) -> float:
    """What a run takes; 0 where nothing was measured."""
    pace = {(one["model"], one["task"]): one for one in _rows(record.read(PACE))}  # type: ignore[typeddict-item]
    one: Any = pace.get((model, task))
    if one is None:
        return 0.0
    about = plan.tasks[task]
    rows = max(1, round(about.fraction * GLUE[about.task or task].rows["train"]))
    steps = about.steps or math.ceil(about.epochs * math.ceil(rows / plan.run.get("batch_size", 32)))
    passes = math.ceil(about.epochs) + 1  # an evaluation every epoch, and the predictions
    return float(one["fixed"] + steps * one["step"] * ratio + passes * one["evaluation"])


def hours_of(plan: Plan, jobs: Iterable[Job]) -> float:
    """Hours of a core that jobs take."""
    known = {arm: ratio(plan, arm) for arm in plan.arms}
    fitted = {name: 0.0 for name in plan.simple}
    return sum(seconds(plan, job.model, job.task, (known | fitted)[job.arm]) for job in jobs) / 3600


def planned(plan: Plan) -> Iterator[Planned]:
    """What every stage costs if no arm is dropped; one that is chosen later costs as the mean arm."""
    ratios = [ratio(plan, arm) for arm in plan.others]
    for name, stage in plan.stages.items():
        many = _shares(plan, stage, ratios)
        pairs = [(task, seed) for task in stage.tasks for seed in _seeds(plan, name, stage, task)]
        pairs *= len(plan.rates) if stage.tunes else 1
        taken = sum(seconds(plan, stage.model, task, one) for task, _ in pairs for one in many)
        yield Planned(name, len(pairs) * len(many), taken / 3600)


def _shares(plan: Plan, stage: Stage, ratios: list[float]) -> list[float]:
    if stage.arms is None:
        return [1.0, *ratios]
    return [1.0, *(ratio(plan, arm) for arm in stage.arms.also), *[fmean(ratios)] * stage.arms.best]


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
    places = dict.fromkeys((stage.model, task) for stage in plan.stages.values() for task in stage.tasks)
    with tempfile.TemporaryDirectory() as folder:
        rows = [_pace(plan, model, task, data, Path(folder)) for model, task in places]
    recording.put(rows)


def _pace(plan: Plan, model: str, task: str, data: str | None, folder: Path) -> dict[str, Any]:
    import pats

    about, steps = plan.tasks[task], STEPS[model]
    weights = _random_mpnet(folder / model) if plan.models[model].folder else model
    run = Run(**plan.run, model=weights, task=about.task or task, data=data, method="vanilla", steps=steps)
    began, cores = time.perf_counter(), time.process_time()
    out = folder / f"{model}-{task}"
    result = pats.finetune(_with_share(run, about.fraction), out)
    share = (time.process_time() - cores) / (time.perf_counter() - began)  # of a core that others use, too
    taken = {name: share * value for name, value in result.timings.items()}
    fixed = taken["total"] - taken["train"] - taken["evaluate"] - taken["predict"]
    row = {
        "model": model,
        "task": task,
        "step": round(taken["train"] / steps, 4),
        "evaluation": round((taken["evaluate"] + taken["predict"]) / 2, 3),
        "fixed": round(max(fixed, 0.0), 3),
        "steps": steps,
        "share_of_a_core": round(share, 2),
    }
    print(row, flush=True)
    return row


def _with_share(run: Run, fraction: float) -> Run:
    from dataclasses import replace

    return replace(run, fraction=fraction, evaluations=1)


def _random_mpnet(folder: Path) -> str:
    """A model of MPNet-base's size with weights drawn at random, which cost as much as trained ones."""
    from transformers import AutoTokenizer, MPNetConfig, MPNetModel

    from pats.run.model.source import resolve

    if not folder.exists():
        MPNetModel(MPNetConfig(vocab_size=30527)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(resolve("minilm")).save_pretrained(folder)
    return os.fspath(folder)


def _rows(results: record.Results | None) -> tuple[record.Row, ...]:
    return () if results is None else results.rows
