"""Execution paths of the two passes over a parameter: measure, then perturb.

Pass 1 reads θ, g and s̄, writes s̄ and returns its mean, which must be known before the noise; pass 2 adds
the noise after the base optimizer's update. ``pats.kernels.eager`` is the path in plain torch, on any device
and dtype, ``pats.kernels.cpu`` the one in C. The environment variable ``PATS_KERNEL`` forces one of them:
``eager``, or ``cpu``, which then must be there.
"""

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from pats._errors import InputError
from pats._noise import Noise
from pats.kernels import cpu, eager
from pats.kernels.eager import Added, Measured

__all__ = ["Added", "Info", "Measured", "info", "measure_", "perturb_"]

_PATHS = ("eager", "cpu")


@dataclass(frozen=True)
class Info:
    """Which path runs on CPU tensors.

    Args:
        path: ``"cpu"`` (in C) or ``"eager"`` (plain torch).
        isa: Instruction set of the C path: ``"avx512"``, ``"avx2"`` or ``"baseline"``; None without it.
        threads: Threads that torch lends.
    """

    path: str
    isa: str | None
    threads: int

    def __str__(self) -> str:
        of = f" ({self.isa})" if self.isa else ""
        return f"{self.path}{of}, {self.threads} thread{'s' if self.threads != 1 else ''}"


def info() -> Info:
    """Path, instruction set and threads in use for parameters on a CPU.

    Raises:
        InputError: ``PATS_KERNEL`` asks for a path that does not exist, or has not been built.
    """
    if not _use_cpu():
        return Info("eager", None, torch.get_num_threads())
    assert cpu.LIBRARY is not None
    return Info("cpu", cpu.LIBRARY.pats_isa_name().decode(), torch.get_num_threads())


def _use_cpu() -> bool:
    forced = os.environ.get("PATS_KERNEL")
    if not forced:
        return cpu.LIBRARY is not None
    if forced not in _PATHS:
        raise InputError(
            f"the environment variable PATS_KERNEL is {forced!r}, but must be one of: {', '.join(_PATHS)}"
        )
    if forced == "cpu" and cpu.LIBRARY is None:
        raise InputError(
            "the environment variable PATS_KERNEL asks for cpu, but the C kernel has not been built: install "
            "a C compiler and reinstall pats-finetune, or unset it"
        )
    return forced == "cpu"


def measure_(
    average: Tensor,
    theta: Tensor,
    grad: Tensor,
    noise: Noise,
    maximize: bool = False,
    grad_scale: float = 1.0,
) -> Measured:
    """Pass 1: Eq. 1-3 on the fastest path that the tensors allow; see ``pats.kernels.eager.measure_``."""
    fast = average.dtype == torch.float32 and cpu.takes(theta, grad) and _use_cpu()
    path = cpu.measure_ if fast else eager.measure_
    return path(average, theta, grad, noise, maximize, grad_scale)


def perturb_(
    theta: Tensor,
    average: Tensor,
    mean: float,
    noise: Noise,
    *,
    name: str,
    step: int,
    lr: float,
) -> Added:
    """Pass 2: Eq. 4 and 5 on the fastest path that the tensors allow; see ``pats.kernels.eager.perturb_``."""
    fast = average.dtype == torch.float32 and cpu.takes(theta) and _use_cpu()
    path = cpu.perturb_ if fast else eager.perturb_
    return path(theta, average, mean, noise, name=name, step=step, lr=lr)
