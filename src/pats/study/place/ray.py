"""Ray as the engine: every run is a task of a Ray cluster.

Ray gives no promise that a cut-off task is ever reported, so its tasks are never waited for, and it
retries nothing: both are the coordinator's work.
"""

import atexit
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pats._errors import InputError
from pats._imports import try_import
from pats.study.place import process, resources
from pats.study.place.protocol import Flag, Handle, NamedPlacer, State

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_LONGEST = 103 - len(
    "/session_2026-01-31_12-00-00_123456_1234567/sockets/plasma_store"
)  # of a folder with sockets


class RayPlacer(NamedPlacer):
    """As many runs at a time as the cluster has places for, while nodes come and go.

    Every node needs the same version of PATS, and sees the study's folder under the same path.

    Args:
        address: ``HOST:PORT`` of a running cluster's head; None takes the cluster of ``RAY_ADDRESS``, or
            starts Ray on this machine, where it listens to nobody else.
        workers: Runs at a time at most; None is as many as there are places.
        cpus: Cores a run, which are its threads; None is one a process.
        gpus: GPUs a run, all on one node: a whole number, a share such as 0.5, or 0.
        processes: Processes a run, which share its batches; None is one a GPU.
        command: What runs an attempt.

    Raises:
        InputError: Ray is not installed, there is no cluster at ``address``, it has no place for a
            single run, or a number is out of its range.
    """

    name = "ray"
    flags: ClassVar = {
        "address": Flag("--ray-address", "HOST:PORT", "head of a Ray cluster (default: this machine)")
    }

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        cpus: int | None = None,
        gpus: float | None = None,
        processes: int | None = None,
        command: Sequence[str] = process.WORKER,
    ) -> None:
        resources.check_resources(workers, cpus, gpus, processes)
        self.processes = resources.ranks_of(gpus, processes)
        cpus = cpus or self.processes
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = try_import("ray", "ray")
        self._needs = {"CPU": float(cpus), "GPU": float(gpus or 0)}
        self._most = workers
        self._command = process.shared(command, self.processes)
        self._environment = process.threads(max(1, cpus // self.processes))
        self._connect(address)
        # Ray retries nothing: it would report a second delivery as the end of the first one.
        self._task = self._ray.remote(process.attend).options(
            num_cpus=cpus, num_gpus=gpus or 0, max_retries=0
        )
        self._running: dict[Handle, Any] = {}
        if self._places() < 1:
            has = self._ray.cluster_resources()
            needed = f"{cpus} cores" + (f" and {gpus:g} GPUs" if gpus else "")
            raise InputError(
                f"a run needs {needed}, but no part of the Ray cluster has them (in all: "
                f"{has.get('CPU', 0):g} cores, {has.get('GPU', 0):g} GPUs): ask for less, or add nodes"
            )

    def _connect(self, address: str | None) -> None:
        if self._ray.is_initialized():
            return
        if address and not _answers(address):  # Ray itself would ask for many minutes
            raise _no_cluster(address, "nothing answers there")
        try:
            if address or "RAY_ADDRESS" in os.environ:
                self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                folder = _short_folder()
                if folder is not None:
                    atexit.register(self._leave, folder)
                with _loopback():
                    self._ray.init(
                        address="local",  # else it joins whatever runs on this machine
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        _temp_dir=folder,
                    )
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            if address and "RAY_AUTH_MODE" not in os.environ:  # Ray shows its token to no address unasked
                reason += "; where the cluster asks for a token, set RAY_AUTH_MODE=token"
            raise _no_cluster(address or "this machine", reason) from None

    def _leave(self, folder: str) -> None:
        self._ray.shutdown()  # which writes there to the last
        shutil.rmtree(folder, ignore_errors=True)

    def submit(self, attempt: Path) -> Handle:
        """Start a task; Ray chooses the node."""
        handle = str(attempt)
        self._running[handle] = self._task.remote(str(attempt.resolve()), self._command, self._environment)
        return handle

    def poll(self, handles: Collection[Handle]) -> dict[Handle, State]:
        """Tasks that ended are reported once; those of another process are unknown."""
        running = {handle: self._running[handle] for handle in handles if handle in self._running}
        if not running:
            return {}
        tasks = list(running.values())
        ready = set(self._ray.wait(tasks, num_returns=len(tasks), timeout=0)[0])
        states: dict[Handle, State] = {}
        for handle, task in running.items():
            states[handle] = self._end(handle, task) if task in ready else "running"
            if task in ready:
                del self._running[handle]
        return states

    def _end(self, handle: Handle, task: Any) -> State:
        errors = self._ray.exceptions
        try:
            return process.state(self._ray.get(task, timeout=10))
        except errors.TaskCancelledError:
            return "lost"
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            process.complain(Path(handle), f"{type(cause).__name__}: {cause}")
            return "failed"
        except errors.RayError:
            return "unseen"  # its worker or its node is gone, or seems to be

    def cancel(self, handle: Handle) -> None:
        """Kill the task's process, which takes the run's with it; what is out of reach is given up."""
        task = self._running.pop(handle, None)
        if task is None:
            return
        self._ray.cancel(task, force=True)
        self._ray.wait([task], timeout=5)

    def capacity(self) -> int:
        """Places of the cluster as it is now, less those taken."""
        places = self._places() if self._most is None else min(self._places(), self._most)
        return places - len(self._running)

    def _places(self) -> int:
        """How many runs fit on the nodes that live."""
        return sum(
            int(min(node["Resources"].get(name, 0) / need for name, need in self._needs.items() if need))
            for node in self._ray.nodes()
            if node["Alive"]
        )


@contextmanager
def _loopback() -> Iterator[None]:
    """Within, Ray starts for this machine alone, as it does by itself on Windows and macOS."""
    constants: Any = try_import("ray._private.ray_constants", "ray")
    before = os.environ.get(_SWITCH)
    enabled = constants.ENABLE_RAY_CLUSTER  # read from the switch when Ray was imported
    os.environ[_SWITCH], constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = enabled
        os.environ.pop(_SWITCH)
        if before is not None:
            os.environ[_SWITCH] = before


def _short_folder() -> str | None:
    """A folder of our own where the name of Ray's is too long for a socket; None takes Ray's."""
    root = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(os.fsencode(root)) + len("/ray") <= _LONGEST:
        return None
    try:
        return tempfile.mkdtemp(prefix="pats-ray-", dir="/tmp")
    except OSError as error:
        raise InputError(
            f"Ray cannot put its sockets under {root}, whose name is too long, nor in /tmp "
            f"({error.strerror}): set RAY_TMPDIR to a folder of at most {_LONGEST - 4} characters"
        ) from None


def _answers(address: str) -> bool:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError):
        return False
    return True


def _no_cluster(address: str, reason: str) -> InputError:
    return InputError(
        f"there is no Ray cluster at {address} ({reason}): start one with 'ray start --head', and name its "
        "address with --ray-address HOST:PORT"
    )
