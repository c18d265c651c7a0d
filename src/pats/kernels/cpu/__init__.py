"""The execution path in C, on torch's own threads: float32 and bfloat16 parameters on a CPU.

Matrices are processed one after another, the threads splitting each. Every instruction set and every number
of threads gives the same bits. Tensors that are not contiguous are worked on in contiguous copies.
"""

import ctypes
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pats._noise import Noise, eps_of, mean_of
from pats.kernels.cpu import library
from pats.kernels.cpu.library import MEASURE, PACKED, UPDATE, Matrix
from pats.kernels.job import SUMS, TALLY, MatrixJob, given_of, refuse_misfits, sizes_of, unfit, write_back
from pats.kernels.update import Base
from pats.philox import PATS, key, threshold

DTYPES = {torch.float32: 0, torch.bfloat16: 1}

# The library's fields of the noise and of the base update, where there is none.
_SILENT: tuple[float, ...] = (0,) * 14
_PLAIN: tuple[float, ...] = (0,) * 8


def refusal(job: MatrixJob) -> str | None:
    """Why this path cannot do a job; None where it can."""
    return missing(job.theta.device.type, job.theta.dtype) or unfit(job, "the C kernel takes")


def missing(device: str, dtype: torch.dtype) -> str | None:
    """Why this path takes no parameter of a type of device and a dtype; None where it does."""
    if library.LIBRARY is None:
        return "the C kernel has not been built: install a C compiler and reinstall pats-finetune"
    if device != "cpu" or dtype not in DTYPES:
        return f"the C kernel takes float32 and bfloat16 on a CPU, not {dtype} on {device}"
    return None


def measure(jobs: Sequence[MatrixJob], grad_scale: float) -> Tensor:
    """Pass 1: see ``pats.kernels.job.Path``."""
    work = _Work(jobs, grad_scale)
    work.run(MEASURE)
    work.count_averages()
    return work.sums()


def perturb(jobs: Sequence[MatrixJob], sums: Tensor) -> Tensor:
    """Pass 2: see ``pats.kernels.job.Path``; the draw and the sum are float32, σ is float64."""
    work = _Work(jobs)
    means = mean_of(sums[:, 0], [job.numel for job in jobs], torch.float32).tolist()
    sizes = sizes_of(jobs, sums)
    for matrix, owner in zip(work.matrices, work.owners, strict=True):
        matrix.mean, matrix.nonfinite = means[owner], float(sums[owner, 1])
        matrix.lam, matrix.ceiling = sizes[owner]
    work.run(UPDATE)
    work.write_back()
    return work.tally()


def step(jobs: Sequence[MatrixJob]) -> tuple[Tensor, Tensor]:
    """Both passes of a matrix, then the next: see ``pats.kernels.job.Path``."""
    work = _Work(jobs)
    work.run(MEASURE | UPDATE)
    work.count_averages()
    work.write_back()
    return work.sums(), work.tally()


