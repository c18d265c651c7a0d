"""Killing a run at a random moment: what it ends with when it is started again."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS = [
    *("--task", "grammar", "--lr", "3e-4", "--precision", "fp32"),
    *("--task-option", "size=128", "dev_size=48"),
    *("--batch-size", "4", "--max-length", "12", "--epochs", "2", "--steps", "60"),
    *("--save-steps", "5", "--quiet"),
]


def start_run(out: Path, method: str = "pats", model: str = "minilm") -> subprocess.Popen[str]:
    """A real run of 60 steps with a checkpoint every 5, in two epochs with an evaluation after each."""
    command = [sys.executable, "-m", "pats.cli", "run", *SETTINGS, "--model", model]
    command += ["--method", method, "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def finish_run(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err


def ending_of(out: Path) -> tuple[str, str, dict[str, Any]]:
    """Hash of the best weights, and everything else but timings and environment."""
    content = json.loads((out / "result.json").read_text())
    del content["timings"], content["environment"]
    weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    predictions = hashlib.sha256((out / "predictions.csv.gz").read_bytes()).hexdigest()
    return weights, predictions, content


STEPS, LOADING = 60, 6  # optimizer steps, and about how many seconds pass before the first


def saved(out: Path) -> int:
    """The step of the last checkpoint, 0 before there is one."""
    progress = out / "checkpoint" / "progress.json"
    step: int = json.loads(progress.read_text())["step"] if progress.exists() else 0
    return step


def reached(out: Path) -> float:
    """The step that a run has come to: the last one told or saved, and at that pace what has passed since."""
    path = out / "events.jsonl"
    events = [json.loads(line) for line in path.open() if line.endswith("\n")] if path.exists() else []
    told = [event for event in events if event["event"] == "progress"]
    if not told:  # a small model is done before anything is told
        return saved(out)
    last, began = told[-1], next(event for event in events if event["event"] == "start")["time"]
    steps: float = last["step"] * (time.time() - began) / (last["time"] - began)
    return steps


def kill_once(out: Path, draw: random.Random, model: str = "minilm") -> dict[str, Any]:
    """Start a run, kill it while it loads or trains, start it again; where it was killed and continued.

    The moment is drawn in steps, not in seconds: how long a run takes depends on what else the machine does.
    """
    moment = draw.uniform(-LOADING, STEPS)
    process = start_run(out, model=model)
    if moment < 0:
        time.sleep(LOADING + moment)
    while process.poll() is None and reached(out) < moment:
        time.sleep(0.02)
    killed = process.poll() is None
    if killed:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    resumed_at = saved(out)
    finish_run(start_run(out, model=model))
    return {"moment": round(moment, 2), "killed": killed, "resumed_at": resumed_at}
