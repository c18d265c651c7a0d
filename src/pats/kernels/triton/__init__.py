"""The execution path in Triton: float32, bfloat16 and float16 parameters on a CUDA device.

A plan (``plan.py``) keeps tables of all matrices on the device, so that a step sends one small buffer and
launches a handful of kernels, whatever the number of matrices: measure, size, update and tally, and where the
optimizer updates in between, the totals of the measure by themselves. Measure and update are one launch for
all matrices of one dtype (of θ and of its state), one more for those without noise and one for those whose
sizes or addresses are no multiples of 16. Matrices that are not contiguous are worked on in copies, and their
tables are made at every step.

The host never waits for the device: sums, means, the tally and what torch's AMP has found stay on it, so that
a step can be captured in a CUDA graph (``capturable=True``). Triton's interpreter (``TRITON_INTERPRET=1``)
runs the same kernels on a CPU, slowly.

An earlier form of this path, which made its tables at every step, was measured on a GPU; what this one's host
part takes is in ``benchmarks/host.py``, and its time on a GPU is not yet measured.
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from pats.kernels.job import MatrixBatch, MatrixJob, refuse_misfits, unfit, write_back
from pats.kernels.triton import plan
from pats.kernels.triton.moving import Head, Words
from pats.kernels.triton.plan import Plan, Plans

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_signed = plan.signed


@lru_cache
def kernels() -> ModuleType | None:
    """The kernels; None without Triton, which comes with torch's CUDA builds and takes a while to import."""
    try:
        return importlib.import_module("pats.kernels.triton.kernel")
    except ImportError:
        return None


def refusal(job: MatrixJob) -> str | None:
    """Why this path cannot do a job; None where it can."""
    return missing(job.theta.device.type, job.theta.dtype) or unfit(job, "the Triton kernels take")


def missing(device: str, dtype: torch.dtype) -> str | None:
    """Why this path takes no parameter of a type of device and a dtype; None where it does."""
    wanted = "cpu" if INTERPRETED else "cuda"
    if device != wanted or dtype not in DTYPES:
        return f"the Triton kernels take float32, bfloat16 and float16 on {wanted}, not {dtype} on {device}"
    return None if kernels() else "Triton is not installed"


def measure(jobs: Sequence[MatrixJob], grad_scale: float) -> Tensor:
    """Pass 1: see ``pats.kernels.job.Path``."""
    return DeviceBatch(_PATH, jobs).measure(grad_scale)


def perturb(jobs: Sequence[MatrixJob], sums: Tensor) -> Tensor:
    """Pass 2: see ``pats.kernels.job.Path``."""
    return DeviceBatch(_PATH, jobs).perturb(sums)


def step(jobs: Sequence[MatrixJob]) -> tuple[Tensor, Tensor]:
    """Both passes: see ``pats.kernels.job.Path``."""
    return DeviceBatch(_PATH, jobs).step()


@dataclass(frozen=True)
class DeviceBatch(MatrixBatch):
    """A batch of this path, with the plans of its optimizer, whose numbers may all stay on the device.

    Args:
        plans: The plans; those of this batch alone where none are given.
    """

    plans: Plans = field(default_factory=Plans)

    @property
    def observes(self) -> bool:
        """Whether the base updates between ``measure`` and ``perturb`` are observed, and in the tally."""
        return all(job.theta.is_contiguous() for job in self.jobs)

    def measure(self, grad_scale: float | Tensor = 1.0, found_inf: Tensor | None = None) -> Tensor:
        """First half of a step.

        Args:
            grad_scale: The gradients are divided by it.
            found_inf: Where it is not zero, nothing is changed.
        """
        work = _Work(self.jobs, self.plans, base=False)
        work.send(grad_scale, found_inf)
        sums = work.plan.measure(total=True)
        return sums

    def perturb(self, sums: Tensor, found_inf: Tensor | None = None, counts: Tensor | None = None) -> Tensor:
        """Second half of a step.

        Args:
            sums: ``SUMS`` of the whole matrices.
            found_inf: Where it is not zero, there is no noise, and nothing is counted.
            counts: Skipped steps and Σ q² of the jobs with noise, which come first; this step is added.
        """
        work = _Work(self.jobs, self.plans)
        work.send(1.0, found_inf)
        tally = work.plan.update(sums.contiguous(), counts)
        write_back(self.jobs, work.copies)
        return tally

    def step(self, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both halves; see ``perturb`` for ``counts``."""
        work = _Work(self.jobs, self.plans)
        work.send(1.0, None)
        sums = work.plan.measure(total=False)
        tally = work.plan.update(None, counts)
        write_back(self.jobs, work.copies)
        return sums, tally


class _Work:
    """The plan of some jobs, and what has to be alive until its launches have been given away.

    Args:
        jobs: The jobs.
        plans: Where their plan is looked up.
        base: Whether the base updates are done, too.
    """

    def __init__(self, jobs: Sequence[MatrixJob], plans: Plans, base: bool = True) -> None:
        refuse_misfits(jobs, refusal)  # all of them, before the first is changed
        self.copies: list[tuple[Tensor, Tensor]] = []
        self._held: list[Tensor] = []
        self._jobs, self._device = jobs, jobs[0].theta.device
        addresses = [self._addresses(job) for job in jobs]
        self._grads = [held[1][0] for held in addresses]
        module = kernels()
        assert module is not None
        rows = plan.rows_of(jobs, addresses, self._device)
        self.plan: Plan = plans.of(rows, module, kept=not self.copies)

    def send(self, grad_scale: float | Tensor, found_inf: Tensor | None) -> None:
        lrs = [plan.word(job.lr, self._device) for job in self._jobs]
        steps = [plan.word(job.step, self._device) for job in self._jobs]
        words = Words(len(self._jobs))
        words.begin(head_of(grad_scale, found_inf, self._held))
        words.grads.copy_(torch.tensor(self._grads, dtype=torch.int64))
        widths = [lr_at + 16 * step_at for (_, lr_at), (_, step_at) in zip(lrs, steps, strict=True)]
        for place, column in (
            (words.lrs, [lr for lr, _ in lrs]),
            (words.steps, [step for step, _ in steps]),
            (words.widths, widths),
        ):
            place.copy_(torch.tensor(column, dtype=torch.float64))
        self.plan.send(words)

    def _addresses(self, job: MatrixJob) -> list[tuple[int, int]]:
        """Address and bytes an element of θ, ∇L, s̄, m and u or v."""
        rule = job.rule
        moments = (None, None) if rule is None else (rule.first, rule.second)
        addresses = []
        for tensor in (job.theta, job.grad, job.average, *moments):
            if tensor is None:
                addresses.append((0, 0))
                continue
            dense = tensor if tensor.is_contiguous() else tensor.contiguous()
            if dense is not tensor:
                self._held.append(dense)
                if tensor is not job.grad:
                    self.copies.append((tensor, dense))
            addresses.append((dense.data_ptr(), dense.element_size()))
        return addresses


def head_of(grad_scale: float | Tensor, found_inf: Tensor | None, held: list[Tensor]) -> Head:
    """What torch's AMP has left, as a step sends it; ``held`` takes what must live until the launches."""
    found = 0
    if found_inf is not None:
        held.append(found_inf.to(torch.float32))
        found = held[-1].data_ptr()
    if not isinstance(grad_scale, Tensor):
        return Head(found, 0, grad_scale)
    held.append(grad_scale.to(torch.float32))
    return Head(found, held[-1].data_ptr())


_PATH = cast(Any, importlib.import_module(__name__))
