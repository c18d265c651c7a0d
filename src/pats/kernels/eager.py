"""The execution path in plain torch operations, on any device and dtype: the reference of the others.

Chunk by chunk, so that no temporary has a parameter's size. Noise and base update are formed in float64 and
rounded once.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pats._budget import variance_sum
from pats._last import Drawn, drawn, nothing
from pats._noise import intensity, mean_of, moving_average_, sensitivity, sigma
from pats.kernels.cpu import library
from pats.kernels.job import SUMS, TALLY, MatrixJob, Piece, refuse_misfits, sizes_of
from pats.kernels.update import change, moments, round_stochastically
from pats.philox import CHUNK, PATS, STOCHASTIC_ROUNDING, chunks, gated, key, threshold, words_at, words_of


def measure(jobs: Sequence[MatrixJob], grad_scale: float) -> Tensor:
    """Pass 1: see ``pats.kernels.job.Path``."""
    refuse_misfits(jobs)
    return torch.stack([_measure(job, grad_scale) for job in jobs])


def perturb(jobs: Sequence[MatrixJob], sums: Tensor) -> Tensor:
    """Pass 2: see ``pats.kernels.job.Path``."""
    refuse_misfits(jobs)
    means = [mean_of(sums[i, 0], [job.numel], _state(job)) for i, job in enumerate(jobs)]
    sizes = [sizes_of([job], sums[i : i + 1])[0] for i, job in enumerate(jobs)]
    rows = zip(jobs, sums, means, sizes, strict=True)
    return torch.stack([_perturb(job, bool(row[1]), float(mean), *size) for job, row, mean, size in rows])


def step(jobs: Sequence[MatrixJob]) -> tuple[Tensor, Tensor]:
    """Both passes: see ``pats.kernels.job.Path``."""
    sums = measure(jobs, 1.0)
    return sums, perturb(jobs, sums)


def _measure(job: MatrixJob, grad_scale: float) -> Tensor:
    sums = torch.zeros(len(SUMS), dtype=torch.float64, device=job.theta.device)
    _take_back(job)
    averaging = job.averaging
    if averaging is None or job.average is None:
        return sums
    beta, signed = averaging
    if job.budget is not None and job.noise is not None:
        sums[2] = variance_sum(job.average.view(-1), job.budget, job.numel, job.noise)
    average, theta, grad = job.average.view(-1), job.theta.reshape(-1), job.grad.reshape(-1)
    factor = (-1.0 if job.maximize else 1.0) / grad_scale
    for start in range(0, average.numel(), CHUNK):
        part = slice(start, start + CHUNK)
        here = average[part]
        g = grad[part].to(here.dtype)
        s = sensitivity(theta[part].to(here.dtype), g if factor == 1.0 else g * factor, signed)
        sums[1] += moving_average_(here, s, beta)
        sums[0] += here.sum(dtype=torch.float64)
    return sums


def _take_back(job: MatrixJob) -> None:
    """Take the noise of the last step out of θ: it is drawn once more, from what the s̄_j still are."""
    if job.last is None or job.average is None:
        return
    last = drawn(job.last)
    job.last.copy_(nothing())  # a step that fails from here on, and is tried again, takes nothing back twice
    if last is None or not last[1]:
        return
    dense = job.theta.contiguous()
    flat = dense.view(-1)
    for part, index, _, q in draws(last[0], job.average, job.pieces):
        here = flat[part]
        here.copy_(here.double().scatter_add_(0, index, q.neg_()))
    if dense is not job.theta:
        job.theta.copy_(dense)


def _state(job: MatrixJob) -> torch.dtype:
    return torch.float32 if job.average is None else job.average.dtype


def _perturb(job: MatrixJob, spoilt: bool, mean: float, lam: float, ceiling: float) -> Tensor:
    tally = torch.zeros(len(TALLY), dtype=torch.float64, device=job.theta.device)
    noisy = job.noise is not None and job.average is not None and not spoilt
    noisy = noisy and mean != 0 and lam != 0 and job.noise is not None and job.noise.p != 0
    now = _drawn(job, mean, lam, ceiling) if noisy else None
    if now is not None and job.last is not None and now.noise.keep != "walk":
        job.last.copy_(now.to_row(inside=now.noise.keep == "anticorrelated"))
        now = None if now.noise.keep == "transient" else now  # it goes in with the next forward pass
    if now is None and job.rule is None:
        return tally
    changed = [job.theta, *((job.rule.first, job.rule.second) if job.rule else ())]
    dense = [tensor.contiguous() for tensor in changed]
    flat, *held = (tensor.view(-1) for tensor in dense)
    grad, step = job.grad.reshape(-1), int(job.step)
    average = grad if job.average is None else job.average.view(-1)
    for part, where in located(job.pieces):
        here = flat[part]
        value = here.double()
        if job.rule is not None:
            value = value - _update(job, value, grad[part], [m[part] for m in held], step, tally)
        if now is not None:
            index, deviation, q = _draw(now, average[part], where)
            count(tally, deviation, q)
            value.scatter_add_(0, index, q)
        if job.rule is not None and job.rule.stochastic_rounding and here.dtype == torch.bfloat16:
            word = _words(job, where, step, STOCHASTIC_ROUNDING)
            here.copy_(round_stochastically(value.float(), word))
        else:
            here.copy_(value)
    for original, copy in zip(changed, dense, strict=True):
        if copy is not original:
            original.copy_(copy)
    return tally


def _update(
    job: MatrixJob, theta: Tensor, grad: Tensor, held: Sequence[Tensor], step: int, tally: Tensor
) -> Tensor:
    """Δ of a chunk in float64; its m and u or v are changed."""
    assert job.rule is not None
    first, second = held
    g = -grad.double() if job.maximize else grad.double()
    m, u = moments(job.rule, theta, g, first.double(), second.double())
    if job.theta.dtype != torch.float64:
        u = u.float().double()  # torch divides by what it has stored, which may have overflowed
    delta = change(job.rule, theta, m, u, float(job.lr), step)
    first.copy_(m)
    second.copy_(u)
    tally[4] += delta.square().sum()
    tally[5] += delta.numel()
    return delta


def _drawn(job: MatrixJob, mean: float, lam: float, ceiling: float) -> Drawn:
    assert job.noise is not None
    return Drawn(job.noise, job.numel, mean, lam, ceiling, key(job.seed, job.name), int(job.step))


def draws(
    last: Drawn, average: Tensor, pieces: Sequence[Piece]
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """The noise of a matrix, chunk by chunk: local slices, then as ``_draw``."""
    flat = average.view(-1)
    for part, where in located(pieces):
        yield part, *_draw(last, flat[part], where)


def open_gates(last: Drawn, pieces: Sequence[Piece], device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """The positions of ``draws``, without the draws."""
    for part, where in located(pieces):
        word = _words_of(last, where, device)
        yield part, (word < threshold(last.noise.p)).nonzero().squeeze(1)


def _draw(last: Drawn, average: Tensor, where: tuple[int, int] | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions in a chunk whose gate is open, their σ and their q in float64 (Eq. 4)."""
    word = _words_of(last, where, average.device)
    index, z = gated(word, threshold(last.noise.p))
    selected = average.index_select(0, index).double()
    r = intensity(selected, last.mean, last.numel, last.lam, last.noise)
    deviation = sigma(r, last.noise).clamp_(max=last.ceiling)
    return index, deviation, z.mul_(deviation)


