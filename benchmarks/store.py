"""How long a study of 10,000 results takes to read, to watch and to export.

    python -m benchmarks.store

Synthetic results of a real result's size (ten epochs, telemetry of a BERT's kinds of matrix) in a temporary
folder: 5,000 runs of them done, in the second half of the table 4,900 done, 60 under way, 20 failed and 20
waiting. "First read" is a fresh process's, with the file system's cache warm.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import record
from pats.run.environment import describe
from pats.run.folder.events import Journal
from pats.run.result import Epoch, Result
from pats.run.spec import Run
from pats.study.export import write_table
from pats.study.plan.grid import Study
from pats.study.store.attempt import end, occupy, write_error
from pats.study.store.results import Store
from pats.study.watch import Watched, draw

KINDS = [
    f"encoder.layer.*.{part}.{kind}"
    for part in ("q", "k", "v", "o", "up", "down")
    for kind in ("weight", "bias")
]


def result(run: Run, environment: dict[str, object]) -> Result:
    """One with everything that a real run writes."""
    scores = [0.5 + (run.data_seed * 31 + epoch * 7) % 100 / 250 for epoch in range(10)]
    metrics = ({"accuracy": score, "f1": score - 0.01} for score in scores)
    epochs = tuple(Epoch(i + 1.0, 100 * (i + 1), 0.5 / (i + 1), found) for i, found in enumerate(metrics))
    stats = {
        "rms_noise_over_rms_update": 0.1234,
        "noise_over_weight": 0.0123,
        "gated": 0.01,
        "largest": 0.003,
    }
    best = max(range(10), key=lambda i: scores[i])
    sensitivity = {"entries": 85_000_000, "mean": 1e-6, "cv": 3.2, "gini": 0.7, "insensitive": 0.2}
    return Result(
        run=run,
        run_id=run.id,
        status="done",
        metric="accuracy",
        epochs=epochs,
        best_epoch=best,
        sizes={"train": 2490, "dev": 277},
        labels=("a", "b"),
        sensitivity=sensitivity,
        telemetry={kind: stats for kind in KINDS},
        predictions={"file": "predictions.csv.gz", "blake2b": "0" * 32},
        timings={"total": 100.0, "train": 90.0},
        environment=environment,
    )


def fill(out: Path, count: int) -> None:
    """Write a study of ``count`` runs, as its workers would have left it (but without fsync)."""
    study = Study(
        tasks=("cola", "mrpc", "rte", "stsb", "qnli"),
        methods=("vanilla", "noisytune", "sage", "pats"),
        models=("bert-base-uncased", "roberta-large"),
        seeds=count // 40,
        lr=1e-4,
        run=Run(),
    )
    cells, environment = study.cells(), describe(__import__("torch").device("cpu"), False)
    store = Store(out)
    store.save_study({"study": study.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    runs = [run for cell in cells for run in cell.runs]
    for index, run in enumerate(runs):
        attempt = store.folder(run.id) / "attempts" / "1-00000000"
        left = len(runs) - index
        if left <= 20:
            continue
        attempt.mkdir(parents=True)
        spec = {"run": run.to_dict(), "lease": {}}
        (attempt / "spec.json").write_text(json.dumps(spec))
        if left <= 40:
            write_error(attempt, "its process failed; its log ends: ValueError: seven")
            end(attempt, "failed")
        elif left <= 100:
            occupy(attempt)
            with Journal(attempt / "events.jsonl") as journal:
                for step in range(100):
                    journal.emit("progress", step=step, steps=1000, epoch=step / 100, loss=0.5)
        else:
            (attempt / "result.json").write_text(
                result(replace(run, fingerprint=None), environment).to_json()
            )
            (attempt.parents[1] / "result.json").hardlink_to(attempt / "result.json")


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read(out: Path) -> dict[str, float]:
    """Times of a fresh process."""
    from rich.console import Console

    watched = Watched(Store(out))
    console = Console(file=open("/dev/null", "w"), force_terminal=True, width=160)  # noqa: SIM115
    first = seconds(watched.look)
    refreshes = [seconds(lambda: console.print(draw(watched.look(), None))) for _ in range(5)]
    csv = seconds(lambda: write_table(Store(out), out / "runs.csv"))
    parquet = seconds(lambda: write_table(Store(out), out / "runs.parquet"))
    return {
        "first_read": first,
        "watch_refresh": statistics.median(refreshes),
        "csv": csv,
        "parquet": parquet,
    }


def main() -> None:
    """Fill, measure in a fresh process, tell and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="?", type=int, default=10_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read(given.read)))
        return
    recording = record.start("store")
    out = Path(tempfile.mkdtemp(prefix="pats-store-"))
    try:
        fill(out, given.runs)
        size = next(out.glob("runs/*/result.json")).stat().st_size
        command = [sys.executable, "-m", "benchmarks.store", "--read", str(out)]
        times = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    finally:
        shutil.rmtree(out)
    row = {
        "runs": given.runs,
        "bytes_a_result": size,
        "seconds": {name: round(value, 3) for name, value in times.items()},
    }
    print(row)
    recording.put([row], key=["runs"])


if __name__ == "__main__":
    main()
