"""Execution paths of a step: plain torch (``eager``), C (``cpu``) and Triton (``triton``).

``batches`` sorts jobs by the fastest path that their tensors allow. The environment variable ``PATS_KERNEL``
forces one: ``eager``, which takes everything, or ``cpu`` or ``triton``, which then must be there and still
leave to ``eager`` what they cannot do.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple, cast

import torch

from pats._errors import InputError
from pats.kernels import cpu, eager, triton
from pats.kernels.cpu import library
from pats.kernels.job import MatrixBatch, MatrixJob, Path, Piece, whole
from pats.kernels.triton import DeviceBatch
from pats.kernels.triton.plan import Plans
from pats.kernels.update import ADAMAX, ADAMW, Base, Rule

__all__ = [
    "ADAMAX",
    "ADAMW",
    "Base",
    "Choice",
    "DeviceBatch",
    "Info",
    "MatrixBatch",
    "MatrixJob",
    "Members",
    "Path",
    "Piece",
    "Plans",
    "Rule",
    "batched",
    "batches",
    "choose_path",
    "forced",
    "grouped",
    "info",
    "whole",
]

_PATHS = ("eager", "cpu", "triton")
_EAGER = cast(Path, eager)
_MEASURED = (
    "the time of this path on a GPU has not been measured since it was rewritten; what it took before is in "
    "docs/performance.md"
)
_DRAWN_AGAIN = "noise that does not stay in the weights (keep) is drawn once more in plain torch"
_FORCED = "the environment variable PATS_KERNEL asks for eager"


@dataclass(frozen=True)
class Info:
    """Which path runs.

    Args:
        path: ``"cpu"`` (in C), ``"triton"`` or ``"eager"`` (plain torch).
        isa: Instruction set of the C path: ``"avx512"``, ``"avx2"`` or ``"baseline"``; None without it.
        threads: Threads that torch lends.
        why: Why it is the plain path; None where a kernel runs.
        card: The GPU that it runs on; None on any other device.
    """

    path: str
    isa: str | None
    threads: int
    why: str | None = None
    card: str | None = None

    @property
    def measured(self) -> str | None:
        """What is known of the path's time where it is not what runs now, in a sentence; else None."""
        return _MEASURED if self.path == "triton" and self.card else None

    def __str__(self) -> str:
        of = f" ({self.isa or self.card})" if self.isa or self.card else ""
        return f"{self.path}{of}, {self.threads} thread{'s' if self.threads != 1 else ''}"


def info(device: str = "cpu", keep: str = "walk") -> Info:
    """Path, instruction set and threads in use for float32 parameters on a device.

    Args:
        device: Type of the device: ``"cpu"``, ``"cuda"``, ...
        keep: How long the noise stays, as in ``Noise``.

    Raises:
        InputError: ``PATS_KERNEL`` asks for a path that does not exist, or is not there.
    """
    wanted, threads = forced(), torch.get_num_threads()
    card = torch.cuda.get_device_name(0) if device == "cuda" and torch.cuda.is_available() else None
    path = _kernel_for(device, wanted)
    why = _FORCED if wanted == "eager" else path.missing(device, torch.float32)
    if not why and keep != "walk":
        why = _DRAWN_AGAIN
    if why:
        return Info("eager", None, threads, why, card)
    if path is triton or library.LIBRARY is None:
        return Info("triton", None, threads, card=card)
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


class Choice(NamedTuple):
    """An answer of ``choose_path``.

    Args:
        path: The fastest path that a job's tensors allow.
        why: Why that is plain torch; None where it is a kernel.
    """

    path: Path
    why: str | None


def choose_path(job: MatrixJob, wanted: str | None) -> Choice:
    """Which path does a job. It is a question: the job stays as it is.

    Args:
        job: The job; its base update is not looked at.
        wanted: What ``forced`` answers.
    """
    if wanted == "eager":
        return Choice(_EAGER, _FORCED)
    if job.last is not None:
        return Choice(_EAGER, _DRAWN_AGAIN)
    kernel = _kernel_for(job.theta.device.type, wanted)
    why = kernel.refusal(job)
    return Choice(_EAGER, why) if why else Choice(cast(Path, kernel), None)


def _kernel_for(device: str, wanted: str | None) -> ModuleType:
    """The kernel that is asked first for parameters on a type of device."""
    return triton if wanted == "triton" or (wanted is None and device == "cuda") else cpu


def batches(jobs: Sequence[MatrixJob], plans: Plans | None = None) -> list[MatrixBatch]:
    """The jobs by path and device, each batch in their order; see ``batched`` for ``plans``."""
    wanted = forced()
    return batched(jobs, grouped([(choose_path(job, wanted).path, job.theta.device) for job in jobs]), plans)


Members = tuple[Path, tuple[int, ...]]


def grouped(choices: Iterable[tuple[Path, torch.device]]) -> tuple[Members, ...]:
    """Which jobs, by their position, one path does together on one device."""
    members: dict[tuple[int, torch.device], tuple[Path, list[int]]] = {}
    for position, (path, device) in enumerate(choices):
        members.setdefault((id(path), device), (path, []))[1].append(position)
    return tuple((path, tuple(positions)) for path, positions in members.values())


def batched(
    jobs: Sequence[MatrixJob], members: Iterable[Members], plans: Plans | None = None
) -> list[MatrixBatch]:
    """The batches of the members that ``grouped`` returns.

    Args:
        jobs: All jobs.
        members: Which of them one path does together.
        plans: What the Triton kernels keep from step to step; None keeps nothing.
    """
    found: list[MatrixBatch] = []
    for path, positions in members:
        chosen = [jobs[position] for position in positions]
        on_device = path is cast(Path, triton)
        found.append(DeviceBatch(path, chosen, plans or Plans()) if on_device else MatrixBatch(path, chosen))
    return found
