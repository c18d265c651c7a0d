"""What an execution path is given: ``MatrixJob``, one a parameter, in one ``MatrixBatch`` a path and device.

A step of PATS is ``measure`` (Eq. 1-3), the base optimizer's update, ``perturb`` (Eq. 4-5). Where the path
does the update itself (``MatrixJob.rule`` is set), ``perturb`` does both in one pass, and ``step`` measures
and updates one matrix after another, so that the second pass finds the matrix in cache.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Protocol

import torch
from torch import Tensor

from pats._budget import ROW, fade, share, sizes, spent
from pats._noise import Noise
from pats.kernels.update import Rule


@dataclass(frozen=True)
class Piece:
    """Which elements of the whole matrix some local elements are.

    Local element ``offset + i`` (row-major, ``0 <= i < count``) has the global row-major index
    ``start + (i // run) * stride + i % run``.

    Args:
        offset: First local element.
        count: Number of elements.
        start: Global index of the first.
        run: Length of a run of consecutive global indices.
        stride: Distance of the starts of two runs.
    """

    offset: int
    count: int
    start: int
    run: int
    stride: int


@lru_cache(maxsize=4096)
def whole(numel: int) -> tuple[Piece, ...]:
    """The pieces of a matrix that is not sharded."""
    return (Piece(0, numel, 0, max(numel, 1), max(numel, 1)),)


@dataclass(slots=True)
class MatrixJob:
    """One parameter of one step, or the shard of it that this process holds.

    Args:
        theta: θ, local, changed in place.
        grad: ∇L, local.
        name: Canonical name of the parameter, which selects its stream.
        numel: N, entries of the whole matrix.
        pieces: Where the local entries are in it.
        noise: Settings of PATS; None updates without noise.
        average: s̄, local, contiguous, changed in place; None where it is not measured.
        budget: The matrix's row of ``pats._budget``, float64 on its device, changed in place; None where
            the noise is not ``accounted``.
        maximize: ∇L is negated.
        seed: Seed of the stream.
        step: This step's number, 1-based; a one-element tensor on a device is read there.
        lr: This step's learning rate; a one-element tensor on a device is read there.
        rule: The base update, where the path does it.
        beta: β of Eq. 2, where a job is measured and there are no settings of PATS to say it.
        last: The row of ``pats._last`` of noise that does not stay in θ, changed in place; None where there
            is none to take back and none of this step's is to be drawn once more.
    """

    theta: Tensor
    grad: Tensor
    name: str
    numel: int
    pieces: tuple[Piece, ...]
    noise: Noise | None
    average: Tensor | None
    budget: Tensor | None = None
    maximize: bool = False
    seed: int = 0
    step: int | Tensor = 1
    lr: float | Tensor = 0.0
    rule: Rule | None = None
    beta: float | None = None
    last: Tensor | None = None

    @property
    def averaging(self) -> tuple[float, bool] | None:
        """How Eq. 1 and 2 are read: β, and whether s_j keeps its sign; None where nothing is measured."""
        if self.average is None:
            return None
        if self.noise is not None:
            return self.noise.beta, self.noise.signed
        return None if self.beta is None else (self.beta, False)


def unfit(job: MatrixJob, takes: str) -> str | None:
    """Why a kernel cannot do a job, whatever the device and the parameter's dtype; None where it can.

    Args:
        job: The job.
        takes: How the sentence begins, such as "the C kernel takes".
    """
    theta, grad, rule = job.theta, job.grad, job.rule
    if grad.dtype != theta.dtype or grad.device != theta.device:
        return f"the gradient of {job.name!r} is {grad.dtype}, its parameter {theta.dtype}"
    if theta.layout is not torch.strided or grad.layout is not torch.strided:
        return f"{takes} dense tensors"
    average = job.average
    if average is not None:
        if average.dtype != torch.float32 or average.device != theta.device:
            return f"{takes} a float32 sensitivity on the parameter's device"
        if average.layout is not torch.strided or not average.is_contiguous():
            return f"{takes} a contiguous sensitivity"
    if rule is None:
        return None
    if rule.second.dtype != rule.first.dtype:
        return f"{takes} moments of one dtype"
    for moment in (rule.first, rule.second):
        if moment.dtype not in (torch.float32, theta.dtype) or moment.device != theta.device:
            return f"{takes} moments in float32 or the parameter's dtype, on its device"
        if moment.layout is not torch.strided:
            return f"{takes} dense moments"
    return None


traits = attrgetter("device", "layout", "dtype")  # of a tensor: what a path looks at, besides shapes


def refuse_misfits(
    jobs: Iterable[MatrixJob], refusal: Callable[[MatrixJob], str | None] | None = None
) -> None:
    """Refuse jobs whose tensors do not fit each other: a kernel is given addresses, and goes by θ's size.

    Args:
        jobs: Everything that a path is about to do; nothing has been changed yet.
        refusal: Why a kernel cannot do a job; None for plain torch, which takes any dtype.

    Raises:
        RuntimeError: A tensor has another shape than its parameter, lies where the kernel cannot read it, or
            its memory has been freed.
    """
    taken: set[tuple[object, ...]] = set()
    for job in jobs:
        if not _fits(job, taken):
            _refuse(job, refusal)
            taken.add(traits(job.theta))


def _fits(job: MatrixJob, taken: Collection[tuple[object, ...]]) -> bool:
    """Whether there is nothing uncommon about a job: that is quicker to see than what it is."""
    theta, grad, average, pieces, rule = job.theta, job.grad, job.average, job.pieces, job.rule
    shape, kind = theta.shape, traits(theta)
    if kind not in taken or grad.shape != shape or traits(grad) != kind:
        return False
    if not pieces or pieces[-1].offset + pieces[-1].count != theta.numel():
        return False
    tensors = [theta, grad]
    if job.budget is not None:
        if job.budget.shape != (len(ROW),) or job.budget.dtype != torch.float64:
            return False
        if job.budget.device != theta.device or not job.budget.is_contiguous():
            return False
        tensors.append(job.budget)
    if average is not None:
        if average.shape != shape or average.dtype != torch.float32 or average.device != theta.device:
            return False
        if not average.is_contiguous():
            return False
        tensors.append(average)
    if rule is not None:
        first, second = rule.first, rule.second
        if first.shape != shape or second.shape != shape or traits(second) != traits(first):
            return False
        if first.dtype not in (torch.float32, theta.dtype) or first.device != theta.device:
            return False
        tensors += first, second
    return all(map(has_memory, tensors))


def capturing(device: torch.device) -> bool:
    """Whether what is done on a device now goes into a CUDA graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def has_memory(tensor: Tensor) -> bool:
    """Whether its storage is as large as it says: wrappers free a storage by resizing it."""
    held = tensor.untyped_storage().nbytes()
    return held >= tensor.nbytes or (held > 0 and not tensor.is_contiguous())  # an expanded one holds less


def _refuse(job: MatrixJob, refusal: Callable[[MatrixJob], str | None] | None) -> None:
    """Say what does not fit; plain torch takes several dtypes in one job."""
    theta, rule, name = job.theta, job.rule, job.name or "a parameter"
    tensors = {"gradient": job.grad, "sensitivity": job.average}
    if rule is not None:
        tensors |= {"first moment": rule.first, "second moment": rule.second}
    for what, tensor in tensors.items():
        if tensor is not None and tensor.shape != theta.shape:
            raise RuntimeError(
                f"the {what} of {name!r} has shape {tuple(tensor.shape)}, but its parameter "
                f"{tuple(theta.shape)}: where a parameter is replaced, clear its gradient and its state"
            )
    if job.budget is not None:
        fine = traits(job.budget) == (theta.device, torch.strided, torch.float64)
        if not fine or job.budget.shape != (len(ROW),) or not job.budget.is_contiguous():
            raise RuntimeError(f"the budget of {name!r} must be {len(ROW)} numbers in float64 beside it")
    why = None if refusal is None else refusal(job)
    if why is not None:
        raise RuntimeError(f"{name!r} cannot be stepped: {why}")
    for what, tensor in {"parameter": theta, "budget": job.budget, **tensors}.items():
        if tensor is not None and not has_memory(tensor):
            raise RuntimeError(f"the memory of the {what} of {name!r} has been freed: step before it is")
    if sum(piece.count for piece in job.pieces) != theta.numel():
        raise RuntimeError(
            f"{name!r} has {theta.numel()} entries here, but {sum(piece.count for piece in job.pieces)} were "
            "expected: its shape has changed within the step"
        )


SUMS = ("sum", "nonfinite", "variance")
TALLY = ("gated", "zero", "square", "sigma_max", "update_square", "observed")


class Path(Protocol):
    """An execution path: a module with these functions. Rows of tensors follow the jobs."""

    def measure(self, jobs: Sequence[MatrixJob], grad_scale: float) -> Tensor:
        """Eq. 1-3: updates s̄ and returns a row of ``SUMS`` for every job, float64, on the jobs' device.

        The gradient is divided by ``grad_scale``. An entry whose s_j is not finite keeps its s̄_j and is
        counted; the sum is over the local entries, as is that of f̂_j where a budget sizes the noise.
        """

    def perturb(self, jobs: Sequence[MatrixJob], sums: Tensor) -> Tensor:
        """Eq. 4-5, after the base update where a job has a rule; returns a row of ``TALLY`` for every job.

        A matrix with a non-finite sensitivity gets no noise. ``sums`` are those of the whole matrices. The
        rows of budgets are brought up to this step.
        """

    def step(self, jobs: Sequence[MatrixJob]) -> tuple[Tensor, Tensor]:
        """``measure`` and ``perturb`` of jobs with a rule, none of them sharded."""


@dataclass(frozen=True)
class MatrixBatch:
    """Jobs that one path does together.

    Args:
        path: Execution path.
        jobs: The jobs, at least one, on one device.
    """

    path: Path
    jobs: Sequence[MatrixJob]

    def measure(self, grad_scale: float = 1.0) -> Tensor:
        """First half of a step: ``SUMS`` of this process's entries."""
        return self.path.measure(self.jobs, grad_scale)

    def perturb(self, sums: Tensor) -> Tensor:
        """Second half of a step, from ``SUMS`` of the whole matrices: ``TALLY`` of this process's entries."""
        return self.path.perturb(self.jobs, sums)

    def step(self) -> tuple[Tensor, Tensor]:
        """Both halves, with the base update between them: ``SUMS`` and ``TALLY``."""
        return self.path.step(self.jobs)


def write_back(jobs: Iterable[MatrixJob], copies: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Count the changes of pass 2 for autograd, and carry them to tensors that were worked on in copies.

    Args:
        jobs: Jobs whose θ, m, and u or v have been changed through their addresses.
        copies: Pairs of a tensor and its contiguous copy.
    """
    # No graph saves a moment, and to count the changes of hundreds of them takes a while.
    torch.autograd.graph.increment_version([job.theta for job in jobs])
    for original, copy in copies:
        original.copy_(copy)


def given_of(noise: Noise, lr: float, step: int) -> tuple[float, float, float]:
    """What an account is given at a step: B, the part of B² or of what is left of it, and the heat."""
    if noise.scale == "budget":
        part = share if noise.keep == "walk" else fade
        return noise.size, part(noise.last, step), 0.0
    return 0.0, 0.0, noise.heat(lr, step)


def sizes_of(jobs: Sequence[MatrixJob], sums: Tensor) -> list[tuple[float, float]]:
    """λ_t of every job and the largest σ it allows, on the host; rows of budgets are brought to this step.

    Args:
        jobs: The jobs, all in one dtype of s̄; those without noise have 0.
        sums: A row of ``SUMS`` for each, of the whole matrices.
    """
    sizes_by_job, owners, rows, settings = [], [], [], []
    for index, job in enumerate(jobs):
        noise = job.noise
        lam = 0.0
        if noise is not None and job.budget is None:
            lam = noise.lam_t(float(job.lr), int(job.step))
        sizes_by_job.append((lam, math.inf if noise is None else noise.ceiling(lam)))
        if noise is not None and job.budget is not None:
            owners.append(index)
            rows.append(job.budget)
            stays, of_step = noise.keep == "walk", given_of(noise, float(job.lr), int(job.step))
            settings.append((job.numel, noise.p, noise.intensity == "std", noise.most, stays, *of_step))
    if not owners:
        return sizes_by_job
    average = jobs[owners[0]].average
    assert average is not None
    columns = torch.tensor(settings, dtype=torch.float64).to(sums.device).unbind(1)
    numel, p, is_std, most, walks, budget, now, heat = columns
    new = spent(torch.stack(rows), sums[owners], numel, p, budget, now, walks, heat, average.dtype)
    torch._foreach_copy_(rows, [*new.unbind()])
    for index, lam, ceiling in zip(
        owners, *(column.tolist() for column in sizes(new, p, is_std, most)), strict=True
    ):
        sizes_by_job[index] = lam, ceiling
    return sizes_by_job
