"""How long `pats report` takes on ten thousand results, and how large its page is.

    python -m benchmarks.report

The results are synthetic: 8 tasks, 5 models, 5 methods, 50 seeds, ten epochs each, with telemetry and
environment as real ones have; the files are written as a comparison leaves them.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import record
from pats import cli, paper
from pats.run.result import Epoch, Result
from pats.run.spec import Run
from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell
from pats.study.store.results import Store

MODELS = tuple(f"model-{number}" for number in range(5))
METHODS = ("vanilla", "noisytune", "sage", "pats", "std=pats")
KINDS = tuple(
    f"encoder.layer.*.{name}.{part}"
    for name in ("attention.self.query", "attention.self.key", "attention.output.dense", "output.dense")
    for part in ("weight", "bias")
)
NOISE = {"noise_over_weight": 0.01, "noise_over_update": 3.0, "gated": 0.2, "zero": 0.01, "sigma_max": 0.1}
ENVIRONMENT = {
    "time": "2026-11-24T01:42:23+00:00",
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
    "cpu": "synthetic",
    "peak_memory_mb": {"process": 1000.0},
}


def result(run: Run, cell: PlannedCell, draw: np.random.Generator) -> Result:
    """A result such as a real run's."""
    scores = 0.6 + 0.02 * np.arange(10) + draw.normal(0, 0.02, 10)
    epochs = tuple(
        Epoch(number + 1, 100 * (number + 1), 0.7 - 0.05 * number, {"accuracy": float(score)})
        for number, score in enumerate(scores)
    )
    telemetry = dict.fromkeys(KINDS, NOISE) if cell.method == "pats" else {}
    return Result(
        run,
        run.id,
        "done",
        "accuracy",
        epochs,
        int(scores.argmax()),
        sizes={"train": 1000, "dev": 500},
        labels=("no", "yes"),
        telemetry=telemetry,
        timings={"train": 100.0, "evaluate": 5.0, "total": 110.0, "examples_per_second": 80.0},
        environment=ENVIRONMENT,
    )


def fill(folder: Path, seeds: int) -> int:
    """Write the study; returns the number of its results."""
    options = {"std": {"intensity": "std"}}
    study = Study(paper.TASKS, MODELS, METHODS, seeds, options=options, lr=1e-4)
    cells, draw = study.cells(), np.random.default_rng(0)
    store = Store(folder)
    store.save_study({"study": study.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    count = 0
    for cell in cells:
        for run in cell.runs:
            store.folder(run.id).mkdir(parents=True)
            path = store.folder(run.id) / "result.json"
            path.write_text(result(run, cell, draw).to_json(), encoding="utf-8")
            count += 1
    return count


def main() -> None:
    """Measure once; the first read of the files is in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=50)
    seeds = parser.parse_args().seeds
    recording = record.start("report", ["numpy", "scipy", "jinja2"])
    with TemporaryDirectory() as folder:
        count = fill(Path(folder) / "out", seeds)
        started, worked = time.perf_counter(), time.process_time()
        code = cli.main(["report", str(Path(folder) / "out"), "--json"])
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        size = (Path(folder) / "out" / "report.html").stat().st_size
    row = {
        "results": count,
        "exit_code": code,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(worked, 1),  # what others on the machine do not change
        "page_mb": round(size / 2**20, 2),
    }
    print(row)
    recording.put([row], key=["results"])


if __name__ == "__main__":
    main()
