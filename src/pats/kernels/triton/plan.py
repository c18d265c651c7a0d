"""The tables of the Triton kernels on the device: made once, and used until what they hold changes.

``Rows`` is all that they are made of, so that equal rows are the same plan: addresses of θ, s̄, m and u or v,
where their elements are in the matrix, streams and settings. A parameter that is replaced, frozen or thawed,
a tensor that has moved and a setting that was changed make other rows, and so another plan.

What is new at every step (addresses of gradients, learning rates, steps, what torch's AMP has left) is sent
in one copy from pinned memory, which torch does not give away before the copy is done. A plan belongs to
the stream that it was made on, so that its memory is given away in that stream's order.

A CUDA graph carries its tables in the arguments of its launches (``constants``), so they live as long as it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from struct import pack, unpack
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pats.kernels.job import SUMS, TALLY, MatrixJob, capturing
from pats.kernels.triton.moving import Words
from pats.kernels.triton.tables import (
    EVERY,
    HEAD,
    MOVING,
    SAMPLED,
    JobRow,
    OwnerRow,
    PieceRow,
    flags_of,
    job_row,
)
from pats.philox import key, threshold

MEASURE_BLOCK, UPDATE_BLOCK = 1024, 512  # elements of one program
TOTAL_BLOCK = 1024
# Sums that are exact must not be fused with products (``pairs.py``). Four entries a thread of the update are
# one load of 16 bytes, and 96 registers hold them: five programs a multiprocessor, and nothing is spilled.
_EXACT = {"num_warps": 4, "enable_fp_fusion": False}
OPTIONS: Mapping[str, Mapping[str, int]] = {
    "measure_kernel": _EXACT,
    "update_kernel": {**_EXACT, "maxnreg": 96},
}
_MOST = 8  # plans that are kept, as for sets of gradients that take turns
_ALIGNMENT = 16  # bytes that one thread loads at once; elements, too


class Kind(NamedTuple):
    """What the pieces of one launch have in common.

    ``aligned``: consecutive elements whose words begin with a block of the stream, addresses and sizes
    multiples of 16.
    """

    theta: torch.dtype
    state: torch.dtype
    base: bool
    noise: bool
    budget: bool
    aligned: bool


class Rows(NamedTuple):
    """All that a plan is made of; where it is, and on which stream."""

    device: torch.device
    stream: int
    pieces: tuple[PieceRow, ...]
    owners: tuple[OwnerRow, ...]
    numbers: tuple[JobRow, ...]
    kinds: tuple[Kind, ...]
    samples: int


class Plan:
    """Tables and workspace on a device, and the launches that use them.

    Args:
        rows: What the tables are made of.
        kernels: The module of the kernels.
        captured: Whether a CUDA graph is being captured, which then carries the tables.
    """

    def __init__(self, rows: Rows, kernels: Any, captured: bool) -> None:
        self._kernels, self._captured, self._device = kernels, captured, rows.device
        self.jobs, self.kept = len(rows.owners), False
        self.sent: Words | None = None  # last
        aligned = {row.owner for row, kind in zip(rows.pieces, rows.kinds, strict=True) if kind.aligned}
        low = [(_ALIGNMENT - 1) * (owner in aligned) for owner in range(self.jobs)]
        self.low = torch.tensor(low, dtype=torch.int64)  # bits that are 0 in the address of a gradient
        self.observing = False  # samples of θ were taken, and are those of this step
        passes = [
            _launches(rows, MEASURE_BLOCK, [kind._replace(base=False) for kind in rows.kinds], noise=True),
            _launches(rows, UPDATE_BLOCK, _updated(rows.kinds), noise=False),
        ]
        words: list[int] = [word for row in (*rows.pieces, *rows.owners) for word in row]
        words += unpack(f"<{self.jobs * len(JobRow._fields)}q", _packed_numbers(rows.numbers))
        starts = []
        for launch in chain(*passes):
            starts.append(len(words))
            words += (*launch.pieces, *launch.firsts, *launch.ends)
        table = self._table(words)
        at = len(rows.pieces) * len(PieceRow._fields)
        self._pieces, rest = table[:at], table[at:]
        at = self.jobs * len(OwnerRow._fields)
        self._owners, self._numbers = rest[:at], rest[at:].view(torch.float64)
        blocks = [
            _blocks(launch, table[start:]) for launch, start in zip(chain(*passes), starts, strict=True)
        ]
        self._measuring = [*zip(passes[0], blocks, strict=False)]
        self._updating = [*zip(passes[1], blocks[len(passes[0]) :], strict=True)]
        measured = max((owner.measured_end for owner in rows.owners), default=0)
        updated = max((owner.updated_end for owner in rows.owners), default=0)
        self._partial = self._empty(max(measured * len(SUMS), updated * len(TALLY)))
        self._samples = self._empty(rows.samples * SAMPLED, dtype=torch.float32)
        self.sums, self.tally = self._empty(self.jobs, len(SUMS)), self._empty(self.jobs, len(TALLY))
        self._sizes = self._empty(self.jobs, len(kernels.SIZES))
        self._counts = self._empty(self.jobs, 2).zero_()
        self._moving = self._empty(len(HEAD) + self.jobs * len(MOVING))
        self._compiled: dict[tuple[Any, ...], Any] = {}

    def send(self, words: Words) -> None:
        """Send what is new at this step."""
        self.sent = words
        if self._captured:
            self._moving = self._table(words.all.tolist()).view(torch.float64)
            return
        staged = torch.empty_like(words.all, pin_memory=self._device.type == "cuda")
        self._moving.view(torch.int64).copy_(staged.copy_(words.all), non_blocking=True)

    def measure(self, total: bool) -> Tensor:
        """Pass 1: s̄, and the rows of ``SUMS`` where they are to be added up at once."""
        kernels, observed = self._kernels, total and bool(len(self._samples))
        with self._guard():
            for launch, blocks in self._measuring:
                fixed = self._pieces, self._numbers, self._moving, blocks, self._partial, self._samples
                theta = kernels.DTYPES[launch.kind.theta]
                constants = theta, launch.kind.budget, observed, launch.kind.aligned, MEASURE_BLOCK
                self._launch(kernels.measure_kernel, (launch.programs, 1, 1), (*fixed, *constants))
            if total and self.jobs:
                table = self._partial, self._owners, self.sums, len(SUMS), -1, TOTAL_BLOCK
                self._launch(kernels.total_kernel, (self.jobs, len(SUMS), 1), table)
        self.observing = observed
        return self.sums

    def update(self, sums: Tensor | None, counts: Tensor | None) -> Tensor:
        """Pass 2; the rows of ``TALLY``.

        Args:
            sums: Those of the whole matrices; None adds up what ``measure`` has left.
            counts: Skipped steps and Σ q² of the jobs with noise, which come first; this step is added.
        """
        observed, self.observing = self.observing, False
        if not self.jobs:
            return self.tally
        kernels, own = self._kernels, self.sums if sums is None else sums
        counts = self._counts if counts is None else counts
        with self._guard():
            table = self._owners, self._numbers, self._moving, self._partial, own, self._sizes
            self._launch(kernels.size_kernel, (self.jobs, 1, 1), (*table, sums is None, TOTAL_BLOCK))
            for launch, blocks in self._updating:
                kind = launch.kind
                fixed = self._pieces, self._numbers, self._moving, self._sizes, blocks, self._partial
                dtypes = kernels.DTYPES[kind.theta], kernels.DTYPES[kind.state]
                seen = observed and kind.noise and not kind.base
                constants = *dtypes, kind.base, kind.noise, seen, kind.aligned, UPDATE_BLOCK
                arguments = *fixed, self._samples, *constants
                self._launch(kernels.update_kernel, (launch.programs, 1, 1), arguments)
            table = self._owners, self._partial, own, self._sizes, self.tally, counts
            self._launch(kernels.tally_kernel, (self.jobs, len(TALLY), 1), (*table, TOTAL_BLOCK))
        return self.tally

    def _launch(self, kernel: Any, grid: tuple[int, int, int], arguments: tuple[Any, ...]) -> None:
        """Launch a kernel; once it has been compiled for such arguments, without having Triton look at them.

        It would look at every constant of the module at every launch, too.
        """
        options = OPTIONS.get(kernel.__name__, {})
        key = kernel, grid, tuple(map(_trait, arguments)), *options.items()
        compiled = self._compiled.get(key)
        if compiled is not None:
            compiled(*arguments)
            return
        found = kernel[grid](*arguments, **options)
        if found is not None:  # there is nothing to keep in the interpreter
            self._compiled[key] = found[grid]

    def _guard(self) -> AbstractContextManager[object]:
        """Triton launches on the device that is current."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()

    def _empty(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self._device)

    def _table(self, words: Sequence[int]) -> Tensor:
        if self._captured:
            return constants(words, self._device)
        return upload(words, self._device)


