"""The execution path in Triton: float32, bfloat16 and float16 parameters on a CUDA device.

A handful of launches a step, whatever the number of matrices, and no wait of the host for the device: sums,
means and the tally stay on it, so that a step can be captured in a CUDA graph (``capturable=True``). Triton's
interpreter (``TRITON_INTERPRET=1``) runs the same kernels on a CPU, slowly.

Not yet measured on a GPU: see ``benchmarks/``.
"""

import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

from pats.kernels.job import SUMS, TALLY, MatrixJob, capturing, refuse_misfits, unfit, write_back
from pats.kernels.triton.tables import PieceRow, flags_of, job_row
from pats.philox import key, threshold

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

BLOCK = 1024  # elements of one program
_TOTAL_BLOCK = 256

# Second-level cache that a group of matrices may fill, so that the second pass finds θ, g and s̄ there.
_CACHE_SHARE = 0.5
_CACHE_INTERPRETED = 1 << 20
_CACHED_BYTES = 12

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@lru_cache
def kernels() -> ModuleType | None:
    """The kernels; None without Triton, which comes with torch's CUDA builds and takes a while to import."""
    try:
        return importlib.import_module("pats.kernels.triton.kernel")
    except ImportError:
        return None


_captured: list[Tensor] = []  # a CUDA graph reads its tables for as long as it is replayed


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
    work = _Work(jobs, grad_scale)
    sums = work.measure()
    torch.autograd.graph.increment_version([job.average for job in jobs if job.average is not None])
    return sums


def perturb(jobs: Sequence[MatrixJob], sums: Tensor) -> Tensor:
    """Pass 2: see ``pats.kernels.job.Path``."""
    work = _Work(jobs)
    tally = work.update(sums.contiguous())
    work.write_back()
    return tally


def step(jobs: Sequence[MatrixJob]) -> tuple[Tensor, Tensor]:
    """Both passes, group by group of what the second-level cache holds: see ``pats.kernels.job.Path``."""
    refuse_misfits(jobs, refusal)  # all of them, before the first is changed
    sums, tallies = [], []
    for group in _groups(jobs):
        work = _Work(group)
        sums.append(work.measure())
        tallies.append(work.update(sums[-1]))
        work.write_back()
    torch.autograd.graph.increment_version([job.average for job in jobs if job.average is not None])
    return torch.cat(sums), torch.cat(tallies)


def _kernel() -> ModuleType:
    module = kernels()
    assert module is not None
    return module


@dataclass
class _Launch:
    """The blocks of one launch: matrices of one dtype.

    ``aligned``: consecutive elements whose words begin with a block of the stream, addresses and sizes
    multiples of 16.
    """

    theta: torch.dtype
    state: torch.dtype
    base: bool
    noise: bool
    budget: bool
    aligned: bool
    blocks: list[int] = field(default_factory=list)  # of every program: its piece, and its block there
    jobs: list[int] = field(default_factory=list)  # of every program: its job

    @classmethod
    def of(cls, job: MatrixJob, aligned: bool) -> "_Launch":
        """An empty launch that a job can join."""
        state = torch.float32 if job.rule is None else job.rule.first.dtype
        noise = job.averaging is not None
        return cls(job.theta.dtype, state, job.rule is not None, noise, job.budget is not None, aligned)

    @property
    def kind(self) -> tuple[object, ...]:
        """What the jobs of a launch have in common."""
        return (self.theta, self.state, self.base, self.noise, self.budget, self.aligned)


