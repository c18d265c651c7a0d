"""Runs on matrices of very different spreads, and what their noise accumulates to."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import pats

Maker = Callable[[nn.Module, pats.Noise], tuple[torch.optim.Optimizer, Any]]

SHAPES: dict[str, tuple[int, ...]] = {"square.weight": (24, 20), "wide.weight": (8, 90), "wide.bias": (160,)}


def matrices(seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """Weights of very different spreads, one of them with exact zeros."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Module()
    for spread, (name, shape) in zip((0.05, 1.0, 1e-3), SHAPES.items(), strict=True):
        owner, leaf = name.split(".")
        if not hasattr(model, owner):
            model.add_module(owner, nn.Module())
        value = spread * torch.randn(shape, generator=generator)
        value[::5] = 0.0
        getattr(model, owner).register_parameter(leaf, nn.Parameter(value.to(dtype)))
    return model


def give_gradients(model: nn.Module, step: int, heavy: bool = False) -> None:
    """Random gradients, each row of its own size; ``heavy`` makes some entries very large."""
    generator = torch.Generator().manual_seed(500 + step)
    for parameter in model.parameters():
        grad = 1e-2 * torch.randn(parameter.shape, generator=generator)
        if heavy:
            grad = grad / torch.rand(parameter.shape, generator=generator).clamp(min=1e-4)
        parameter.grad = grad.to(parameter.dtype)


def perturbed(cls: Any, lr: float) -> Maker:
    def make(model: nn.Module, noise: pats.Noise) -> tuple[torch.optim.Optimizer, Any]:
        optimizer = cls(model.named_parameters(), lr=lr)
        return optimizer, pats.perturb(optimizer, model, noise, scope="all")

    return make


def ours(cls: Any, lr: float, **options: Any) -> Maker:
    def make(model: nn.Module, noise: pats.Noise) -> tuple[torch.optim.Optimizer, Any]:
        optimizer = cls(pats.param_groups(model, "all"), lr=lr, noise=noise, **options)
        return optimizer, optimizer

    return make


TRAINERS = {
    "AdamW 2e-5": ours(pats.optim.AdamW, 2e-5),
    "AdamW 1e-3": ours(pats.optim.AdamW, 1e-3),
    "AdamW 1e-3, plain torch": ours(pats.optim.AdamW, 1e-3, foreach=True),
    "Adamax 1e-4": ours(pats.optim.Adamax, 1e-4),
    "torch's AdamW 2e-5": perturbed(torch.optim.AdamW, 2e-5),
    "SGD 1e-2": perturbed(torch.optim.SGD, 1e-2),
}
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


def accumulated(
    make: Maker, noise: pats.Noise, steps: int, schedule: str = "linear", heavy: bool = False
) -> dict[str, float]:
    """√(Σ_t Σ_j q² / N) over the spread at the start, of every matrix."""
    model = matrices()
    spread = {name: float(p.detach().double().std()) for name, p in model.named_parameters()}
    optimizer, told = make(model, noise)
    rate, square = optimizer.param_groups[0]["lr"], dict.fromkeys(spread, 0.0)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * SCHEDULES[schedule](step / steps)
        give_gradients(model, step, heavy)
        optimizer.step()
        for name, numbers in told.stats().items():
            square[name] += numbers["noise_rms"] ** 2
    return {name: math.sqrt(total) / spread[name] for name, total in square.items()}
