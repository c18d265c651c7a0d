"""Execution paths of a step: plain torch (``eager``), C (``cpu``) and Triton (``triton``).

``batches`` sorts jobs by the fastest path that their tensors allow. The environment variable ``PATS_KERNEL``
forces one: ``eager``, which takes everything, or ``cpu`` or ``triton``, which then must be there and still
leave to ``eager`` what they cannot do.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import cast

import torch

from pats._errors import InputError
from pats.kernels import cpu, eager, triton
from pats.kernels.cpu import library
from pats.kernels.job import MatrixBatch, MatrixJob, Path, Piece, Rule, whole

__all__ = [
    "Info",
    "MatrixBatch",
    "MatrixJob",
    "Piece",
    "Rule",
    "batches",
    "choose_path",
    "forced",
    "info",
    "whole",
]

_PATHS = ("eager", "cpu", "triton")
_FORCED = "the environment variable PATS_KERNEL asks for eager"


@dataclass(frozen=True)
class Info:
    """Which path runs.

    Args:
        path: ``"cpu"`` (in C), ``"triton"`` or ``"eager"`` (plain torch).
        isa: Instruction set of the C path: ``"avx512"``, ``"avx2"`` or ``"baseline"``; None without it.
        threads: Threads that torch lends.
        why: Why it is the plain path; None where a kernel runs.
    """

    path: str
    isa: str | None
    threads: int
    why: str | None = None

    def __str__(self) -> str:
        of = f" ({self.isa})" if self.isa else ""
        return f"{self.path}{of}, {self.threads} thread{'s' if self.threads != 1 else ''}"


def info(device: str = "cpu") -> Info:
    """Path, instruction set and threads in use for float32 parameters on a device.

    Args:
        device: Type of the device: ``"cpu"``, ``"cuda"``, ...

    Raises:
        InputError: ``PATS_KERNEL`` asks for a path that does not exist, or is not there.
    """
    wanted, threads = forced(), torch.get_num_threads()
    path = _kernel_for(device, wanted)
    why = _FORCED if wanted == "eager" else path.missing(device, torch.float32)
    if why:
        return Info("eager", None, threads, why)
    if path is triton or library.LIBRARY is None:
        return Info("triton", None, threads)
    return Info("cpu", library.LIBRARY.pats_isa_name().decode(), threads)


def forced() -> str | None:
    """What ``PATS_KERNEL`` asks for.

    Raises:
        InputError: It asks for a path that does not exist, or is not there.
    """
    wanted = os.environ.get("PATS_KERNEL")
    if not wanted:
        return None
    if wanted not in _PATHS:
        raise InputError(
            f"the environment variable PATS_KERNEL is {wanted!r}, but must be one of: {', '.join(_PATHS)}"
        )
    if wanted == "cpu" and library.LIBRARY is None:
        raise InputError(
            "the environment variable PATS_KERNEL asks for cpu, but the C kernel has not been built: install "
            "a C compiler and reinstall pats-finetune, or unset it"
        )
    if wanted == "triton" and triton.kernels() is None:
        raise InputError(
            "the environment variable PATS_KERNEL asks for triton, but Triton is not installed: it comes "
            "with torch's CUDA builds; install it, or unset the variable"
        )
    return wanted


def _path_of(job: MatrixJob, wanted: str | None) -> tuple[ModuleType, str | None]:
    """The path of a job, and why it is the plain one."""
    if wanted == "eager":
        return eager, _FORCED
    path = _kernel_for(job.theta.device.type, wanted)
    why = path.refusal(job)
    return (eager, why) if why else (path, None)


def _kernel_for(device: str, wanted: str | None) -> ModuleType:
    """The kernel that is asked first for parameters on a type of device."""
    return triton if wanted == "triton" or (wanted is None and device == "cuda") else cpu


def choose_path(job: MatrixJob, wanted: str | None) -> str | None:
    """Why no path but the plain one can do a job; None where one can, which then is the job's.

    Args:
        job: The job.
        wanted: What ``forced`` answers.
    """
    path, why = _path_of(job, wanted)
    job.path = cast(Path, path)
    return why


def batches(jobs: Iterable[MatrixJob]) -> list[MatrixBatch]:
    """The jobs, by path and device; each batch keeps their order."""
    found: dict[tuple[int, torch.device], MatrixBatch] = {}
    wanted = forced()
    for job in jobs:
        path = job.path or cast(Path, _path_of(job, wanted)[0])
        batch = found.setdefault((id(path), job.theta.device), MatrixBatch(path))
        batch.jobs.append(job)
    return [*found.values()]