class Plans:
    """The plans of one optimizer, the last ones used; they go when it does."""

    def __init__(self) -> None:
        self._plans: OrderedDict[Rows, Plan] = OrderedDict()
        self.last: Plan | None = None

    def of(self, rows: Rows, kernels: Any, kept: bool) -> Plan:
        """The plan of some rows.

        Args:
            rows: The rows.
            kernels: The module of the kernels.
            kept: Whether it can be of use again: it is not where tensors are worked on in copies.
        """
        captured = capturing(rows.device)
        plan = None if captured else self._plans.pop(rows, None)
        plan = plan or Plan(rows, kernels, captured)
        if kept and not captured:
            plan.kept = True
            self._plans[rows] = plan
            if len(self._plans) > _MOST:
                self._plans.popitem(last=False)
        self.last = plan
        return plan


class _Launch(NamedTuple):
    """The blocks of one launch.

    Args:
        kind: Of its pieces.
        programs: How many blocks there are.
        pieces: Which pieces they belong to.
        firsts: The first program of each.
        ends: The program after the last of each.
    """

    kind: Kind
    programs: int
    pieces: list[int]
    firsts: list[int]
    ends: list[int]


def _updated(kinds: Sequence[Kind]) -> list[Kind]:
    """The kinds of pass 2: few pieces are not aligned, and those of one dtype share a launch."""
    kinds = [kind._replace(budget=False) for kind in kinds]
    noisy = {kind[:3] for kind in kinds if kind.noise and not kind.aligned}
    return [kind._replace(noise=kind.noise or (not kind.aligned and kind[:3] in noisy)) for kind in kinds]


