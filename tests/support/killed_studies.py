"""Killing a comparison, and what must be the same afterwards."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def start_comparison(inputs: Path, cwd: Path, *extra: str) -> subprocess.Popen[str]:
    """``pats compare`` on ``inputs`` (``bert/``, ``texts.csv``), in the background, into ``cwd/out``."""
    command = [sys.executable, "-m", "pats.cli", "compare", "--out", "out", "--quiet"]
    command += ["--data", str(inputs / "texts.csv"), "--models", str(inputs / "bert")]
    command += ["--methods", "vanilla", "pats", "--seeds", "1", "--lr", "3e-3"]
    command += ["--epochs", "12", "--batch-size", "8", "--workers", "2", *extra]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=_hears_ctrl_c
    )


def _hears_ctrl_c() -> None:
    """A shell starts what runs in the background deaf to SIGINT, and so would be all that the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish_comparison(process: subprocess.Popen[str]) -> str:
    """What a comparison printed, which must end well."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def results_by_run(out: Path) -> dict[str, tuple[Any, str]]:
    """Every result without timings and environment, with the hash of its predictions, by run."""
    found = {}
    for path in sorted(out.glob("runs/*/result.json")):
        content = json.loads(path.read_text())
        del content["timings"], content["environment"]
        predictions = (path.parent / "predictions.csv.gz").read_bytes()
        found[path.parent.name] = (content, hashlib.sha256(predictions).hexdigest())
    return found


def journal_lines(out: Path) -> list[str]:
    """All lines of all journals."""
    return [line for path in out.glob("runs/*/attempts/*/events.jsonl") for line in path.open()]


def living_workers(out: Path) -> list[int]:
    """Process ids of the attempts whose process lives."""
    found = []
    for path in out.glob("runs/*/attempts/*/worker.json"):
        text = path.read_text()  # empty for a moment
        if text and alive(json.loads(text)["pid"]):
            found.append(json.loads(text)["pid"])
    return found


def kill_in_the_middle(out: Path) -> bool:
    """Kill a worker after an epoch and before its result; False where none is there now.

    It is held first: whoever looks late would kill a worker whose run is done.
    """
    for path in out.glob("runs/*/attempts/*/worker.json"):
        text, events = path.read_text(), path.with_name("events.jsonl")
        if not text or not events.exists() or '"epoch"' not in events.read_text():
            continue
        pid = json.loads(text)["pid"]
        if not alive(pid):
            continue
        os.kill(pid, signal.SIGSTOP)
        # The attempt's own result counts even where the run does not have it yet.
        if not any((folder / "result.json").exists() for folder in (path.parent, path.parents[2])):
            os.kill(pid, signal.SIGKILL)
            return True
        os.kill(pid, signal.SIGCONT)
    return False


def alive(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_for(
    condition: Callable[[], Any], process: subprocess.Popen[str] | None = None, seconds: float = 120
) -> bool:
    """Wait until the condition holds, or the process has ended; returns whether it held."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9, and take its exit."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


@contextmanager
def mounted_disk(folder: Path, megabytes: float) -> Iterator[Path]:
    """A file system of its own in a new folder."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={int(1024 * megabytes)}k"]
    if subprocess.run(["mount", *options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
