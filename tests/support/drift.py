"""How far a run of many steps leaves the same run in float64, and bounds on it that are derived, not fitted.

The gradients are prescribed: they do not look at the weights, so that errors do not chase each other through
a loss, and what remains is what the optimizer itself adds up. Weights and gradients are numbers of bfloat16,
hence equal in every type at the start. With e the root mean square over the entries of the difference to
float64:

- float32: a step rounds what it stores, at most ``STORES`` times by u·|θ|, u = 2⁻²⁴; the averages m and u or
  v carry their roundings on for 1/(1-β) steps, which moves an update of at most about lr by ``memory``·u·lr;
  a draw is exact to 16 u. Together ρ. Noise feeds an error back through the sensitivity: a fresh draw z of
  mean zero times dσ/dθ, so that e² grows by 1 + κ², κ² the mean of (z·dσ/dθ)². Hence e ← √(1+κ²)·e + ρ
  (Minkowski), without any hope that signs cancel: ``bound``. Where roundings have random signs, as to nearest
  they nearly have, the squares add up instead: ``likely``. An arithmetic that always rounds one way would be
  found beyond it.
- bfloat16, stochastic rounding: a step's rounding has mean zero and a variance of at most |Δ|·ulp(θ), Δ the
  step's whole change, and |Δ| is at most the mean of |move|. Hence e² <= Σ |move|·ulp(θ) over the run itself.
  The noise of two runs differs by no more than both budgets, whatever their sensitivities are:
  √2·budget·std(W) more.
- bfloat16, to nearest: a weight stands on the grid, so that rounding does no worse than not to move it. Hence
  e <= Σ |Δ|: all may be lost, and nearly all is where Δ stays below half a unit in the last place.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import pats
from support import oracle

Array = NDArray[np.float64]

SHAPE, LR, BETAS = (16, 16), 2e-5, (0.9, 0.999)
SIZE = 1e-3  # of a gradient's entries
SGD = LR / 10 / SIZE  # with momentum its updates are as large
UNIT = 2.0**-24
STORES = 4  # the most that a path stores a weight in a step, and what the kernels promise: 2 ulp

NEAREST, STOCHASTIC = "bfloat16, to nearest", "bfloat16, stochastic"
NATIVE = ("float32", NEAREST, STOCHASTIC)


@dataclass(frozen=True)
class Case:
    """An optimizer, and what its bounds are made of.

    Args:
        make: Makes it: ``make(model, noise=...)``.
        memory: How many u its averages move an update of ``LR`` by; None where nothing is derived, as the
            update itself looks at the weights.
        twin: The same in the oracle; None takes the optimizer itself in float64.
        types: What it is tried in; in bfloat16 with averages in float32, or they would stand still.
    """

    make: Callable[..., torch.optim.Optimizer]
    memory: float | None
    twin: Callable[..., Any] | None = None
    types: tuple[str, ...] = ("float32",)


def initial() -> torch.Tensor:
    """The weights at the start."""
    return (0.05 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))).bfloat16()


def gradients(steps: int) -> Iterator[torch.Tensor]:
    """Noise about a slow swing, which takes every weight to and fro by about its own size."""
    generator = torch.Generator().manual_seed(1)
    phase = 2 * math.pi * torch.rand(SHAPE, generator=generator)
    for step in range(steps):
        swing = 0.4 * torch.sin(phase + 2 * math.pi * step / 20_000)
        yield (SIZE * (swing + torch.randn(SHAPE, generator=generator))).bfloat16()


def _ours(cls: Any, model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = cls(pats.param_groups(model, "all"), **({"lr": LR} | options))
    return made


def _rival(cls: Any, model: nn.Module, noise: pats.Noise, **options: Any) -> torch.optim.Optimizer:
    return _ours(cls, model, **options)


def _perturbed(model: nn.Module, noise: pats.Noise) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(model.named_parameters(), lr=SGD, momentum=0.9)
    pats.perturb(optimizer, model, noise, scope="all")
    return optimizer


def _upgd(model: nn.Module, noise: pats.Noise) -> torch.optim.Optimizer:
    optimizer = _ours(torch.optim.Adamax, model)
    pats.optim.UPGD(optimizer)
    return optimizer


class _Momentum(oracle.PATSAdamax):
    """The noise on torch's SGD with momentum."""

    def _update(self, a: oracle.Matrix, g: Array) -> Array:
        a.m = 0.9 * a.m + g
        return -SGD * a.m


# Three roundings a step, remembered for 1/(1-β) steps, and ten operations more; v stands below a root.
_FIRST, _SECOND = 3 / (1 - BETAS[0]) + 10, 3 / (1 - BETAS[1])
_ADAMAX = _FIRST + _SECOND
_ADAM = (_FIRST + _SECOND / 2) * (1 - BETAS[0]) / math.sqrt(1 - BETAS[1])  # its updates may be 3.2 lr
_MOMENTUM = 3 * _FIRST  # gradients of three times their spread