def _words_of(last: Drawn, where: tuple[int, int] | Tensor, device: torch.device) -> Tensor:
    """The words of some entries; in C where they have to be made twice, since that takes most of the time."""
    if last.noise.keep != "walk" and device.type == "cpu" and not isinstance(where, Tensor):
        words = library.words(last.stream, last.step, *where, PATS)
        if words is not None:
            return words
    return words_located(last.stream, last.step, where, PATS, device)


def count(tally: Tensor, deviation: Tensor, q: Tensor) -> None:
    """Add the draws of a chunk to a row of ``TALLY``."""
    if q.numel():
        tally[0] += q.numel()
        tally[1] += (deviation == 0).sum()
        tally[2] += q.square().sum()
        tally[3] = torch.maximum(tally[3], deviation.max())


def _words(job: MatrixJob, where: tuple[int, int] | Tensor, step: int, purpose: int = 0) -> Tensor:
    return words_located(key(job.seed, job.name), step, where, purpose, job.theta.device)


def words_located(
    stream: tuple[int, int], step: int, where: tuple[int, int] | Tensor, purpose: int, device: torch.device
) -> Tensor:
    """Words of the global elements that ``located`` gives."""
    if isinstance(where, Tensor):
        return words_at(stream, step, where.to(device), purpose)
    return words_of(stream, step, *where, purpose, device)


def located(pieces: Sequence[Piece]) -> Iterator[tuple[slice, tuple[int, int] | Tensor]]:
    """Local slices, and their global elements: (start, count) where consecutive, else a tensor of indices."""
    for piece in pieces:
        if piece.run >= piece.count:
            for start, count in chunks(piece.start, piece.count):
                local = piece.offset + start - piece.start
                yield slice(local, local + count), (start, count)
        else:
            for first in range(0, piece.count, CHUNK):
                i = torch.arange(first, min(first + CHUNK, piece.count))
                index = piece.start + torch.div(i, piece.run, rounding_mode="floor") * piece.stride
                local = piece.offset + first
                yield slice(local, local + len(i)), index + i % piece.run
