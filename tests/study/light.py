"""A worker without training: the real claims, signs of life and commits around a run that only waits.

    python light.py FOLDER [PARENT]

The run's options: ``seconds`` it takes, in steps of 0.1 s that are checkpointed; ``skew`` of the clock that
stamps its files; ``bytes`` of its predictions; ``bad`` for an input error, ``crash`` for an exception.
"""

import json
import os
import sys
import time
import types
from pathlib import Path

ROOT = Path(__file__).parents[2]

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    # A package without its __init__, which would import torch in every process.
    package = types.ModuleType("pats")
    package.__path__ = [str(ROOT / "src" / "pats")]
    sys.modules["pats"] = package

from made import made
from pats._errors import InputError
from pats.run.events import Journal
from pats.run.files import write_atomic
from pats.run.spec import Run
from pats.study.worker import attend, work

STEP = 0.1


def runs(count, seconds=0.3, **options):
    return [
        Run(task="rte", method="vanilla", options={"seconds": seconds, **options}).with_seed(i)
        for i in range(count)
    ]


def train(run, attempt):
    options = run.options
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
        write_atomic(attempt / "predictions.csv.gz", os.urandom(options.get("bytes", 1)))
        write_atomic(attempt / "result.json", made(run, [run.data_seed / 10]).to_json().encode())
        journal.emit("end", status="done")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    attend(folder, int(sys.argv[2]) if len(sys.argv) > 2 else None)
    sys.exit(work(folder, train))
