"""The execution path in C, on torch's own threads: float32 and bfloat16 parameters on a CPU.

Matrices are processed one after another, the threads splitting each. Every instruction set and every number
of threads gives the same bits. Tensors that are not contiguous are worked on in contiguous copies.
"""

import ctypes
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pats.kernels.cpu import library
from pats.kernels.cpu.library import GIVEN, MEASURE, PACKED, UPDATE, Matrix
from pats.kernels.job import TALLY, Job, Piece, mean_of
from pats.philox import PATS, key, threshold

DTYPES = {torch.float32: 0, torch.bfloat16: 1}
RULES = {None: 0, "adamax": 1, "adamw": 2}

_NOTHING: dict[str, float | None] = dict.fromkeys(GIVEN, 0) | dict.fromkeys(
    [name for name, code in GIVEN.items() if code == "P"]
)


def refusal(job: Job) -> str | None:
    """Why this path cannot do a job; None where it can."""
    theta, rule = job.theta, job.rule
    if library.LIBRARY is None:
        return "the C kernel has not been built: install a C compiler and reinstall pats-finetune"
    if theta.device.type != "cpu" or theta.dtype not in DTYPES:
        return f"the C kernel takes float32 and bfloat16 on a CPU, not {theta.dtype} on {theta.device.type}"
    if job.grad.dtype != theta.dtype or job.grad.device != theta.device:
        return f"the gradient of {job.name!r} is {job.grad.dtype}, its parameter {theta.dtype}"
    if theta.layout is not torch.strided or job.grad.layout is not torch.strided:
        return "the C kernel takes dense tensors"
    if job.average is not None and job.average.dtype != torch.float32:
        return "the C kernel takes a float32 sensitivity"
    if rule is not None and not all(
        s.dtype in (torch.float32, theta.dtype) and s.device == theta.device
        for s in (rule.first, rule.second)
    ):
        return "the C kernel takes moments in float32 or the parameter's dtype"
    return None


def measure(jobs: Sequence[Job], grad_scale: float) -> Tensor:
    """Pass 1: see ``pats.kernels.job.Path``."""
    work = _Work(jobs, grad_scale)
    work.run(MEASURE)
    torch.autograd.graph.increment_version([job.average for job in jobs if job.average is not None])
    return work.sums()


def perturb(jobs: Sequence[Job], sums: Tensor) -> Tensor:
    """Pass 2: see ``pats.kernels.job.Path``; the draw and the sum are float32, σ is float64."""
    work = _Work(jobs)
    means = mean_of(sums, [job.numel for job in jobs], torch.float32).tolist()
    for matrix, owner in zip(work.matrices, work.owners, strict=True):
        matrix.mean, matrix.nonfinite = means[owner], int(sums[owner, 1])
    work.run(UPDATE)
    work.write_back()
    return work.tally()


def step(jobs: Sequence[Job]) -> tuple[Tensor, Tensor]:
    """Both passes of a matrix, then the next: see ``pats.kernels.job.Path``."""
    work = _Work(jobs)
    work.run(MEASURE | UPDATE)
    work.write_back()
    torch.autograd.graph.increment_version([job.average for job in jobs if job.average is not None])
    return work.sums(), work.tally()


