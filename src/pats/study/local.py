"""The local engine: every run is a process of this machine, threads and GPUs divided among them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from pats._errors import InputError
from pats.study.engine import Handle, State

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalEngine:
    """Up to ``workers`` processes at a time.

    Args:
        workers: Processes at a time; None is one a GPU, else two on up to eight cores, else one for
            every four cores. Each gets its share of the cores as threads, and GPUs in turn.

    Raises:
        InputError: ``workers`` is not a whole number from 1.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and not (isinstance(workers, int) and workers >= 1):
            raise InputError(f"workers is {workers!r}, but must be a whole number from 1")
        self._gpus = gpus()
        self.workers = workers or len(self._gpus) or fitting(cores())
        self.threads = max(1, cores() // self.workers)
        self._running: dict[Handle, tuple[int, subprocess.Popen[bytes]]] = {}

    def submit(self, attempt: Path) -> Handle:
        """Start a process in a session of its own, so that Ctrl-C reaches the caller alone."""
        taken = {slot for slot, _ in self._running.values()}
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        with (attempt / "stdout.log").open("ab") as out, (attempt / "stderr.log").open("ab") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "pats.study.worker", str(attempt), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self._environment(slot),
                start_new_session=True,
            )
        self._running[str(attempt)] = (slot, process)
        return str(attempt)

    def _environment(self, slot: int) -> dict[str, str]:
        # A number that the user has set holds for every process.
        threads = {name: os.environ.get(name, str(self.threads)) for name in _THREADS}
        extra = {"CUDA_VISIBLE_DEVICES": self._gpus[slot % len(self._gpus)]} if self._gpus else {}
        return {**os.environ, "TOKENIZERS_PARALLELISM": "false", **threads, **extra}

    def poll(self) -> list[tuple[Handle, State]]:
        """Processes that ended are told once, and their place is free."""
        states: list[tuple[Handle, State]] = []
        for handle, (_, process) in list(self._running.items()):
            code = process.poll()
            if code is not None:
                del self._running[handle]
            states.append((handle, _state(code)))
        return states

    def cancel(self, handle: Handle) -> None:
        """SIGTERM, and SIGKILL five seconds later."""
        _, process = self._running.pop(handle, (0, None))
        if process is None:
            return
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def capacity(self) -> int:
        """Places that are free."""
        return self.workers - len(self._running)


def _state(code: int | None) -> State:
    if code is None:
        return "running"
    if code < 0 or code in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
        return "lost"
    return "done" if code == 0 else "failed"


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fitting(number: int) -> int:
    """Workers for this many cores: small models gain little from more than four threads."""
    return min(number, 2) if number <= 8 else number // 4


def gpus() -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES of the GPUs that this process sees."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    return names[:count]
