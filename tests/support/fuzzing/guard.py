"""What a process does beside its work, seen by Python's audit hook: writes, calls, code from outside.

The hook sees every file that Python opens, also in libraries. What compiled code writes by itself is found by
a comparison of the folders before and after.
"""

import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
    "os.symlink",
    "os.rename",
    "os.link",
}
ABROAD = {
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class"),
}
LOOPBACK = ("127.0.0.1", "::1")
NOWHERE = ("/dev/", "/proc/")

_watching: list["Seen"] = []
_hooked: list[bool] = []


class Hung(BaseException):
    """An input was not done with by its deadline; no ``except Exception`` catches it."""


class Seen:
    """What was done while it was watched.

    Args:
        allowed: Folders that may be written to.
        known: Events that the door is known to need.
    """

    def __init__(self, allowed: Collection[Path], known: Collection[str]) -> None:
        self.allowed = tuple(os.path.realpath(path) for path in allowed)
        self.known = frozenset(known)
        self.faults: list[str] = []

    def told(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge one event."""
        if event == "socket.bind" and arguments[1][0] in LOOPBACK:
            return
        if event in ABROAD and event not in self.known:
            self.faults.append(f"{event}{arguments[:2]!r}")
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES:
                self._written(event, path)
        elif event in CHANGES:
            paths = arguments[:2] if event == "os.rename" else arguments[:1]
            if event in ("os.symlink", "os.link"):
                paths = arguments[1:2]
            where = arguments[-1] if event != "os.truncate" else -1
            for path in paths:
                self._written(event, path, where)

    def _written(self, event: str, path: object, folder: object = -1) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file that is open already
        named = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(named):
            named = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), named)
        parent, name = os.path.split(os.path.abspath(named))
        real = os.path.join(os.path.realpath(parent), name)
        if not real.startswith(NOWHERE) and not any(
            real == one or real.startswith(one + os.sep) for one in self.allowed
        ):
            self.faults.append(f"{event} {real}")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and (event == "open" or event in CHANGES or event in ABROAD):
        seen = _watching.pop()  # what the judgement itself does is not judged
        try:
            seen.told(event, arguments)
        finally:
            _watching.append(seen)


@contextmanager
def watched(allowed: Collection[Path], known: Collection[str] = ()) -> Iterator[Seen]:
    """Watch this process."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    seen = Seen(allowed, known)
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)
        sys.dont_write_bytecode = bytecode


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise ``Hung`` within what takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again, in case a destructor swallowed the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tree(folder: Path, but: Collection[Path] = ()) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder, those below some others excepted."""
    found = {}
    skip = {os.fspath(path) for path in but}
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(where, name) not in skip]
        for name in (*folders, *files):
            path = os.path.join(where, name)
            if path not in skip:
                stat = os.lstat(path)
                found[path] = (stat.st_size, stat.st_mtime_ns) if name in files else (0, 0)
    return found
