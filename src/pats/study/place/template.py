"""A process that has imported what a run needs, and forks a worker for every attempt.

The imports take some seconds of a core, which every run of a comparison would pay; so they are paid once.
A worker is as separate from the others as one that was started alone: it has a process, a session and logs of
its own, and the template computes nothing, so that a worker inherits no threads and no used generator.

``python -m pats.study.place.template`` reads orders from stdin and writes what became of them to stdout, a
line each. It ends with its caller, and its workers within a second of it.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from pathlib import Path

from pats.study.place import process

CAN_FORK = sys.platform == "linux"  # elsewhere a library may not survive a fork
READY = b"ready"
LOOK = 0.05  # seconds between two looks at workers that run
_TEMPLATE = (sys.executable, "-m", "pats.study.place.template")
_LOST = -signal.SIGKILL


class Template:
    """The caller's side: it starts workers, and knows how they ended.

    Args:
        environment: Of every worker, beside the caller's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._made_for = _circumstances(environment)
        self._process = subprocess.Popen(
            _TEMPLATE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a worker has a log of its own
            env=process.surroundings(environment),
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._replies.fileno(), False)
        self._ready, self._rest = False, b""
        self._codes: list[int | None] = []  # by the number of the worker
        weakref.finalize(self, _end, self._process)

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a worker of this template would be as one that is started here and now."""
        return self._process.poll() is None and self._made_for == _circumstances(environment)

    @property
    def broken(self) -> bool:
        """Whether it ended with an error of its own, as an import that fails."""
        return (self._process.poll() or 0) > 0

    def start(self, attempt: Path) -> "Forked":
        """Order a worker; it starts as soon as the template has made its imports."""
        self._codes.append(None)
        number = len(self._codes) - 1
        self._order(number, attempt=str(attempt))
        return Forked(self, number)

    def code(self, number: int) -> int | None:
        """The exit code of a worker, negative for a signal; None while it runs."""
        self._listen()
        return self._codes[number]

    def send(self, number: int, what: signal.Signals) -> None:
        """Send a signal to a worker; as long as there can be none, the template itself ends."""
        if self.code(number) is not None:
            return
        if self._ready:
            self._order(number, signal=int(what))
        else:
            self._process.kill()

    def _order(self, number: int, **what: object) -> None:
        try:
            self._orders.write(json.dumps({"worker": number, **what}).encode() + b"\n")
        except BrokenPipeError:
            self._listen()

    def _listen(self) -> None:
        """Take in what the template says. Where it has ended, its workers have, too."""
        while not self._replies.closed:
            heard = self._replies.read(65536)
            if heard is None:  # nothing yet
                return
            if not heard:
                self._codes = [_LOST if code is None else code for code in self._codes]
                return
            *lines, self._rest = (self._rest + heard).split(b"\n")
            for line in lines:
                if line == READY:
                    self._ready = True
                else:
                    number, code = map(int, line.split())
                    self._codes[number] = code


class Forked:
    """A worker of a template, handled as a ``subprocess.Popen``.

    Args:
        template: What starts it.
        number: Which one it is.
    """

    def __init__(self, template: Template, number: int) -> None:
        self._template, self._number = template, number

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._template.code(self._number)

    def terminate(self) -> None:
        """SIGTERM."""
        self._template.send(self._number, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._template.send(self._number, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(_TEMPLATE, timeout)
            time.sleep(LOOK)
        return code


def _end(template: "subprocess.Popen[bytes]") -> None:
    process.end(template)
    for pipe in (template.stdin, template.stdout):
        if pipe is not None:
            pipe.close()


def _circumstances(environment: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    return process.surroundings(environment), os.getcwd()


# ------------------------------------------------------------------------ in the template


def serve() -> Path | None:
    """Carry orders out until the caller is gone. In a worker, it returns the attempt to do."""
    workers: dict[int, int] = {}  # process ids by number
    rest = b""
    while True:
        if select.select([sys.stdin], [], [], LOOK if workers else None)[0]:
            heard = os.read(0, 65536)
            if not heard:
                return None
            *lines, rest = (rest + heard).split(b"\n")
            for order in map(json.loads, lines):
                number = order["worker"]
                if "attempt" in order:
                    try:
                        pid = os.fork()
                    except OSError:  # the machine is full for now: it is made again
                        os.write(1, f"{number} {_LOST}\n".encode())
                        continue
                    if pid == 0:
                        return Path(order["attempt"])
                    workers[number] = pid
                elif number in workers:  # not waited for yet, so its id is still its own
                    os.kill(workers[number], order["signal"])
        for number, pid in [*workers.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del workers[number]
                os.write(1, f"{number} {os.waitstatus_to_exitcode(status)}\n".encode())


def main() -> int:
    """Import, serve, and in a worker do its attempt."""
    importlib.import_module("pats.run.session")
    from pats.study.place import worker

    template = os.getpid()
    os.write(1, READY + b"\n")
    attempt = serve()
    if attempt is None:
        return 0
    os.setsid()
    process.redirect(attempt)
    return worker.main(attempt, template)


if __name__ == "__main__":
    sys.exit(main())