class _Work:
    """The jobs as the library's records, a record for every piece."""

    def __init__(self, jobs: Sequence[Job], grad_scale: float = 1.0) -> None:
        self._jobs = jobs
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._held: list[Tensor] = []  # alive until the library has run
        self.owners = [index for index, job in enumerate(jobs) for _ in job.pieces]
        self.matrices = (Matrix * len(self.owners))()
        at, size = 0, ctypes.sizeof(Matrix)
        for job in jobs:
            fields = self._fields(job, grad_scale)
            for piece in job.pieces:
                PACKED.pack_into(self.matrices, at, *_placed(fields, job, piece))
                at += size

    def run(self, passes: int) -> None:
        library.run(self.matrices, passes)

    def write_back(self) -> None:
        """Count the changes for autograd, and carry them to tensors that were worked on in copies."""
        changed = []
        for job in self._jobs:
            changed.append(job.theta)
            if job.rule is not None:
                changed += [job.rule.first, job.rule.second]
        torch.autograd.graph.increment_version(changed)
        for original, copy in self._copies:
            original.copy_(copy)

    def sums(self) -> Tensor:
        return self._totals(("sum", "nonfinite"))

    def tally(self) -> Tensor:
        return self._totals(TALLY)

    def _totals(self, names: Sequence[str]) -> Tensor:
        rows = [[0.0] * len(names) for _ in self._jobs]
        for matrix, owner in zip(self.matrices, self.owners, strict=True):
            for i, name in enumerate(names):
                value, row = getattr(matrix, name), rows[owner]
                row[i] = max(row[i], value) if name == "sigma_max" else row[i] + value
        return torch.tensor(rows, dtype=torch.float64).view(len(rows), len(names))

    def _dense(self, tensor: Tensor, changed: bool = True) -> int | None:
        dense = tensor if tensor.is_contiguous() else tensor.contiguous()
        if dense is not tensor:
            self._held.append(dense)
            if changed:
                self._copies.append((tensor, dense))
        return dense.data_ptr() or None

    def _fields(self, job: Job, grad_scale: float) -> dict[str, float | None]:
        lr, noise, rule = float(job.lr), job.noise, job.rule
        count = int(job.step)
        fields = _NOTHING | {
            "theta": self._dense(job.theta),
            "grad": self._dense(job.grad, changed=False),
            "total": job.numel,
            "step": count & 0xFFFFFFFF,
            "purpose": PATS,
            "dtype": DTYPES[job.theta.dtype],
            "grad_factor": (-1.0 if job.maximize else 1.0) / grad_scale,
        }
        fields["key0"], fields["key1"] = key(job.seed, job.name)
        if noise is not None and job.average is not None:
            relative = noise.eps_mode == "relative"
            absolute = noise.eps / (max(job.numel, 1) if noise.eps_mode == "algorithm1" else 1)
            fields |= {
                "average": job.average.data_ptr() or None,
                "threshold": threshold(noise.p),
                "lam": noise.lam_t(lr),
                "gamma": noise.gamma,
                "beta": noise.beta,
                "eps_relative": noise.eps if relative else 0.0,
                "eps_absolute": 0.0 if relative else absolute,
                "is_signed": noise.signed,
                "is_std": noise.intensity == "std",
            }
        if rule is not None:
            beta1, beta2 = rule.betas
            adamw = rule.name == "adamw"
            fields |= {
                "first": self._dense(rule.first),
                "second": self._dense(rule.second),
                "state_dtype": DTYPES[rule.first.dtype],
                "base": RULES[rule.name],
                "beta1": beta1,
                "beta2": beta2,
                "eps": rule.eps,
                "decay": lr * rule.weight_decay if adamw else rule.weight_decay,
                "size": lr / (1 - beta1**count),
                "root": (1 - beta2**count) ** 0.5 if adamw else 0.0,
                "rounding": rule.stochastic_rounding,
            }
        return fields


def _placed(fields: dict[str, float | None], job: Job, piece: Piece) -> Iterable[float | None]:
    """The fields of one piece, in the library's order."""
    here = fields | {"numel": piece.count, "run": piece.run, "stride": piece.stride, "start": piece.start}
    if piece.offset:
        parts = {"theta": job.theta, "grad": job.grad, "average": job.average}
        if job.rule is not None:
            parts |= {"first": job.rule.first, "second": job.rule.second}
        for name, tensor in parts.items():
            address = here[name]
            if tensor is not None and address is not None:
                here[name] = address + piece.offset * tensor.element_size()
    return (value or 0 for value in here.values())