def _launches(rows: Rows, block: int, kinds: Sequence[Kind], noise: bool) -> list[_Launch]:
    """The launches of a pass; ``noise`` takes no other pieces."""
    launches: dict[Kind, _Launch] = {}
    for number, (row, kind) in enumerate(zip(rows.pieces, kinds, strict=True)):
        if not row.numel or (noise and not kind.noise):
            continue
        launch = launches.get(kind) or _Launch(kind, 0, [], [], [])
        end = launch.programs + _ceil(row.numel, block)
        for column, value in zip(launch[2:], (number, launch.programs, end), strict=True):
            column.append(value)
        launches[kind] = launch._replace(programs=end)
    return [*launches.values()]


def _blocks(launch: _Launch, table: Tensor) -> Tensor:
    """Of every program of a launch, its piece and its block there; made on the device."""
    pieces, firsts, ends = table[: 3 * len(launch.pieces)].view(3, -1)
    here = torch.arange(launch.programs, device=table.device)
    where = torch.searchsorted(ends, here, right=True)
    columns = pieces.index_select(0, where), here - firsts.index_select(0, where)
    return torch.stack(columns, dim=1).to(torch.int32)


def rows_of(
    jobs: Sequence[MatrixJob], addresses: Sequence[Sequence[tuple[int, int]]], device: torch.device
) -> Rows:
    """What the plan of some jobs is made of.

    Args:
        jobs: The jobs.
        addresses: Of each: address and bytes an element of θ, ∇L, s̄, m and u or v; 0 where there is none.
        device: Where they are.
    """
    pieces: list[PieceRow] = []
    owners: list[OwnerRow] = []
    kinds: list[Kind] = []
    measured = updated = samples = 0
    for owner, (job, held) in enumerate(zip(jobs, addresses, strict=True)):
        flags, gate = flags_of(job), threshold(job.noise.p) if job.noise is not None else 0
        key0, key1 = key(job.seed, job.name)
        stream, budget = signed(key0 | key1 << 32), 0 if job.budget is None else job.budget.data_ptr()
        state = torch.float32 if job.rule is None else job.rule.first.dtype
        noise, before = job.averaging is not None, (measured, updated)
        for piece in job.pieces:
            theta, grad, average, first, second = (a + piece.offset * size if a else 0 for a, size in held)
            place = piece.count, piece.run, piece.stride, piece.start
            of = owner, stream, gate, flags, budget, measured, updated, samples
            pieces.append(PieceRow(theta, piece.offset, average, first, second, *place, *of))
            bits = theta | grad | average | first | second | piece.count
            aligned = piece.run >= piece.count and piece.start % 4 == 0 and bits % _ALIGNMENT == 0
            kinds.append(Kind(job.theta.dtype, state, job.rule is not None, noise, bool(budget), aligned))
            measured += _ceil(piece.count, MEASURE_BLOCK) if noise else 0
            updated += _ceil(piece.count, UPDATE_BLOCK)
            samples += _ceil(piece.count, EVERY) if noise and job.rule is None else 0
        ranges = before[0], measured, before[1], updated
        owners.append(OwnerRow(*ranges, flags, budget))
    numbers = tuple(map(job_row, jobs))
    return Rows(device, stream_of(device), tuple(pieces), tuple(owners), numbers, tuple(kinds), samples)


