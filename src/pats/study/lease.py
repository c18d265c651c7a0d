"""Who works on an attempt, and whether it still lives: never two processes on the same attempt."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOST_AFTER = 90.0  # seconds without an event; a run writes a heartbeat every 15 s


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


def holds(lease: Mapping[str, Any], events: Path) -> bool:
    """Whether the holder of a lease is still at work.

    On this host its process decides; for another host, whether its events are younger than 90 s.
    A lease without a pid is nobody's.
    """
    pid = lease.get("pid")
    if not isinstance(pid, int):
        return False
    if lease.get("host") != socket.gethostname():
        try:
            return time.time() - events.stat().st_mtime < LOST_AFTER
        except FileNotFoundError:
            return False
    if Path("/proc/self/stat").exists():
        return started(pid) is not None and started(pid) == lease.get("started")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, and is somebody else's
    return True
