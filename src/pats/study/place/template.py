"""A process that has imported what a run needs, and forks a worker for every attempt.

The imports take some seconds of a core, which every run of a comparison would pay; so they are paid once.
A worker is as separate from the others as one that was started alone: it has a process, a session and logs of
its own, and the template computes nothing, so that no thread of a computation and no used generator is there
to inherit.

``python -m pats.study.place.template CALLER`` reads orders from stdin and writes what became of them to
stdout, a line each. It ends within half a second of its caller, and its workers within a second of it. Where
it cannot be used, as where an import fails or a process is one too many, a worker is started alone.
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
from contextlib import suppress
from pathlib import Path

from pats.study.place import process

CAN_FORK = sys.platform == "linux"  # elsewhere a library may not survive a fork
READY, REFUSED = "ready", "refused"
LOOK, IDLE = 0.05, 0.5  # seconds between two looks: at workers that run, at the caller
_TEMPLATE = (sys.executable, "-m", "pats.study.place.template")
_LOST = -signal.SIGKILL


# -------------------------------------------------------------------------- in the caller


class Template:
    """The caller's side: it starts workers, and knows how they ended.

    Args:
        environment: Of every worker, beside the caller's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._made_for = _circumstances(environment)
        self._process = subprocess.Popen(
            [*_TEMPLATE, str(os.getpid())],
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
        self._refused: set[int] = set()  # workers that never began
        self._withdrawn = False
        self._finalizer = weakref.finalize(self, _end, self._process)

    @property
    def broken(self) -> bool:
        """Whether it could not start a worker, and another one could not, either."""
        self._listen()
        return bool(self._refused) and not self._withdrawn

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a worker of this template would be as one that is started here and now."""
        alive = self._process.poll() is None and not self._withdrawn
        return alive and self._made_for == _circumstances(environment)

    def start(self, attempt: Path) -> "Forked":
        """Order a worker; it starts as soon as the template has made its imports."""
        self._codes.append(None)
        number = len(self._codes) - 1
        self._order(number, attempt=str(attempt))
        return Forked(self, number, attempt, self._environment)

    def code(self, number: int) -> int | None:
        """The exit code of a worker, negative for a signal; None while it runs, or where it was refused."""
        self._listen()
        return self._codes[number]

    def refused(self, number: int) -> bool:
        """Whether a worker never began."""
        return number in self._refused

    def send(self, number: int, what: signal.Signals) -> None:
        """Send a signal to a worker; before the first one can run, the template itself ends."""
        if self.code(number) is not None:
            return
        if self._ready:
            self._order(number, signal=int(what))
        else:
            self._withdrawn, self._codes[number] = True, _LOST
            self._process.kill()

    def close(self) -> None:
        """End the template, and with it the workers that still run."""
        self._finalizer()
        self._codes = [_LOST if code is None else code for code in self._codes]

    def _order(self, number: int, **what: object) -> None:
        with suppress(BrokenPipeError):  # what has ended is heard of
            self._orders.write(json.dumps({"worker": number, **what}).encode() + b"\n")

    def _listen(self) -> None:
        """Take in what the template says. Where it has ended, its workers have, too."""
        while not self._replies.closed:
            heard = self._replies.read(65536)
            if heard is None:  # nothing yet
                return
            if not heard:
                open_ones = [number for number, code in enumerate(self._codes) if code is None]
                if self._ready:
                    self._codes = [_LOST if code is None else code for code in self._codes]
                else:
                    self._refused.update(open_ones)
                return
            *lines, self._rest = (self._rest + heard).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace").split())

    def _take(self, words: list[str]) -> None:
        """Take a line in; what an import printed is none of the template's."""
        if words == [READY]:
            self._ready = True
        elif len(words) == 2 and words[0].isdigit() and int(words[0]) < len(self._codes):
            number = int(words[0])
            if words[1] == REFUSED:
                self._refused.add(number)
            elif self._codes[number] is None:
                self._codes[number] = int(words[1])


class Forked:
    """A worker of a template, handled as a ``subprocess.Popen``. One that is refused is started alone.

    Args:
        template: What starts it.
        number: Which one it is.
        attempt: What it does.
        environment: Beside the caller's own.
    """

    def __init__(
        self, template: Template, number: int, attempt: Path, environment: Mapping[str, str]
    ) -> None:
        self._template, self._number = template, number
        self._attempt, self._environment = attempt, environment
        self._alone: process.Process | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self._alone is not None:
            return self._alone.poll()
        code = self._template.code(self._number)
        if code is None and self._template.refused(self._number):
            self._alone = process.launch(self._attempt, process.WORKER, self._environment)
        return code

    def terminate(self) -> None:
        """SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

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

    def _send(self, what: signal.Signals) -> None:
        if self._alone is None:
            self._template.send(self._number, what)
        elif what == signal.SIGKILL:
            self._alone.kill()
        else:
            self._alone.terminate()


def _end(template: "subprocess.Popen[bytes]") -> None:
    process.end(template)
    for pipe in (template.stdin, template.stdout):
        if pipe is not None:
            pipe.close()


def _circumstances(environment: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
    return process.surroundings(environment), os.getcwd()


# ------------------------------------------------------------------------ in the template


def serve(orders: int, replies: int, caller: int) -> Path | None:
    """Carry orders out until the caller is gone. In a worker, it returns the attempt to do.

    Args:
        orders: Descriptor to read from.
        replies: Descriptor to write to.
        caller: Process id of the caller, whose end a child of its own may hide.
    """
    workers: dict[int, int] = {}  # process ids by number
    rest = b""

    def reply(number: int, what: object) -> None:
        os.write(replies, f"{number} {what}\n".encode())

    while os.getppid() == caller:
        if select.select([orders], [], [], LOOK if workers else IDLE)[0]:
            heard = os.read(orders, 65536)
            if not heard:
                return None
            *lines, rest = (rest + heard).split(b"\n")
            for order in map(json.loads, lines):
                number = order["worker"]
                if "attempt" in order:
                    try:
                        pid = os.fork()
                    except OSError:  # memory, or processes, are at their limit
                        reply(number, REFUSED)
                        continue
                    if pid == 0:
                        return Path(order["attempt"])
                    workers[number] = pid
                elif number in workers:  # not waited for yet, so its id is still its own
                    os.kill(workers[number], order["signal"])
                else:
                    reply(number, _LOST)
        for number, pid in [*workers.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del workers[number]
                reply(number, os.waitstatus_to_exitcode(status))
    return None


def main(caller: int) -> int:
    """Import, serve, and in a worker do its attempt."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide how workers end
    orders, replies = os.dup(0), os.dup(1)
    with open(os.devnull) as nothing:  # what an import reads or prints is no order and no reply
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    importlib.import_module("pats.run.session")
    from pats.study.place import worker

    template = os.getpid()
    os.write(replies, f"{READY}\n".encode())
    attempt = serve(orders, replies, caller)
    if attempt is None:
        os._exit(0)  # at once: workers wait for it, and what was imported takes a second to take leave
    os.close(orders)
    os.close(replies)
    os.setsid()
    process.redirect(attempt)
    return worker.main(attempt, template)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