def stream_of(device: torch.device) -> int:
    """The stream that work on a device goes to now."""
    return torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0


def word(value: float | Tensor, device: torch.device) -> tuple[float, int]:
    """A number of a step and 0; or its address on the device as the bits of a number, and its bytes there."""
    if not isinstance(value, Tensor) or value.device != device:
        return float(value), 0
    if value.dtype not in _WIDTHS:
        raise RuntimeError(f"a learning rate or a step on {device} must be float32 or float64: {value.dtype}")
    return float(unpack("d", pack("q", value.data_ptr()))[0]), _WIDTHS[value.dtype]


_WIDTHS = {torch.float32: 4, torch.float64: 8}


def upload(words: Sequence[int], device: torch.device) -> Tensor:
    """Words of eight bytes on the device, in one copy that nobody waits for."""
    table = torch.tensor(words, dtype=torch.int64, pin_memory=device.type == "cuda")
    return table.to(device, non_blocking=True)


def constants(words: Iterable[int], device: torch.device) -> Tensor:
    """Words of eight bytes that a CUDA graph writes by itself at every replay.

    They are arguments of launches, which the graph copies: a copy from the host would read memory there that
    somebody had to keep for as long as there is the graph.
    """
    words = [*words]
    table = torch.zeros(len(words), dtype=torch.int64, device=device)
    there = [(place, value) for place, value in zip(table.unbind(), words, strict=True) if value]
    if there:
        torch._foreach_add_([place for place, _ in there], [value for _, value in there])
    return table


def signed(word: int) -> int:
    """64 bits as torch's int64 holds them."""
    return word - 2**64 if word >= 2**63 else word


def _packed_numbers(rows: Sequence[JobRow]) -> bytes:
    numbers = [*chain.from_iterable(rows)]
    return pack(f"<{len(numbers)}d", *numbers)


def _trait(argument: object) -> object:
    """What Triton compiles a kernel for: a constant itself, and whether an address is a multiple of 16."""
    return argument.data_ptr() % _ALIGNMENT == 0 if isinstance(argument, Tensor) else argument


def _ceil(count: int, block: int) -> int:
    return -(-count // block)