class _Work:
    """The jobs as the library's records, a record for every piece."""

    def __init__(self, jobs: Sequence[MatrixJob], grad_scale: float = 1.0) -> None:
        refuse_misfits(jobs, refusal)
        self._jobs = jobs
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._held: list[Tensor] = []  # alive until the library has run
        self._known: dict[tuple[int, int, float, int], tuple[float, ...]] = {}  # fields of the noise
        self.owners = [index for index, job in enumerate(jobs) for _ in job.pieces]
        self.matrices = (Matrix * len(self.owners))()
        at, size = 0, ctypes.sizeof(Matrix)
        for job in jobs:
            for record in self._records(job, grad_scale):
                PACKED.pack_into(self.matrices, at, *record)
                at += size

    def run(self, passes: int) -> None:
        library.run(self.matrices, passes)

    def count_averages(self) -> None:
        """Count the changes of pass 1 for autograd."""
        averages = [job.average for job in self._jobs if job.average is not None]
        torch.autograd.graph.increment_version(averages)

    def write_back(self) -> None:
        write_back(self._jobs, self._copies)

    def sums(self) -> Tensor:
        return self._totals(SUMS)

    def tally(self) -> Tensor:
        return self._totals(TALLY)

    def _totals(self, names: Sequence[str]) -> Tensor:
        if self.owners and self.owners == [*range(len(self._jobs))]:
            return library.results(self.matrices, names)
        zeros = torch.zeros(len(self._jobs), len(names), dtype=torch.float64)
        if not self.owners:
            return zeros
        rows = library.results(self.matrices, names)
        # Pieces of one matrix are added up; the largest σ is that of any of them.
        owner = torch.tensor(self.owners).unsqueeze(1).expand_as(rows)
        added = zeros.scatter_add(0, owner, rows)
        if names is TALLY:
            largest = TALLY.index("sigma_max")
            added[:, largest] = zeros.scatter_reduce(0, owner, rows, "amax")[:, largest]
        return added

    def _dense(self, tensor: Tensor, changed: bool = True) -> int:
        dense = tensor if tensor.is_contiguous() else tensor.contiguous()
        if dense is not tensor:
            self._held.append(dense)
            if changed:
                self._copies.append((tensor, dense))
        return dense.data_ptr()

    def _records(self, job: MatrixJob, grad_scale: float) -> Iterator[tuple[float, ...]]:
        """The library's fields of every piece of a job, in its order."""
        lr, count, rule = float(job.lr), int(job.step), job.rule
        tensors = [self._dense(job.theta), self._dense(job.grad, changed=False), 0, 0, 0]
        budget = 0 if job.budget is None else job.budget.data_ptr()
        noise, base, state_dtype = _SILENT, _PLAIN, 0
        if job.noise is not None and job.average is not None:
            tensors[2] = job.average.data_ptr()
            of = id(job.noise), job.numel, lr, count  # asking for the hash of the settings takes longer
            known = self._known.get(of)
            noise = known or self._known.setdefault(of, _noise_fields(job.noise, job.numel, lr, count))
        elif job.beta is not None and job.average is not None:  # measured alone
            tensors[2] = job.average.data_ptr()
            noise = (0, 0, 0, job.beta, *_SILENT[4:])
        if rule is not None:
            tensors[3:] = self._dense(rule.first), self._dense(rule.second)
            state_dtype = DTYPES[rule.first.dtype]
            base = _rule_fields(
                rule.base, rule.stochastic_rounding, rule.betas, rule.eps, rule.weight_decay, lr, count
            )
        factor = (-1.0 if job.maximize else 1.0) / grad_scale
        stream = (*key(job.seed, job.name), count & 0xFFFFFFFF, PATS)
        rest = (*stream, DTYPES[job.theta.dtype], state_dtype, factor, *noise, *base)
        for piece in job.pieces:
            here = _moved(tensors, job, piece.offset) if piece.offset else tensors
            yield *here, budget, job.numel, piece.count, piece.run, piece.stride, piece.start, *rest


def _moved(addresses: Sequence[int], job: MatrixJob, offset: int) -> list[int]:
    """The addresses of a job's tensors, so many elements on."""
    first = None if job.rule is None else job.rule.first
    tensors = (job.theta, job.grad, job.average, first, first)
    return [
        address + offset * tensor.element_size() if address and tensor is not None else address
        for address, tensor in zip(addresses, tensors, strict=True)
    ]


def _noise_fields(noise: Noise, numel: int, lr: float, step: int) -> tuple[float, ...]:
    """What all matrices of a size share at a step."""
    lam = 0.0 if noise.accounted else noise.lam_t(lr, step)
    budget, part, heat = given_of(noise, lr, step)
    return (
        threshold(noise.p),
        noise.signed,
        noise.intensity == "std",
        noise.beta,
        noise.gamma,
        lam,
        noise.ceiling(lam),
        noise.p,
        budget**2,
        part,
        heat,
        noise.most,
        *eps_of(noise, numel),
    )


@lru_cache(maxsize=256)
def _rule_fields(
    base: Base, rounding: bool, betas: tuple[float, float], eps: float, decay: float, lr: float, step: int
) -> tuple[float, ...]:
    """What all matrices of a group share at a step."""
    return (
        base.code,
        rounding,
        *betas,
        eps,
        lr * decay if base.decoupled else decay,
        lr / (1 - betas[0] ** step),
        base.correction(betas[1], step),
    )
