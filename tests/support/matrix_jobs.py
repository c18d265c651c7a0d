"""Jobs for the tests of the execution paths."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

from pats._noise import Noise, state_dtype
from pats.kernels import ADAMAX, ADAMW, MatrixJob, Piece, Rule, whole

NAME = "encoder.layer.0.attention.weight"
LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8
ACCOUNT = (0.05, 5e-5, 3.0, 1e-8, 1e-4)  # S, s̄, F, p·Λ and E of a budget, in the middle of a run


def make_tensors(
    shape: Sequence[int], dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """θ, ∇L and s̄."""
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(shape, generator=generator) * 0.05
    grad = torch.randn(shape, generator=generator) * 1e-3
    average = torch.rand(shape, generator=generator) * 1e-4
    theta = theta.to(dtype)
    return theta, grad.to(dtype), average.to(state_dtype(theta))


def make_job(
    theta: torch.Tensor, grad: torch.Tensor, average: torch.Tensor | None, noise: Noise | None, **more: Any
) -> MatrixJob:
    settings: dict[str, Any] = {
        "name": NAME,
        "step": 3,
        "lr": LR,
        "pieces": whole(theta.numel()),
        "numel": theta.numel(),
    }
    settings |= {"seed": noise.seed if noise else 0} | more
    if noise is not None and noise.accounted:
        settings.setdefault("budget", torch.tensor(ACCOUNT, dtype=torch.float64))
    name, numel, pieces = (settings.pop(key) for key in ("name", "numel", "pieces"))
    return MatrixJob(theta, grad, name, numel, pieces, noise, average, **settings)


def make_rule(name: str, first: torch.Tensor, second: torch.Tensor, decay: float = 0.0, **more: Any) -> Rule:
    return Rule({"adamax": ADAMAX, "adamw": ADAMW}[name], BETAS, EPS, decay, first, second, **more)


def measure_and_perturb(
    path: ModuleType, jobs: list[MatrixJob], grad_scale: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both halves of a step, apart: sums and tally."""
    sums = path.measure(jobs, grad_scale)
    return sums, path.perturb(jobs, sums)


def one_step(
    path: ModuleType,
    theta: torch.Tensor,
    grad: torch.Tensor,
    average: torch.Tensor,
    noise: Noise | None,
    grad_scale: float = 1.0,
    **more: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both passes on copies: θ, s̄, sums and tally of the one job."""
    theta, average = theta.clone(), average.clone()
    sums, tally = measure_and_perturb(path, [make_job(theta, grad, average, noise, **more)], grad_scale)
    return theta, average, sums[0], tally[0]


# What one step may be asked for; without a shape it is (123, 301).
CASES = {
    "matrix": {},
    "constant": {"noise": Noise(scale="constant")},
    "budget std": {"noise": Noise(intensity="std", steps=100)},
    "budget's last step": {"noise": Noise(steps=3)},
    "budget spent": {"noise": Noise(steps=2)},
    "paper": {"noise": Noise.paper()},
    "algorithm1": {"noise": Noise(eps=1e-3, eps_mode="algorithm1")},
    "std": {"noise": Noise(intensity="std", scale="constant", lam=1e-3)},
    "signed": {"noise": Noise(signed=True)},
    "lr": {"noise": Noise(scale="lr", kappa=1.0)},
    "lr std, no bound of its own": {
        "noise": Noise(scale="lr", intensity="std", eps=1e-12, eps_mode="absolute")
    },
    "lr std, bounded": {"noise": Noise(scale="lr", intensity="std", ratio_max=0.8)},
    "constant, bounded": {"noise": Noise(scale="constant", ratio_max=1.5)},
    "constant, over": {"noise": Noise(scale="constant", until=0.2, steps=10)},
    "budget, bounded": {"noise": Noise(intensity="std", ratio_max=1.2)},
    "budget, until": {"noise": Noise(until=0.3, steps=100)},
    "langevin": {"noise": Noise(scale="langevin", examples=40)},
    "langevin std": {"noise": Noise(scale="langevin", examples=40, intensity="std", ratio_max=1.2)},
    "langevin, over": {"noise": Noise(scale="langevin", examples=40, until=0.2, steps=10)},
    "every entry": {"noise": Noise(p=1.0)},
    "no entry": {"noise": Noise(p=0.0)},
    "no noise": {"noise": Noise(scale="constant", lam=0.0)},
    "much spared": {"noise": Noise(gamma=1.0)},
    "no average": {"noise": Noise(beta=0.0)},
    "maximize": {"maximize": True, "noise": Noise(signed=True)},
    "scaled": {"grad_scale": 1024.0},
    "odd": {"shape": (7, 13)},
    "tile and one": {"shape": (1025,)},
    "block and one": {"shape": (16385,)},
    "one": {"shape": (1,)},
    "no dimension": {"shape": ()},
    "empty": {"shape": (0, 5)},
    "bfloat16": {"dtype": torch.bfloat16},
}

# How a matrix of 37 x 41 may be cut: for every part, the slice and its pieces.
SHARDS = {
    "rows": lambda i, j: (
        [slice(i, j), slice(None)],
        [Piece(0, (j - i) * 41, i * 41, 2000, 2000)] if j > i else [],
    ),
    "columns": lambda i, j: ([slice(None), slice(i, j)], [Piece(0, 37 * (j - i), i, j - i, 41)]),
    "every second row": lambda i, j: (
        [slice(i, j, 2), slice(None)],
        [Piece(k * 41, 41, row * 41, 41, 41) for k, row in enumerate(range(i, j, 2))],
    ),
}
CUTS = {"rows": [(0, 13), (13, 13), (13, 14), (14, 37)], "columns": [(0, 3), (3, 4), (4, 41)]}
CUTS["every second row"] = [(0, 37), (1, 37)]


def one_step_of_shards(
    path: ModuleType,
    cut: str,
    theta: torch.Tensor,
    grad: torch.Tensor,
    average: torch.Tensor,
    noise: Noise | None,
    base: str | None = None,
) -> list[tuple[tuple[slice, ...], list[torch.Tensor]]]:
    """One step of a matrix of 37 x 41 that is cut; for every part, its slice and θ, ∇L and s̄ after it.

    ``base`` names the base update that the path does, too: m and u or v then stand behind them.
    """
    jobs, parts = [], []
    for i, j in CUTS[cut]:
        where, pieces = SHARDS[cut](i, j)
        part = [t[tuple(where)].contiguous() for t in (theta, grad, average)]
        this = make_job(part[0], part[1], part[2], noise, numel=37 * 41, pieces=tuple(pieces))
        if base is not None:
            part += [torch.full_like(part[0], 1e-3) for _ in range(2)]
            this.rule = make_rule(base, part[3], part[4], 0.01)
        jobs.append(this)
        parts.append((tuple(where), part))
    sums = path.measure(jobs, 1.0)
    path.perturb(jobs, sums.sum(0).expand(len(jobs), -1))
    return parts