class _Work:
    """The jobs as the kernels' tables."""

    def __init__(self, jobs: Sequence[MatrixJob], grad_scale: float = 1.0) -> None:
        refuse_misfits(jobs, refusal)
        self._jobs = jobs
        self._device = jobs[0].theta.device
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._held: list[Tensor] = []  # alive until the launches have read them
        pieces: list[int] = []
        scalars: list[float] = []
        launches: dict[tuple[object, ...], _Launch] = {}
        for owner, job in enumerate(jobs):
            addresses = self._addresses(job)
            scalars += job_row(job, grad_scale)
            flags, gate = flags_of(job), threshold(job.noise.p) if job.noise is not None else 0
            key0, key1 = key(job.seed, job.name)
            for piece in job.pieces:
                number = len(pieces) // len(PieceRow._fields)
                here = [a + piece.offset * size if a else 0 for a, size in addresses]
                place = piece.count, piece.run, piece.stride, piece.start
                stream = _signed(key0 | key1 << 32)
                pieces += PieceRow._make((*here, *place, owner, stream, gate, flags, _account(job)))
                consecutive = piece.run >= piece.count and piece.start % 4 == 0
                aligned = consecutive and piece.count % 16 == 0 and not any(a % 16 for a in here)
                launch = _Launch.of(job, aligned)
                launch = launches.setdefault(launch.kind, launch)
                for block in range((piece.count + BLOCK - 1) // BLOCK):
                    launch.blocks += (number, block)
                    launch.jobs.append(owner)
        self._launches = [*launches.values()]
        self._pieces = self._table(pieces, torch.int64)
        self._scalars = self._table(scalars, torch.float64)

    def measure(self) -> Tensor:
        """Sums and counts of all jobs."""
        noisy = [launch for launch in self._launches if launch.noise]
        programs = sum(len(launch.jobs) for launch in noisy)
        partial = torch.zeros(programs, len(SUMS), dtype=torch.float64, device=self._device)
        first, owners = 0, []
        for launch in noisy:
            count = len(launch.jobs)
            _kernel().measure_kernel[(count,)](
                self._pieces,
                self._scalars,
                self._table(launch.blocks, torch.int64),
                partial[first:],
                _kernel().DTYPES[launch.theta],
                launch.budget,
                launch.aligned,
                BLOCK,
            )
            first += count
            owners += launch.jobs
        return self._total(partial, owners, largest=-1)

    def update(self, sums: Tensor) -> Tensor:
        """The second pass; the tally of all jobs."""
        programs = sum(len(launch.jobs) for launch in self._launches)
        partial = torch.zeros(programs, len(TALLY), dtype=torch.float64, device=self._device)
        moving, first, owners = self._moving(), 0, []
        sizes = self._sizes(moving, sums)
        for launch in self._launches:
            count = len(launch.jobs)
            _kernel().update_kernel[(count,)](
                self._pieces,
                self._scalars,
                moving,
                sums,
                sizes,
                self._table(launch.blocks, torch.int64),
                partial[first:],
                _kernel().DTYPES[launch.theta],
                _kernel().DTYPES[launch.state],
                launch.base,
                launch.noise,
                launch.aligned,
                BLOCK,
            )
            first += count
            owners += launch.jobs
        return self._total(partial, owners, largest=TALLY.index("sigma_max"))

    def _sizes(self, moving: Tensor, sums: Tensor) -> Tensor:
        """λ of every job and the largest σ it allows; rows of budgets are brought to this step."""
        accounts = self._table([_account(job) for job in self._jobs], torch.int64)
        flags = self._table([flags_of(job) for job in self._jobs], torch.int64)
        out = torch.zeros(len(self._jobs), 2, dtype=torch.float64, device=self._device)
        _kernel().size_kernel[(len(self._jobs),)](accounts, self._scalars, flags, moving, sums, out)
        return out

    def write_back(self) -> None:
        write_back(self._jobs, self._copies)

    def _total(self, partial: Tensor, owners: list[int], largest: int) -> Tensor:
        """Rows of programs added up by job; the programs of a job are adjacent in each launch."""
        jobs, columns = len(self._jobs), partial.shape[1]
        out = torch.zeros(jobs, columns, dtype=torch.float64, device=self._device)
        if not owners:
            return out
        order = sorted(range(len(owners)), key=lambda at: owners[at])
        if order != [*range(len(owners))]:
            partial = partial[self._table(order, torch.int64)]
        ranges, at = [], 0
        counts = [0] * jobs
        for owner in owners:
            counts[owner] += 1
        for count in counts:
            ranges += [at, at + count]
            at += count
        _kernel().total_kernel[(jobs,)](
            partial, self._table(ranges, torch.int64), out, columns, largest, _TOTAL_BLOCK
        )
        return out

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
                    self._copies.append((tensor, dense))
            addresses.append((dense.data_ptr(), dense.element_size()))
        return addresses

    def _moving(self) -> Tensor:
        """Learning rate and step of every job: what changes from step to step."""
        columns = [
            self._column([job.lr for job in self._jobs]),
            self._column([job.step for job in self._jobs]),
        ]
        return torch.stack(columns, dim=1)

    def _column(self, values: Sequence[float | Tensor]) -> Tensor:
        """Numbers of the host and tensors of the device as float64 on the device, which nobody waits for."""
        if not any(isinstance(value, Tensor) and value.device == self._device for value in values):
            return _upload(tuple(map(float, values)), torch.float64, self._device)
        return torch.stack([self._number(value) for value in values]).to(torch.float64)

    def _number(self, value: float | Tensor) -> Tensor:
        if isinstance(value, Tensor) and value.device == self._device:
            return value.reshape(())
        return torch.full((), float(value), dtype=torch.float64, device=self._device)

    def _table(self, values: Sequence[float], dtype: torch.dtype) -> Tensor:
        """A table on the device; one that stays the same from step to step is sent once."""
        if capturing(self._device):  # sent at every replay, not now, so nobody else may read it
            return _upload(tuple(values), dtype, self._device)
        return _kept(tuple(values), dtype, self._device)


@lru_cache(maxsize=256)
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return _upload(values, dtype, device)


def _upload(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    table = torch.tensor(values, dtype=dtype)
    if device.type != "cuda":
        return table
    pinned = table.pin_memory()
    sent = pinned.to(device, non_blocking=True)
    if capturing(device):
        _captured.extend((pinned, sent))
    return sent


def _groups(jobs: Sequence[MatrixJob]) -> Iterator[list[MatrixJob]]:
    """Jobs in runs whose θ, ∇L and s̄ fit in a share of the second-level cache together."""
    device = jobs[0].theta.device
    cache = _CACHE_INTERPRETED
    if device.type == "cuda":
        cache = torch.cuda.get_device_properties(device).L2_cache_size
    room, group = _CACHE_SHARE * cache / _CACHED_BYTES, list[MatrixJob]()
    filled = 0
    for job in jobs:
        size = job.theta.numel() if job.average is not None else 0  # without noise there is one pass
        if group and filled + size > room:
            yield group
            group, filled = [], 0
        group.append(job)
        filled += size
    yield group


def _signed(word: int) -> int:
    """64 bits as torch's int64 holds them."""
    return word - 2**64 if word >= 2**63 else word


def _account(job: MatrixJob) -> int:
    """Address of a job's row of ``pats._budget``; 0 without one."""
    return 0 if job.budget is None else job.budget.data_ptr()
