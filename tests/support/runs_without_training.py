"""Runs without training: they wait, checkpoint and give signs of life as a real run does.

Their options: ``seconds`` a run takes, in steps of 0.1 s; ``skew`` of the clock that stamps its files;
``bytes`` of its predictions; ``bad`` for an input error, ``crash`` for an exception.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from pats._errors import InputError
from pats.run.folder.events import Journal
from pats.run.folder.files import write_atomic
from pats.run.spec import Run
from pats.run.stopping import Stopped
from pats.study.store.attempt import asked_to_stop
from support.made_results import make_result

STEP = 0.1


def make_runs(count: int, seconds: float = 0.3, **options: Any) -> list[Run]:
    return [
        Run(task="rte", method="vanilla", options={"seconds": seconds, **options}).with_seed(i)
        for i in range(count)
    ]


def pretend_to_train(run: Run, attempt: Path) -> None:
    options: dict[str, Any] = dict(run.options)
    if options.get("bad"):
        raise InputError("the data are gone")
    if options.get("crash"):
        raise ValueError("seven")
    progress = attempt / "checkpoint" / "progress.json"
    progress.parent.mkdir(exist_ok=True)
    step = json.loads(progress.read_text())["step"] if progress.exists() else 0
    steps = round(options["seconds"] / STEP)
    with Journal(attempt / "events.jsonl") as journal:
        journal.emit("start", resumed_at=step)
        while step < steps:
            time.sleep(STEP)
            step += 1
            journal.emit("progress", step=step, steps=steps)
            if "skew" in options:
                for name in ("events.jsonl", "worker.json"):
                    os.utime(attempt / name, (time.time() + options["skew"],) * 2)
            write_atomic(progress, json.dumps({"step": step}).encode())
            if asked_to_stop(attempt):
                raise Stopped(f"stopped after step {step}")
        write_atomic(attempt / "predictions.csv.gz", os.urandom(options.get("bytes", 1)))
        write_atomic(attempt / "result.json", make_result(run, [run.data_seed / 10]).to_json().encode())
        journal.emit("end", status="done")