optim = pats.optim
CASES = {
    "Adamax": Case(partial(_ours, optim.Adamax), _ADAMAX, oracle.PATSAdamax, NATIVE),
    "AdamW": Case(
        partial(_ours, optim.AdamW, weight_decay=0.01),
        _ADAM,
        partial(oracle.PATSAdamW, weight_decay=0.01),
        NATIVE,
    ),
    "perturb(SGD)": Case(_perturbed, _MOMENTUM, _Momentum),
    "MTDNNAdamax": Case(partial(_rival, optim.MTDNNAdamax), _ADAMAX),
    "RecAdam": Case(partial(_rival, optim.RecAdam, gamma=0.05, t0=50_000, k=1e-4), _ADAM),
    "IVON": Case(partial(_rival, optim.IVON, lr=SGD, ess=1e6, hess_init=1.0, rescale="none"), _MOMENTUM / 10),
    "SAGEAdamax": Case(partial(_rival, optim.SAGEAdamax), None, lambda w, lr, _: oracle.SAGEAdamax(w, lr)),
    "SAGEAdamW": Case(partial(_rival, optim.SAGEAdamW), None, lambda w, lr, _: oracle.SAGEAdamW(w, lr)),
    "UPGD(Adamax)": Case(_upgd, None),
}


class _Run:
    """A run in one type."""

    def __init__(self, case: Case, noise: pats.Noise, kind: str) -> None:
        dtype: torch.dtype = getattr(torch, kind.partition(",")[0])
        options: dict[str, Any] = {"state_dtype": torch.float32} if dtype == torch.bfloat16 else {}
        if kind == STOCHASTIC:
            options["stochastic_rounding"] = True
        model = nn.Module()
        self._weight = model.weight = nn.Parameter(initial().to(dtype))
        self._optimizer = case.make(model, noise=noise, **options)
        self._watched = kind == STOCHASTIC
        self.variance = np.zeros(SHAPE)  # that rounding may have brought

    @property
    def theta(self) -> Array:
        """The weights."""
        return np.array(self._weight.detach().double().numpy())

    def step(self, grad: torch.Tensor) -> None:
        before = self.theta if self._watched else None
        if isinstance(self._optimizer, optim.IVON):
            with self._optimizer.sampled():
                self._weight.grad = grad.to(self._weight.dtype)
        else:
            self._weight.grad = grad.to(self._weight.dtype)
        self._optimizer.step()
        if before is not None:
            after = self.theta
            ulp = np.exp2(np.floor(np.log2(np.maximum(np.abs(before), np.abs(after)) + 1e-38)) - 7)
            self.variance += np.abs(after - before) * ulp


class _Float32:
    """What a run in float32 may be away by, carried along the one in float64."""

    def __init__(self, memory: float, beta: float, eps: float) -> None:
        self._memory, self._beta, self._eps = memory, beta, eps
        self._gradient = np.zeros(SHAPE)  # its average, as that of the sensitivity
        self.bound, self.square = np.zeros(SHAPE), np.zeros(SHAPE)

    def step(self, theta: Array, grad: Array, a: oracle.Matrix | None) -> None:
        rounded, growth = UNIT * (STORES * np.abs(theta) + self._memory * LR), np.ones(SHAPE)
        shared = np.zeros(SHAPE)
        if a is not None:
            rounded = rounded + 16 * UNIT * np.abs(a.q)
            # dσ/dθ is at most ½σ·(average of |g|)/(s̄_j + ε); the draw's own size stands in q.
            self._gradient = self._beta * self._gradient + (1 - self._beta) * np.abs(grad)
            growth = 1 + np.square(0.5 * a.q * self._gradient / (a.sbar + self._eps * a.mean + 1e-300))
            # s̄, F and what is spent are the same for all entries, each off by about e/|θ|.
            shared = np.square(3 * a.q / rms(theta))
        self.bound = np.sqrt(growth * self.bound**2 + shared * np.mean(self.bound**2)) + rounded
        self.square = growth * self.square + shared * np.mean(self.square) + np.square(rounded)


def rms(values: Array) -> float:
    """Root of the mean square."""
    return math.sqrt(np.mean(np.square(values)))


def drift(name: str, steps: int, types: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """A row for each type: how far it is from float64 at the end, and how far it may be, over std(W)."""
    case, noise = CASES[name], pats.Noise(steps=steps)
    start = initial().double().numpy()
    runs = {kind: _Run(case, noise, kind) for kind in types or case.types}
    exact = _Run(case, noise, "float64") if case.twin is None else None
    twin = case.twin({"weight": start}, LR, oracle.Noise(steps=steps)) if case.twin else None
    noisy = twin.matrices["weight"] if isinstance(twin, oracle.PATSAdamax) else None
    tracked = _Float32(case.memory or 0.0, noise.beta, noise.eps)
    now, lost = start, np.zeros(SHAPE)
    for grad in gradients(steps):
        before, wide = now, grad.double().numpy()
        if exact is not None:
            exact.step(grad)
            now = exact.theta
        elif twin is not None:
            twin.step({"weight": wide})
            now = twin.matrices["weight"].theta
        lost += np.abs(now - before)
        if case.memory is not None:
            tracked.step(now, wide, noisy)
        for run in runs.values():
            run.step(grad)
    spread = float(np.std(start, ddof=1))
    rows = []
    for kind, run in runs.items():
        bounds: dict[str, float] = {}
        if case.memory is not None and kind == "float32":
            bounds = {"bound": rms(tracked.bound), "likely": math.sqrt(np.mean(tracked.square))}
        elif kind == STOCHASTIC:
            both = math.sqrt(2) * noise.size * spread + rms(tracked.bound)
            bounds = {"bound": math.sqrt(np.mean(run.variance)) + both}
        elif case.memory is not None:
            bounds = {"bound": rms(lost)}
        found = {"drift": rms(run.theta - now), "largest": float(np.abs(run.theta - now).max()), **bounds}
        told = {key: float(f"{value / spread:.3g}") for key, value in found.items()}
        moved = round(rms(now - start) / spread, 3)
        rows.append({"optimizer": name, "type": kind, "steps": steps, **told, "moved": moved})
    return rows
