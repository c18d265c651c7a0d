"""Training a small model under a layout, through every door of PATS."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

import pats
from pats.step.shard import local
from support.layouts import make_pair

NOISE = pats.Noise.paper(lam=1e-4, seed=5)
ANTICORRELATED = pats.Noise(keep="anticorrelated", budget=0.3, steps=20, seed=5)
LANGEVIN = pats.Noise(scale="langevin", examples=5, until=0.8, steps=20, ratio_max=9.0, seed=5)


LR = 1e-2

Maker = Callable[[nn.Module], torch.optim.Optimizer]


def perturbed(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adamax(pats.param_groups(model, "all"), lr=LR)
    pats.perturb(optimizer, model, NOISE, scope="all")
    return optimizer


def perturbed_std(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(pats.param_groups(model, "all"), lr=LR)
    pats.perturb(optimizer, model, pats.Noise(budget=0.3, intensity="std", seed=5), scope="all")
    return optimizer


def perturbed_anticorrelated(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adamax(pats.param_groups(model, "all"), lr=LR)
    pats.perturb(optimizer, model, ANTICORRELATED, scope="all")
    return optimizer


def ours(cls: Callable[..., torch.optim.Optimizer], **options: Any) -> Maker:
    return lambda model: cls(pats.param_groups(model, "all"), lr=LR, **options)


DOORS = {
    "perturb": (perturbed, None),
    "adamax": (ours(pats.optim.Adamax, noise=NOISE), None),
    "adamax, one by one": (ours(pats.optim.Adamax, noise=NOISE, foreach=False), None),
    "adamax in plain torch": (ours(pats.optim.Adamax, noise=NOISE), "eager"),
    "adamax in Triton": (ours(pats.optim.Adamax, noise=NOISE), "triton"),
    "adamw": (ours(pats.optim.AdamW, noise=pats.Noise(seed=5)), None),
    "adamax, budget": (ours(pats.optim.Adamax, noise=pats.Noise(budget=0.3, steps=20, seed=5)), None),
    "adamax in Triton, budget": (ours(pats.optim.Adamax, noise=pats.Noise(budget=0.3, seed=5)), "triton"),
    "perturb, budget": (perturbed_std, None),
    "adamw, anticorrelated": (ours(pats.optim.AdamW, noise=ANTICORRELATED), None),
    "perturb, anticorrelated": (perturbed_anticorrelated, None),
    "adamax, langevin": (ours(pats.optim.Adamax, noise=LANGEVIN), None),
    "SAGE adamax": (ours(pats.optim.SAGEAdamax), None),
    "SAGE adamw": (ours(pats.optim.SAGEAdamW), None),
}


def whole_gradients(model: nn.Module, step: int) -> dict[str, torch.Tensor | None]:
    """The whole gradients of a step; entries stay zero now and then, and one matrix has none once."""
    generator = torch.Generator().manual_seed(100 + step)
    found: dict[str, torch.Tensor | None] = {}
    for name, parameter in model.named_parameters():
        grad = 0.1 * torch.randn(parameter.shape, generator=generator)
        found[name] = grad * (torch.rand(parameter.shape, generator=generator) > 0.1)
    if step == LACKS:
        found["down.weight"] = None
    return found


def give_gradients(model: nn.Module, grads: dict[str, torch.Tensor | None]) -> None:
    """Each rank's part; a rank whose shard is empty has no gradient at all."""
    for name, parameter in model.named_parameters():
        grad = grads[name]
        if grad is not None and isinstance(parameter, DTensor):
            if local(parameter).numel() == 0:
                grad = None
            else:
                layout = parameter.device_mesh, parameter.placements
                grad = distribute_tensor(grad, *layout, src_data_rank=None)
        parameter.grad = grad


def whole_tensor(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def train_under(model: nn.Module, make: Maker, steps: int) -> torch.optim.Optimizer:
    optimizer = make(model)
    plain = make_pair(*model.get_parameter("up.weight").shape)
    for step in range(steps):
        give_gradients(model, whole_gradients(plain, step))
        optimizer.step()
    return optimizer


LACKS = 2  # the step without a gradient for one matrix
