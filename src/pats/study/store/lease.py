"""Who works on something in the store, and whether it still lives."""

import os
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pats._imports import try_import
from pats.run.folder.events import HEARTBEAT

LOST_AFTER = 90.0  # seconds without a sign of life; a worker gives one every 15 s
AHEAD = 5.0  # seconds by which a sign of life may be later than now: more, and a clock was put back


def mine() -> dict[str, Any]:
    """This process, so that ``holds`` knows it again: host, pid, and when it started."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


def started(pid: int) -> str | None:
    """When a process of this host started, in clock ticks; None where there is none, or no /proc.

    A pid alone is not enough: after a crash it may belong to another process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name in brackets may hold blanks and brackets itself.
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]


def here(lease: Mapping[str, Any]) -> bool:
    """Whether a lease's holder is, or was, a process of this host."""
    return isinstance(lease.get("pid"), int) and lease.get("host") == socket.gethostname()


def lives(lease: Mapping[str, Any]) -> bool:
    """Whether the holder of a lease of this host still runs; False for another host's."""
    if not here(lease):
        return False
    pid: int = lease["pid"]
    if Path("/proc/self/stat").exists():
        return started(pid) is not None and started(pid) == lease.get("started")
    # Not os.kill(pid, 0), which on Windows sends the process a Ctrl-C.
    return bool(try_import("psutil", "run").pid_exists(pid))


def holds(lease: Mapping[str, Any], sign: float | None, now: float) -> bool:
    """Whether the holder of a lease is still at work.

    On this host its process decides; for another host, whether its last sign of life is younger than
    90 s. A lease without a pid is nobody's.

    Args:
        lease: What ``mine`` gave the holder.
        sign: When its files were last touched, by the clock of the file system; None for never.
        now: The time by the same clock, see ``clock``; hosts whose clocks differ then agree.
    """
    if not isinstance(lease.get("pid"), int):
        return False
    if here(lease):
        return lives(lease)
    return sign is not None and now - sign < LOST_AFTER


def at_work(lease: Mapping[str, Any], mark: Path) -> bool:
    """``holds``, for a mark that its holder touches again and again, whatever clocks do.

    A sign of life in the future, after a clock was put back, would hold until that time comes. So whether
    another one comes within two heartbeats decides.
    """
    sign, now = touched(mark), clock(mark.parent)
    if here(lease) or sign is None or sign <= now + AHEAD:
        return holds(lease, sign, now)
    time.sleep(2 * HEARTBEAT)
    return touched(mark) != sign


def clock(folder: Path) -> float:
    """The time by the clock that stamps the files of a folder.

    On a shared file system that is the server's. This host's own clock where the folder cannot be
    written to.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def touched(*paths: Path) -> float | None:
    """When the youngest of some files was last written; None where none exists."""
    times = []
    for path in paths:
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times, default=None)
