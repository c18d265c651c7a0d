"""The process of an attempt, started and judged the same by every engine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pats.study.place.protocol import State

WORKER = (sys.executable, "-m", "pats.study.place.worker")
LAUNCH = (sys.executable, "-m", "pats.study.place.launch")
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_ENDED = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)  # from outside: what they end is made again
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Process(Protocol):
    """What the engines ask of a process: ``subprocess.Popen`` is one."""

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    def terminate(self) -> None:
        """SIGTERM."""

    def kill(self) -> None:
        """SIGKILL."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, or raise ``subprocess.TimeoutExpired``."""


def launch(
    attempt: Path, command: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start an attempt's process in a session of its own, so that Ctrl-C reaches the caller alone.

    It ends with the calling process. Its output is appended to ``stdout.log`` and ``stderr.log``.
    """
    with (attempt / "stdout.log").open("ab") as out, (attempt / "stderr.log").open("ab") as err:
        return subprocess.Popen(
            [*command, str(attempt), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=surroundings(environment),
            start_new_session=True,
        )


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of an attempt's process."""
    return {**os.environ, "TOKENIZERS_PARALLELISM": "false", **environment}


def redirect(attempt: Path) -> None:
    """Have this process read nothing, and append its output to the attempt's logs."""
    logs = (Path(os.devnull), "rb"), (attempt / "stdout.log", "ab"), (attempt / "stderr.log", "ab")
    for number, (path, mode) in enumerate(logs):
        with path.open(mode) as file:
            os.dup2(file.fileno(), number)


def shared(command: Sequence[str], processes: int) -> tuple[str, ...]:
    """What runs an attempt on several processes, from what runs it on one."""
    return tuple(command) if processes == 1 else (*LAUNCH, str(processes), *command, "--")


def attend(attempt: str, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run an attempt to its end, on whatever node this is called; returns its exit code.

    Raises:
        FileNotFoundError: This node does not see the attempt's folder.
    """
    process = launch(Path(attempt), command, environment)
    while process.poll() is None:  # not wait(), which would not let an engine interrupt it
        time.sleep(0.1)
    return int(process.returncode)


def end(process: Process) -> None:
    """SIGTERM, and SIGKILL five seconds later."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def complain(attempt: Path | None, message: str) -> None:
    """Put into an attempt's log why its process could not even be started."""
    if attempt is not None:
        with (attempt / "stderr.log").open("a", encoding="utf-8") as log:
            log.write(f"{message} (does its node see this folder?)\n")


def state(code: int | None) -> State:
    """What an exit code means; None is a process that still runs."""
    if code is None:
        return "running"
    if code < 0 or code in [128 + number for number in _ENDED]:
        return "lost"
    return "done" if code == 0 else "failed"


def threads(number: int) -> dict[str, str]:
    """Environment that gives a process this many threads; a number that the user has set holds."""
    return {name: os.environ.get(name, str(number)) for name in _THREADS}
