"""The files of one attempt: whose it is, what its engine calls it, and how it ended.

spec.json      the run, and the coordinator that made the attempt
stop           the coordinator asks the process to stop after its step, to be continued later
handle.json    what the engine calls it, for a coordinator that comes later
worker.json    the process that works on it; made once, touched as a sign of life
ended          the attempt is over, and why; a worker that sees it leaves
error.json     why its run failed
events.jsonl, stdout.log, stderr.log, result.json, checkpoint/, model/
"""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pats.run.folder.files import CHECKPOINT, EVENTS, MODEL, PROGRESS, SEAL
from pats.run.spec import Run
from pats.study.store import lease
from pats.study.store.files import link_tree, read_json, write

WORKER, ENDED, STOP = "worker.json", "ended", "stop"


def read_spec(attempt: Path) -> dict[str, Any]:
    """``spec.json`` of an attempt, see ``write_spec``; empty where it was never written."""
    return read_json(attempt / "spec.json")


def write_spec(attempt: Path, run: Run, report_to: Sequence[str] = ()) -> None:
    """Write ``spec.json``: the run, leased to this process until a worker occupies it, and its trackers."""
    content = {"run": run.to_dict(), "lease": lease.mine(), "report_to": list(report_to)}
    write(attempt / "spec.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_handle(attempt: Path, handle: str) -> None:
    """Write down what the engine calls an attempt."""
    write(attempt / "handle.json", json.dumps({"handle": handle}) + "\n")


def read_handle(attempt: Path) -> str | None:
    """What the engine calls an attempt that is not over; None where nobody wrote it down, or it is over."""
    handle = read_json(attempt / "handle.json").get("handle")
    return None if handle is None or ended(attempt) is not None else str(handle)


def occupy(attempt: Path) -> bool:
    """Make an attempt this process's own, for good; False where another one has been there."""
    try:
        file = os.open(attempt / WORKER, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except (FileExistsError, FileNotFoundError):
        return False
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(lease.mine()) + "\n")
    return True


def end(attempt: Path, why: str) -> None:
    """Give an attempt up: anyone may go on with its run, and its process, if it lives, leaves."""
    if ended(attempt) is not None:
        return
    try:
        write(attempt / ENDED, why + "\n")
    except OSError:  # a full disk; what says whose it is can still be deleted
        for name in ("spec.json", WORKER):
            (attempt / name).unlink(missing_ok=True)


def ended(attempt: Path) -> str | None:
    """Why an attempt is over; None where it is not."""
    try:
        return (attempt / ENDED).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def ask_to_stop(attempt: Path) -> None:
    """Ask an attempt's process to stop after the step that it is at."""
    with suppress(OSError):  # a full disk: the process is ended by its engine, a little later
        (attempt / STOP).touch()


def asked_to_stop(attempt: Path) -> bool:
    """Whether an attempt's process was asked to stop."""
    return (attempt / STOP).exists()


def sign(attempt: Path) -> float | None:
    """When an attempt's process last gave a sign of life, by the file system's clock; None for never."""
    return lease.touched(attempt / WORKER, attempt / EVENTS)


def write_error(attempt: Path, message: str) -> None:
    """Write down why an attempt failed, for who looks at the store alone."""
    write(attempt / "error.json", json.dumps({"error": message}, ensure_ascii=False) + "\n")


def read_error(attempt: Path) -> str | None:
    """Why an attempt failed; None where it did not, or nobody knows."""
    error = read_json(attempt / "error.json").get("error")
    return None if error is None else str(error)


def continue_from(old: Path, new: Path) -> bool:
    """Give a new attempt hard links to an old one's checkpoints; False where there is nothing whole.

    Its process may still write there. ``progress.json`` names folders that were whole when it was
    written, so it is read first, they follow, and it comes last. The checkpoint before, which has a seal,
    comes along unless that process is deleting it.
    """
    try:
        progress = (old / CHECKPOINT / PROGRESS).read_bytes()
        (new / CHECKPOINT).mkdir()
        for source in (old / CHECKPOINT).iterdir():
            if (source.is_dir() and source.name.encode() in progress) or source.name.startswith("best-"):
                link_tree(source, new / CHECKPOINT / source.name)
            elif (source / SEAL).exists():
                with suppress(FileNotFoundError, shutil.Error):
                    link_tree(source, new / CHECKPOINT / source.name)
        if (old / MODEL).is_dir():
            link_tree(old / MODEL, new / MODEL)
        (new / CHECKPOINT / PROGRESS).write_bytes(progress)
    except (FileNotFoundError, shutil.Error):
        shutil.rmtree(new / CHECKPOINT, ignore_errors=True)
        shutil.rmtree(new / MODEL, ignore_errors=True)
        return False
    return True
