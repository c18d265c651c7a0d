"""A tiny model that the Triton kernels train, natively on a GPU, else in their interpreter."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import pats

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BUDGET = pats.Noise(budget=0.3, steps=9, seed=3)
CONSTANT = pats.Noise(scale="constant", lam=1e-4, seed=3)
SCOPE = r"layer\."


def network() -> Any:
    torch.manual_seed(0)
    model: Any = nn.Module()
    model.layer = nn.ModuleList(nn.Linear(4, size) for size in (4, 3))
    model.head = nn.Linear(3, 2, bias=False)
    return model.to(DEVICE)


def fill(model: Any, step: int, scale: float = 1.0) -> None:
    """New gradients, in new memory."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        grad = torch.randn(parameter.shape, generator=generator) * scale
        parameter.grad = grad.to(parameter) if parameter.requires_grad else None


def groups(model: Any) -> Any:
    return pats.param_groups(model, scope=SCOPE)


def perturbed(model: Any) -> Any:
    optimizer: Any = torch.optim.AdamW(groups(model), lr=1e-2, fused=True)
    optimizer.handle = pats.perturb(optimizer, model, CONSTANT, scope=SCOPE)
    return optimizer


def descending(model: Any) -> Any:
    """An optimizer that does not count its steps."""
    optimizer: Any = torch.optim.SGD(groups(model), lr=1e-2)
    optimizer.handle = pats.perturb(optimizer, model, BUDGET, scope=SCOPE)
    return optimizer


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "adamax": lambda model: pats.optim.Adamax(groups(model), lr=1e-2, noise=BUDGET),
    "adamw": lambda model: pats.optim.AdamW(groups(model), lr=1e-2, noise=CONSTANT),
    "no noise": lambda model: pats.optim.Adamax(groups(model), lr=1e-2, fused=True),
    "perturb": perturbed,
    "perturb, no counter": descending,
    "apart": lambda model: pats.optim.Adamax(groups(model), lr=1e-2, noise=BUDGET, foreach=True),
}


def weight(model: Any) -> Any:
    return model.layer[0].weight


def bits(model: Any) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]
