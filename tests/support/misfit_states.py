"""Optimizers, and states that do not fit them: for the tests, and for ``make sanitize``."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import pats
from support.small_network import backward, make_network

LR = 1e-3
NOISE = pats.Noise.paper(lam=1e-4, seed=3)
BUDGET = pats.Noise(budget=0.2, seed=3)
WEIGHT = "layers.0.linear.weight"  # in scope, and what goes wrong


def _perturbed(
    base: Callable[..., torch.optim.Optimizer], noise: pats.Noise = NOISE, **more: Any
) -> Callable[[nn.Module], torch.optim.Optimizer]:
    def make(model: nn.Module) -> torch.optim.Optimizer:
        optimizer = base(model.parameters(), lr=LR, **more)
        pats.perturb(optimizer, model, noise)
        return optimizer

    return make


def _ours(
    cls: Callable[..., torch.optim.Optimizer], **more: Any
) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: cls(pats.param_groups(model), lr=LR, **more)


OPTIMIZERS = {
    "perturb adamax": _perturbed(torch.optim.Adamax),
    "perturb adamw": _perturbed(torch.optim.AdamW),
    "perturb adamw fused": _perturbed(torch.optim.AdamW, fused=True),
    "perturb momentum": _perturbed(torch.optim.SGD, momentum=0.9),
    "perturb rmsprop": _perturbed(torch.optim.RMSprop),
    "perturb mtdnn": _perturbed(pats.optim.MTDNNAdamax),
    "adamax": _ours(pats.optim.Adamax, noise=NOISE),
    "perturb budget": _perturbed(torch.optim.Adamax, BUDGET),
    "adamax budget": _ours(pats.optim.Adamax, noise=BUDGET),
    "adamax foreach": _ours(pats.optim.Adamax, noise=NOISE, foreach=True),
    "adamw": _ours(pats.optim.AdamW, noise=NOISE),
    "adamw one by one": _ours(pats.optim.AdamW, noise=NOISE, foreach=False),
    "adamax, no noise": _ours(pats.optim.Adamax, fused=True),
    "reference": _ours(pats.optim.reference.PATSAdamax, noise=NOISE),
    "sage adamax": _ours(pats.optim.SAGEAdamax),
    "sage adamw": _ours(pats.optim.SAGEAdamW),
    "recadam": _ours(pats.optim.RecAdam),
    "mtdnn": lambda model: pats.optim.MTDNNAdamax(model.named_parameters(), lr=LR),
}


def trained_with(
    make: Callable[[nn.Module], torch.optim.Optimizer], steps: int = 3, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model and its optimizer after some steps, with gradients for the next one."""
    model = make_network(dtype=dtype)
    optimizer = make(model)
    for step in range(steps):
        backward(model, step)
        optimizer.step()
    backward(model, steps)
    return model, optimizer


def copied_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Copies of everything that a step may change."""
    tensors = [p.detach() for p in model.parameters()]
    tensors += [v for p in model.parameters() for v in optimizer.state.get(p, {}).values()]
    return [copy.deepcopy(tensor) for tensor in tensors if tensor is not None]


def same_tensors(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    return len(before) == len(after) and all(
        a.shape == b.shape
        and a.dtype == b.dtype
        and a.layout == b.layout
        # where they hold numbers
        and (a.is_meta or a.layout is not torch.strided or torch.equal(a, b))
        for a, b in zip(before, after, strict=True)
    )


def shaped_keys(state: dict[str, Any]) -> list[str]:
    """The entries that have the parameter's shape, s̄ first."""
    keys = [key for key, value in state.items() if value is not None and value.ndim]
    return sorted(keys, key=lambda key: key != "sensitivity")


# What may become of a state's tensor, so that it fits its parameter no more, and what the error then names.
SPOILT = {
    "fewer rows": (lambda t: t[:-2].clone(), r"shape \(5, 7\)"),
    "more rows": (lambda t: torch.cat([t, t]), r"shape \(14, 7\)"),
    "far smaller": (lambda t: t[:1, :1].clone(), r"shape \(1, 1\)"),
    "empty": (lambda t: t[:0].clone(), r"shape \(0, 7\)"),
    "flat": (lambda t: t.reshape(-1).clone(), r"shape \(49,\)"),
    "another dimension": (lambda t: t[0, 0].clone(), r"shape \(\)"),
    "whole numbers": (lambda t: t.long(), r"torch\.int64"),
    "bytes": (lambda t: t.to(torch.uint8), r"torch\.uint8"),
    "sparse": (lambda t: t.to_sparse(), "layout"),
    "without data": (lambda t: t.to("meta"), "meta|no data"),
    "no tensor": (lambda t: t.tolist(), "list"),
}
