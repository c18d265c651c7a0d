"""Models between two steps of transient noise, and everybody who may look at them."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import pats
from support.small_network import backward, flat_weights, make_network

LR = 1e-2
NOISE = pats.Noise(keep="transient", budget=0.3, seed=3)
BASES: dict[str, Callable[[nn.Module], Optimizer]] = {
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=LR),
    "adamax, ours": lambda model: pats.optim.Adamax(pats.param_groups(model), lr=LR, foreach=False),
    "momentum": lambda model: torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9),
}


def attached(
    base: str = "adamw", noise: pats.Noise = NOISE, model: nn.Module | None = None, **options: Any
) -> tuple[nn.Module, Optimizer, pats.Perturbation]:
    """A model, its optimizer and the noise on both."""
    model = make_network() if model is None else model
    optimizer = BASES[base](model)
    return model, optimizer, pats.perturb(optimizer, model, noise, **options)


def trained(steps: int = 4, **given: Any) -> tuple[nn.Module, Optimizer, pats.Perturbation, Tensor, Tensor]:
    """A model between two steps, its clean weights, and those with the noise in, which is there now."""
    model, optimizer, handle = attached(**given)
    for step in range(steps):
        backward(model, step)
        optimizer.step()
    clean = flat_weights(model)
    backward(model, steps)
    noisy = flat_weights(model)
    assert not torch.equal(clean, noisy)
    return model, optimizer, handle, clean, noisy


def inputs() -> Tensor:
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(7))


def look_again(model: nn.Module) -> None:
    """A pass without gradients."""
    with torch.no_grad():
        model(inputs())


def evaluated(model: nn.Module) -> None:
    model.eval()
    model(inputs())
    model.train()


def saved(model: nn.Module) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


LOOKS: dict[str, Callable[[Any], Any]] = {
    "eval": evaluated,
    "no_grad": look_again,
    "inference_mode": torch.inference_mode()(lambda model: model(inputs())),
    "state_dict": lambda model: model.state_dict(),
    "state_dict of a part": lambda model: model.layers[1].state_dict(),
    "deepcopy": copy.deepcopy,
    "deepcopy of a part": lambda model: copy.deepcopy(model.layers[0].linear),
    "pickle": pickle.dumps,
    "torch.save": saved,
}
