"""Slurm as the engine, through submitit: every run is a job.

Jobs outlive the process that submitted them. The store holds their ids, so that the same command
started again goes on with them.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pats._errors import InputError
from pats._imports import try_import
from pats.study.place import process, resources
from pats.study.place.protocol import Flag, Handle, NamedPlacer, State

ASK = 10.0  # seconds between two questions to Slurm, at least
JOBS = 64  # at a time, waiting ones included
MINUTES = 24 * 60

# Slurm's words for a job that is over without having reported how. After the others (NODE_FAIL, COMPLETED
# before its file is seen, what submitit says of a job that it does not know) the store decides.
_LOST = ("FAILED", "TIMEOUT", "CANCELLED", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")
_LOST_LOCALLY = ("INTERRUPTED", "FINISHED")
_RUNNING = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "SUSPENDED", "UNKNOWN")


class SlurmPlacer(NamedPlacer):
    """Up to ``workers`` jobs at a time, the waiting ones included.

    The study's folder must be on a file system that all nodes share. A job that Slurm ends (time
    limit, preemption, memory) is a lost attempt; the next one goes on from its checkpoint.

    Args:
        folder: Where submitit keeps its own files, such as ``OUT/slurm``.
        workers: Jobs at a time; None is 64.
        cpus: Cores a run, which are its threads; None is one a process.
        gpus: GPUs a run, all on one node: a whole number; None is none.
        processes: Processes a run, which share its batches; None is one a GPU.
        options: Parameters of submitit's executor, such as ``partition``, ``time`` (minutes; a day
            unless given) or ``account``; and ``cluster``: ``"slurm"``, or ``"local"`` for jobs that
            are processes of this machine, to try it out.
        command: What runs an attempt.

    Raises:
        InputError: submitit is not installed, this is no Slurm cluster, an option is unknown, or a
            number is out of its range.
    """

    name = "slurm"
    flags: ClassVar = {
        "options": Flag(
            "--slurm",
            "KEY=VALUE",
            "options of jobs, such as partition=gpu time=240 account=x, or cluster=local to try it out",
            pairs=True,
        )
    }

    def __init__(
        self,
        folder: Path,
        workers: int | None = None,
        cpus: int | None = None,
        gpus: float | None = None,
        processes: int | None = None,
        options: Mapping[str, Any] | None = None,
        command: Sequence[str] = process.WORKER,
    ) -> None:
        resources.check_resources(workers, cpus, gpus, processes)
        if gpus and gpus != int(gpus):
            raise InputError(f"gpus is {gpus!r}, but Slurm gives whole GPUs")
        submitit = try_import("submitit", "slurm")
        self.processes = resources.ranks_of(gpus, processes)
        cpus = cpus or self.processes
        self._workers, self._command = workers or JOBS, process.shared(command, self.processes)
        self._environment = process.threads(max(1, cpus // self.processes))
        options = dict(options or {})
        cluster = options.pop("cluster", "slurm")
        try:
            # A requeued job would find its attempt occupied; the coordinator repeats lost attempts.
            executor = submitit.AutoExecutor(
                folder, cluster=cluster, slurm_max_num_timeout=0, local_max_num_timeout=0
            )
            executor.update_parameters(
                name="pats",
                timeout_min=int(options.pop("time", MINUTES)),
                cpus_per_task=cpus,
                gpus_per_node=int(gpus or 0),
                slurm_additional_parameters={"no-requeue": True},
                **{f"slurm_{name}": value for name, value in options.items()},
            )
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"jobs cannot be submitted ({reason}): run this where sbatch is, with options that "
                "submitit knows"
            ) from None
        self._executor = executor
        self._job = executor._executor.job_class
        self._jobs: dict[Handle, Any] = {}
        self._attempts: dict[Handle, Path] = {}
        self._asked = -ASK

    @classmethod
    def create(cls, out: Path, **given: Any) -> Self:
        """With submitit's files in the study's folder."""
        return cls(out / "slurm", **given)

    def submit(self, attempt: Path) -> Handle:
        """Submit a job."""
        job = self._executor.submit(process.attend, str(attempt.resolve()), self._command, self._environment)
        handle = str(job.job_id)
        self._jobs[handle], self._attempts[handle] = job, attempt
        return handle

    def poll(self, handles: Collection[Handle]) -> dict[Handle, State]:
        """The state of jobs, also of those that an earlier process submitted."""
        for handle in handles:
            if handle not in self._jobs:
                self._jobs[handle] = self._job(self._executor.folder, handle)
        if time.monotonic() - self._asked > ASK and self._jobs:
            self._asked = time.monotonic()
            next(iter(self._jobs.values())).get_info(mode="force")  # one question for all jobs
        states = {handle: self._state(handle, self._jobs[handle]) for handle in handles}
        for handle, state in states.items():
            if state not in ("running", "unseen"):
                del self._jobs[handle]
        return states

    def _state(self, handle: Handle, job: Any) -> State:
        if job.paths.result_pickle.exists():
            outcome, value = job._get_outcome_and_result()
            if outcome == "success":
                return process.state(value)
            process.complain(self._attempts.get(handle), str(value).strip().splitlines()[-1])
            return "failed"
        info = job.get_info(mode="cache")
        words = str(info.get("State") or info.get("jobState") or "UNKNOWN").upper().split()
        if words[0] in _LOST or words[0] in _LOST_LOCALLY:
            return "lost"
        return "running" if words[0] in _RUNNING else "unseen"

    def cancel(self, handle: Handle) -> None:
        """``scancel``."""
        job = self._jobs.pop(handle, None)
        if job is not None:
            job.cancel(check=False)

    def capacity(self) -> int:
        """Jobs that may still be submitted."""
        return self._workers - len(self._jobs)
