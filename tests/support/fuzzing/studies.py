"""The folder of a small study whose results were made by hand, and which is put back after every input."""

import json
from pathlib import Path

from pats import Run, Study
from pats.study.store.attempt import end
from pats.study.store.files import write
from pats.study.store.results import Store
from support.made_results import make_result

STUDY = Study(
    tasks=("rte",), models=("m",), methods=("vanilla", "pats"), seeds=2, lr=1e-4, run=Run(), baselines=()
)
PRINTS = {("rte", seed): "f" for seed in range(2)}
EVENTS = (
    {"event": "start", "time": 1.0, "run_id": "x", "notes": ["a note"]},
    {"event": "progress", "time": 2.0, "step": 5, "steps": 20, "epoch": 2.5, "loss": 0.25},
    {"event": "heartbeat", "time": 3.0},
    {"event": "epoch", "time": 4.0, "step": 6, "steps": 20, "epoch": 3.0, "train_loss": 0.2},
)


def make_study(folder: str | Path) -> Store:
    """Three runs done, one under way."""
    store, cells = Store(folder), STUDY.cells(PRINTS)
    store.save_study({"study": STUDY.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    *done, last = [run for cell in cells for run in cell.runs]
    for run in done:
        attempt = store.claim(run)
        assert attempt is not None
        made = make_result(
            run,
            [0.5 + run.data_seed / 10, 0.4],
            0.55,
            sensitivity={"entries": 10, "mean": 1e-6, "cv": 2.0, "gini": 0.6, "insensitive": 0.1},
            timings={"train": 10.0, "evaluate": 1.0, "total": 12.0, "examples_per_second": 50.0},
            environment={"time": "2026-11-24T01:42:23+00:00", "packages": {"torch": "2.13.0"}, "cores": 2},
            sizes={"train": 100, "dev": 50},
            labels=("no", "yes"),
            predictions={"file": "predictions.csv.gz", "blake2b": "0" * 32},
        )
        (attempt / "result.json").write_text(made.to_json())
        store.commit(attempt, run.id)
        end(attempt, "done")
    attempt = store.claim(last)
    assert attempt is not None
    (attempt / "spec.json").write_text("{}")  # nobody is at it
    write(attempt / "events.jsonl", "\n".join(map(json.dumps, EVENTS)) + "\n")
    return store


class Kept:
    """A folder's files as they are now, to be put back.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def put_back(self) -> None:
        """Write what has changed, and delete what is new."""
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_symlink() or not (path.is_dir() or (path.is_file() and path in self._files)):
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        for path, content in self._files.items():
            if path.is_dir():
                path.rmdir()
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
