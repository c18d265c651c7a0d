"""Runs one system on one split as a process of its own, under a time limit, and reads what it left."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]

from benchmarks import record
from benchmarks.real import rival
from benchmarks.real.score import read, scores
from benchmarks.real.table import Table
from pats.study.place import resources

PATS = "pats"
SYSTEMS = (PATS, *rival.SYSTEMS)
TOLD = 1500  # characters that are kept of what a system says
PATIENCE = 20.0  # seconds between asking and killing
EVERY = 0.5  # seconds between two looks at its memory
TINY_SECONDS = 15
TINY = {
    PATS: ("--methods", "vanilla", "--seeds", "1", "--steps", "2"),
    "setfit": ("--iterations", "1", "--steps", "1"),
}


class Ended(NamedTuple):
    """How a process ended: its exit code (None: at the limit), time, peak memory, and what it wrote."""

    code: int | None
    seconds: float
    peak_gb: float
    out: str
    err: str


def run(command: Sequence[str], limit: float) -> Ended:
    """Run a command, which is ended at the limit or with us, and all that it started."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "NO_COLOR": "1"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began, peak, code = time.perf_counter(), 0, None
        process = subprocess.Popen(command, stdout=out, stderr=err, env=offline, start_new_session=True)
        try:
            while (code := process.poll()) is None and time.perf_counter() - began < limit:
                peak = max(peak, resident(process.pid))
                time.sleep(EVERY)
        finally:
            end(process)
        seconds = time.perf_counter() - began
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", errors="replace"))
    return Ended(code, seconds, peak / 2**30, *texts)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs: ask it first, so that it can end its workers, then kill it and them."""
    if process.poll() is not None:
        return
    below = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for worker in below:
        if worker.is_running():  # false where the number is another process's by now
            worker.kill()


def resident(pid: int) -> int:
    """Memory of a process and of all below it, in bytes."""
    total = 0
    try:
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended while we looked
    return total


def said(text: str) -> str:
    """The end of what a system told, without bars, colours and folders of this machine."""
    lines = [
        re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line.rpartition("\r")[2]).rstrip() for line in text.splitlines()
    ]
    kept = "\n".join(line for line in lines if line.strip() and "%|" not in line)
    kept = kept.replace(str(record.ROOT), ".")
    return re.sub(r"\.?/(?:[\w.+-]+/)+", ".../", kept)[-TOLD:]


def measure(
    system: str,
    table: Table,
    split: int,
    file: Path,
    folder: Path,
    python: Path,
    limit: float,
    tiny: bool,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """The row of a system on a split.

    Args:
        system: Its name.
        table: What it is measured on.
        split: Number of the split.
        file: The table with that split's column.
        folder: Where the system may write.
        python: Of the rivals' environment.
        limit: Seconds until it is ended.
        tiny: Learn next to nothing: this is a trial.
        flags: What ``pats compare`` is given beside the table.
    """
    more = (*(flags if system == PATS else ()), *(TINY.get(system, ()) if tiny else ()))
    if system == PATS:
        script = Path(sys.executable).with_name("pats")
        ended = run(
            [str(script), "compare", "--data", str(file), "--out", str(folder), "--json", *more], limit
        )
        found = _ours(ended, folder)
    else:
        predictions = folder / "predictions.csv"
        folder.mkdir(parents=True, exist_ok=True)
        predictions.unlink(missing_ok=True)
        told = str(TINY_SECONDS if tiny else limit)
        asked = ["--kind", table.about.kind, "--metric", table.metric, "--seconds", told]
        script = Path(rival.__file__)
        command = [str(python), str(script), system, str(file), str(predictions), "--seed", str(split)]
        ended = run([*command, *asked, *more], limit)
        found = {"recommended": system, "predictions": predictions, "told": said(ended.out + ended.err)}
    row = {
        "table": table.about.name,
        "split": split,
        "system": system,
        "metric": table.metric,
        "rows": table.rows,
        "sha256": table.sha256,
        "status": status(ended.code),
        "recommended": None,
        "scores": {},
        "seconds": round(ended.seconds, 1),
        "peak_gb": round(ended.peak_gb, 2),
        "limit": limit,
        "flags": [*more],
        "cores": resources.cores(),
        "told": found["told"],
    }
    if row["status"] == "done" and "predictions" not in found:
        row["status"] = "nothing chosen"
    if row["status"] == "done":
        reached = scores(table.about.kind, read(found["predictions"]))
        row |= {"recommended": found["recommended"], "scores": {k: round(v, 5) for k, v in reached.items()}}
    return row


def status(code: int | None) -> str:
    """How it went, in a word or two."""
    words = {0: "done", None: "out of time", rival.REFUSED: "no such task"}
    return words.get(code, f"failed ({code})")


def _ours(ended: Ended, folder: Path) -> Mapping[str, Any]:
    """The row that PATS recommended, where its predictions lie, and what it told."""
    if ended.code != 0:
        return {"told": said(ended.out + ended.err)}
    told = json.loads(ended.out)
    lines = said("\n".join([*told["verdict"], *told["notes"]]))
    if not told["chosen"]:
        return {"told": lines}
    (chosen,) = told["chosen"].values()
    path = folder / "runs" / chosen["run_id"] / "predictions.csv.gz"
    return {"recommended": chosen["label"], "predictions": path, "told": lines}
