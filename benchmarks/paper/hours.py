"""How long the paper's tables take on a card, computed from measured steps.

python -m benchmarks.paper.hours
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import record
from benchmarks.tables import rows_of, table
from pats import setups
from pats.run import Run
from pats.study import Study
from pats.study.plan.planned import PlannedCell
from pats.study.sweep import Sweep
from pats.tasks import GLUE

FOLDER = Path(__file__).parent
TABLES, SWEEPS = ("bert-base", "roberta-large"), ("sweep-bert-base", "sweep-roberta-large")

# What is assumed, since no V100 was measured: it takes longer by the cards' data sheets, at least by memory
# bandwidth (3.35 to 0.9 TB/s), at most by half-precision arithmetic (989 to 125 TFLOP/s).
V100_AT_LEAST, V100_AT_MOST = 3.35 / 0.9, 989 / 125
# What is to be tried with base size weights in a folder MPNET, before a machine is lent for the whole.
TRIAL = (
    "pats compare --config benchmarks/paper/bert-base.yaml --models MPNET --tasks rte --seeds 2 --lr 1e-4 "
    "--data GLUE --out out/paper-trial"
)
SIZES = {"bert-base-uncased": "BERT-base", "roberta-large": "RoBERTa-large"}  # as in gpu_before.json


@dataclass(frozen=True)
class Needed:
    """What a configuration takes.

    Args:
        name: Of its file.
        runs: Runs that are reported.
        trials: Runs that select a rate, or a point of the search.
        steps: Optimizer steps of both.
        h100: Hours on one card.
    """

    name: str
    runs: int
    trials: int
    steps: int
    h100: float


def settings(name: str) -> dict[str, Any]:
    """What a configuration holds."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def study(values: Mapping[str, Any]) -> Study:
    """The comparison of a configuration, or what its sweep shares."""
    values = dict(values)
    run = Run(**setups.presets()[values.pop("preset")].settings)
    if values.get("baselines") == ["none"]:
        values["baselines"] = ()
    names = ("tasks", "models", "methods", "lr_grid", "baselines")
    values |= {key: tuple(values[key]) for key in names if key in values}
    return Study(run=run, **values)


def compared(name: str) -> Needed:
    """What a configuration of ``pats compare`` takes."""
    plan = study(settings(name))
    tuning = plan.tuning()
    cells = plan.cells(tuned=dict.fromkeys(tuning, plan.lr_grid[0]))
    reported = sum(_steps(plan, cell) for cell in cells)
    trials, shares = 0, 0.0
    kept = len(plan.lr_grid)
    for share, keep in plan.rungs:
        trials, shares, kept = trials + kept, shares + kept * share, keep
    tuned = sum(shares * _full(plan, task) for task, _, _ in tuning)
    return _needed(name, plan, sum(len(cell.runs) for cell in cells), trials * len(tuning), reported + tuned)


def searched(name: str) -> Needed:
    """What a configuration of ``pats sweep`` takes."""
    values = settings(name)
    own = {key: values.pop(key) for key in ("trials", "halving")}
    plan = Sweep(study(values | {"baselines": ["none"]}), **own)
    shared, top = plan.study, plan.epochs[-1]
    brackets, left = own["trials"] / plan.per_batch, plan.per_batch
    trials, shares = 0, 0.0
    for epochs in plan.epochs:
        trials, shares, left = trials + left, shares + left * epochs / top, left // own["halving"]
    places = [task for task in shared.task_list for _ in shared.rows]
    runs, seeds = len(places) * len(shared.seed_list), len(shared.seed_list)
    steps = sum((seeds + brackets * shares) * _full(shared, task) for task in places)
    return _needed(name, shared, runs, round(brackets * trials) * len(places), steps)


def all_needed() -> list[Needed]:
    """What every configuration takes."""
    return [*map(compared, TABLES), *map(searched, SWEEPS)]


def steps_a_second(model: str) -> float:
    """Steps that an H100 makes in a second, all runs on it together.

    Measured at base size; a larger encoder's are fewer by the number of its parameters.
    """
    results = record.read("gpu_before")
    assert results is not None
    rows = rows_of(results)
    sizes = {row["shapes"]: row["parameters"] for row in rows if row["kind"] == "copy"}
    together = next(row["steps_per_second"] for row in rows if row["kind"] == "side by side")
    return float(together * sizes["BERT-base"] / sizes[SIZES[model]])


def section() -> str:
    """The page's part on the paper's tables."""
    results = record.read("gpu_before")
    assert results is not None
    measured = next(row for row in rows_of(results) if row["kind"] == "side by side")
    lines = [
        [
            f"[`{one.name}`](../benchmarks/paper/{one.name}.yaml)",
            one.runs,
            one.trials,
            f"{one.steps / 1e6:.1f}",
            f"{one.h100:.0f}",
            f"{one.h100 * V100_AT_LEAST:.0f} to {one.h100 * V100_AT_MOST:.0f}",
        ]
        for one in all_needed()
    ]
    heads = ["configuration", "runs", "trials", "million steps", "hours on an H100", "hours on a V100"]
    return "\n\n".join(
        [
            "## The paper's own tables, ready to run",
            "Table 1 for two models (eight tasks, four methods, five seeds, the rates of Table 2) and the "
            "search of "
            "Table 3. No machine has run them yet.",
            "    pats compare --config benchmarks/paper/bert-base.yaml --out out/paper-bert\n"
            "    pats sweep --config benchmarks/paper/sweep-bert-base.yaml --out out/paper-sweep-bert",
            "A trial with other weights of base size, in a folder MPNET, on one task with two seeds:",
            f"    {TRIAL}",
            "<!-- results: gpu_before.json -->",
            table(heads, lines),
            f"Computed from {measured['steps_per_second']} steps a second on one H100, with "
            f"{measured['side_by_side']} runs of {measured['model']} side by side, batch "
            f"{measured['batch']}. That was "
            "before the path for GPUs was rewritten. Assumed, not measured: RoBERTa-large takes longer by "
            "its number "
            f"of parameters; a V100 takes {V100_AT_LEAST:.1f} times as long (memory bandwidth) to "
            f"{V100_AT_MOST:.1f} times (half-precision arithmetic); evaluations are left out.",
        ]
    )


def _full(plan: Study, task: str) -> int:
    return plan.run.total_steps(GLUE[task].rows["train"])


def _steps(plan: Study, cell: PlannedCell) -> int:
    return len(cell.runs) * _full(plan, cell.task)


def _needed(name: str, plan: Study, runs: int, trials: int, steps: float) -> Needed:
    hours = steps / steps_a_second(plan.model_list[0]) / 3600
    return Needed(name, runs, trials, round(steps), hours)


if __name__ == "__main__":
    print(section())
