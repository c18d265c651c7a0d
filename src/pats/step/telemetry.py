"""What steps report, from what they have added up; see ``pats.Perturbation.stats``."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pats._budget import SPENT, SPREAD
from pats._last import drawn
from pats.kernels.eager import count, draws
from pats.kernels.job import TALLY, Piece

_SQUARE = TALLY.index("square")
LARGE = 0.25  # accumulated noise over the weights' spread beyond which scores fall: docs/noise.md
SAMPLE = 4096  # entries of a matrix whose update is observed
_MOST = 8  # sets of matrices that are counted by themselves


@dataclass
class BatchTelemetry:
    """What one batch of a step reports, read when somebody asks. It holds no gradient.

    Args:
        names: The matrices with noise.
        thetas: The matrices.
        accounts: Their rows of ``pats._budget``; None without one.
        bounded: Whether a budget bounds their noise.
        sums: Their rows of ``pats.kernels.job.SUMS``; more may follow.
        tally: Their rows of ``pats.kernels.job.TALLY``; more may follow.
        updates: Norms of the observed base updates, where the path did not observe them.
        counted: Whether the path has counted the step in ``Telemetry.counts`` by itself.
        fleeting: What there is to know of noise that does not stay in a matrix; None for noise that does,
            empty where all does.
    """

    names: tuple[str, ...]
    thetas: list[Tensor]
    accounts: list[Tensor | None]
    bounded: list[bool]
    sums: Tensor
    tally: Tensor
    updates: list[Tensor] | None
    counted: bool = False
    fleeting: tuple["Fleeting | None", ...] = ()


class Fleeting(NamedTuple):
    """Noise of a matrix that does not stay in it.

    Args:
        row: Its row of ``pats._last``.
        average: s̄, local.
        pieces: Where its entries are in the whole matrix.
        tallied: Whether it has been drawn, and is in the tally.
    """

    row: Tensor
    average: Tensor
    pieces: tuple[Piece, ...]
    tallied: bool

    def tally(self) -> list[float]:
        """Its row of ``pats.kernels.job.TALLY``: it is drawn once more."""
        tally = torch.zeros(len(TALLY), dtype=torch.float64, device=self.average.device)
        last = drawn(self.row)
        for _, _, deviation, q in draws(last[0], self.average, self.pieces) if last is not None else ():
            count(tally, deviation, q)
        numbers: list[float] = tally.tolist()
        return numbers


class Telemetry:
    """What the steps of one optimizer report: the last one, and totals of all."""

    def __init__(self) -> None:
        self._last: list[BatchTelemetry] = []
        self._totals = Totals()
        self._steps, self._alarmed = 0, False

    def step(self, batches: list[BatchTelemetry]) -> None:
        """Take a step in; a batch for each of its calls."""
        for batch in batches:
            if not batch.counted:
                self._totals.add(batch.names, batch.sums, _stayed(batch))
        self._last = batches
        self._watch()

    def counts(self, names: tuple[str, ...], device: torch.device) -> Tensor:
        """Where a path counts steps of some matrices by itself: skipped ones, and Σ q², a row of each."""
        return self._totals.table(names, device)

    def again(self, sums: Tensor, tally: Tensor) -> None:
        """Take in a step of the same matrices as the last one, which was one batch at the most."""
        self.step([replace(batch, sums=sums, tally=tally) for batch in self._last])

    def stats(self) -> dict[str, dict[str, float]]:
        """Telemetry of every perturbed matrix by name; see ``pats.Perturbation.stats``."""
        totals = self._totals.read()
        stats = {}
        for last in self._last:
            rows = last.tally.tolist()  # those of jobs without noise come last
            for i, (name, theta) in enumerate(zip(last.names, last.thetas, strict=True)):
                fleeting = last.fleeting[i] if last.fleeting else None
                gated, zero, square, sigma_max, update_square, observed = rows[i]
                if fleeting is not None and not fleeting.tallied:
                    gated, zero, square, sigma_max, *_ = fleeting.tally()
                if last.updates is not None:
                    update_square = float(last.updates[i]) ** 2
                    observed = min(theta.numel(), SAMPLE)
                skipped, total = totals[name]
                total = total if fleeting is None else square
                update = ratio(update_square, observed)
                stats[name] = stats_of(theta, gated, zero, square, sigma_max, update, total, last.accounts[i])
                stats[name]["skipped"] = skipped
        return {name: stats[name] for name in totals if name in stats}

    def _watch(self) -> None:
        """Warn once of noise that no budget bounds, looking now and then, and never at an accelerator."""
        self._steps += 1
        if self._alarmed or self._steps < 16 or self._steps & (self._steps - 1):
            return
        for last in self._last:
            on_host = last.tally.device.type == "cpu"
            if on_host and (warning := too_much(last, self._totals, self._steps)):
                self._alarmed = True
                warnings.warn(warning, stacklevel=5)
                return


class Totals:
    """Of each matrix, the steps without noise because its sensitivity was not finite, and Σ q² of all others.

    The matrices of a step are added up in one tensor for each set of them. Where other ones have a
    gradient at every step, as with experts, a set's tensor is added to one row a matrix.
    """

    def __init__(self) -> None:
        self._sets: dict[tuple[str, ...], Tensor] = {}
        self._each: dict[str, Tensor] = {}
        self._latest: tuple[tuple[str, ...], Tensor] | None = None

    def add(self, names: tuple[str, ...], sums: Tensor, tally: Tensor) -> None:
        """Count a step.

        Args:
            names: The matrices.
            sums: Their rows of ``pats.kernels.job.SUMS``; more may follow.
            tally: Their rows of ``pats.kernels.job.TALLY``; more may follow.
        """
        spoilt = (sums[: len(names), 1] > 0).to(tally.dtype)
        table = self.table(names, tally.device)
        table += torch.stack([spoilt, tally[: len(names), _SQUARE]], dim=1)

    def table(self, names: tuple[str, ...], device: torch.device) -> Tensor:
        """The rows of some matrices, to be added to in place, so that replays of a CUDA graph count on."""
        if self._latest is not None and self._latest[0] is names and self._latest[1].device == device:
            return self._latest[1]
        table = self._sets.get(names)
        if table is None and len(self._sets) == _MOST:
            oldest = next(iter(self._sets))
            for name, row in zip(oldest, self._sets.pop(oldest).unbind(), strict=True):
                self._each[name] = self._each[name].to(row) + row if name in self._each else row.clone()
        if table is None or table.device != device:
            zeros = torch.zeros(len(names), 2, dtype=torch.float64, device=device)
            table = self._sets[names] = zeros if table is None else table.to(device)
        self._latest = names, table
        return table

    def read(self) -> dict[str, tuple[int, float]]:
        """Steps without noise, and Σ q², by name."""
        counts = {name: row.tolist() for name, row in self._each.items()}
        for names, table in self._sets.items():
            for name, row in zip(names, table.tolist(), strict=True):
                counts[name] = [a + b for a, b in zip(counts.get(name, (0, 0)), row, strict=True)]
        return {name: (int(skipped), square) for name, (skipped, square) in counts.items()}


def _stayed(batch: BatchTelemetry) -> Tensor:
    """The tally, without the noise that does not add up since it does not stay."""
    if not any(batch.fleeting):
        return batch.tally
    tally = batch.tally.clone()
    for i, fleeting in enumerate(batch.fleeting):
        if fleeting is not None:
            tally[i, _SQUARE] = 0.0
    return tally


def stats_of(
    parameter: Tensor,
    gated: float,
    zero: float,
    square: float,
    sigma_max: float,
    update_square: float,
    total: float,
    account: Tensor | None,
) -> dict[str, float]:
    """A matrix's telemetry.

    Args:
        parameter: The matrix after the step.
        gated: Entries whose gate was open.
        zero: Of these, those whose σ was 0.
        square: Sum of q² over them.
        sigma_max: The largest σ.
        update_square: Mean square of the observed updates.
        total: Sum of q² over all steps that were seen.
        account: The row of ``pats._budget``, which knows of earlier steps, too; None without one.
    """
    numel = parameter.numel()
    noise = math.sqrt(square / numel) if numel else 0.0
    update = math.sqrt(update_square)
    spread = float(parameter.detach().double().std()) if numel > 1 else 0.0
    accumulated = ratio(math.sqrt(total / numel), spread) if numel else 0.0
    row = [] if account is None else account.tolist()
    if row and row[SPREAD]:
        accumulated = math.sqrt(row[SPENT] + (noise / row[SPREAD]) ** 2)
    return {
        "accumulated": accumulated,
        "noise_rms": noise,
        "update_rms": update,
        "noise_over_update": ratio(noise, update),
        "noise_over_weight": ratio(noise, spread),
        "gated": ratio(gated, numel),
        "zero": ratio(zero, gated),
        "sigma_max": sigma_max,
    }


def ratio(value: float, base: float) -> float:
    """value/base; 0/0 is 0, and anything else over 0 is infinite."""
    if base:
        return value / base
    return math.inf if value else 0.0


def too_much(last: BatchTelemetry, totals: Totals, steps: int) -> str | None:
    """What to say where noise without a budget has accumulated to more than ``LARGE``; None where it has not.

    Args:
        last: The last step of one batch.
        totals: Of all steps.
        steps: How many there were.
    """
    squares = totals.read()
    for name, theta, bounded in zip(last.names, last.thetas, last.bounded, strict=True):
        if bounded or theta.numel() < 2:
            continue
        spread = float(theta.detach().double().std())
        accumulated = ratio(math.sqrt(squares[name][1] / theta.numel()), spread)
        if LARGE < accumulated < math.inf:
            return (
                f"after {steps} steps the noise on {name!r} has accumulated to {accumulated:.2f} of the "
                f"spread of its weights, where more than {LARGE:g} has made models worse: use pats.Noise() "
                "with a budget, which bounds it, or a smaller lam, kappa or temperature"
            )
    return None


def samples(thetas: Sequence[Tensor]) -> list[Tensor]:
    """Copies of evenly spaced entries of each matrix, in one call."""
    return [*torch._foreach_add([_sample(theta) for theta in thetas], 0.0)] if thetas else []


def changes_since(before: Sequence[Tensor], thetas: Sequence[Tensor]) -> list[Tensor]:
    """Norms of what has changed since ``samples``."""
    changes = torch._foreach_sub([_sample(theta) for theta in thetas], [*before])
    return [*torch._foreach_norm([_wide(change) for change in changes])]


def _sample(parameter: Tensor) -> Tensor:
    """View of evenly spaced entries, at most ``SAMPLE``, in the order in which they lie in memory."""
    flat = parameter.detach()
    if flat.is_contiguous():
        flat = flat.view(-1)
    elif flat.t().is_contiguous() if flat.ndim == 2 else False:
        flat = flat.t().view(-1)
    else:
        flat = flat.reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLE)][:SAMPLE]


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
