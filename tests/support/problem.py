"""The problem, the paths and the settings that the acceptance tests share."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import nn

import pats
from support import oracle

Array = NDArray[np.float64]

STEPS = 20
LR = 1e-2
SPREAD = 0.05  # of the weights, near BERT's
ULP = 2.0**-24


def initial_weights(big: bool = False) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    shapes = {
        "layer.0.weight": (24, 16),
        "layer.0.bias": (16,),
        "layer.1.weight": (5, 3, 2),
        "layer.1.transposed": (6, 9),
        "schicht.größe": (13,),
        "one": (1,),
        "scalar": (),
        "empty": (0, 3),
    }
    if big:  # more than one chunk of the library, with a remainder
        shapes = {"big": (257, 259), "odd": (65537,)}
    weights = {name: SPREAD * rng.standard_normal(shape) for name, shape in shapes.items()}
    if not big:
        weights["layer.0.bias"][::3] = 0.0  # sensitivity 0 as long as they stay 0
    return {name: np.asarray(weight) for name, weight in weights.items()}


def gradients_at(weights: dict[str, Array], t: int, dtype: DTypeLike = np.float64) -> dict[str, Array | None]:
    """Step 2 lacks a gradient, step 4 is all zeros, one tensor stays dead until 6, one column ever."""
    rng = np.random.default_rng(100 + t)
    grads = {name: 0.1 * rng.standard_normal(weight.shape) for name, weight in weights.items()}
    if "layer.0.weight" in grads:
        grads["layer.0.weight"][:, 0] = 0.0
        if t < 6:
            grads["schicht.größe"][:] = 0.0
    if t == 4:
        grads = {name: np.zeros(weight.shape) for name, weight in weights.items()}
    grads = {name: np.asarray(grad).astype(dtype).astype(np.float64) for name, grad in grads.items()}
    lacking = {"layer.1.weight"} & grads.keys() if t == 2 else set()
    return {name: None if name in lacking else grad for name, grad in grads.items()}


def lr_at(t: int) -> float:
    return LR * (1 - t / 40)


def model_of(weights: Mapping[str, Array], dtype: torch.dtype = torch.float64) -> nn.Module:
    model = nn.Module()
    for name, weight in weights.items():
        *path, leaf = name.split(".")
        owner = model
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = getattr(owner, part)
        tensor = torch.tensor(weight, dtype=dtype)
        if leaf == "transposed":  # the index is row-major whatever the memory layout
            tensor = tensor.t().contiguous().t()
        owner.register_parameter(leaf, nn.Parameter(tensor))
    return model


def give_gradients(model: nn.Module, grads: Mapping[str, Array | None]) -> None:
    for name, parameter in model.named_parameters():
        grad = grads[name]
        parameter.grad = None
        if grad is not None:  # in the layout of its parameter, as autograd leaves it
            parameter.grad = torch.empty_like(parameter).copy_(torch.tensor(grad))


def numpy_of(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy().copy()


def assert_close(actual: torch.Tensor, expected: Array, tolerance: float) -> None:
    np.testing.assert_allclose(
        numpy_of(actual), expected, rtol=tolerance, atol=tolerance * SPREAD, equal_nan=True
    )


def synchronise(matrix: oracle.Matrix, state: Mapping[str, torch.Tensor]) -> None:
    """Move the oracle's matrix to where the library stands."""
    if not state:
        return
    matrix.step = int(state["step"])
    matrix.m = numpy_of(state["exp_avg"])
    matrix.u = numpy_of(state["exp_inf" if "exp_inf" in state else "exp_avg_sq"])
    matrix.sbar = numpy_of(state["sensitivity"])
    if "noise_spent" in state:
        matrix.S, matrix.mean, matrix.F, matrix.size, matrix.E = account(state)


def account(state: Mapping[str, torch.Tensor]) -> tuple[float, ...]:
    """The five numbers of a budget."""
    names = ("spread", "mean", "variance", "size", "spent")
    return tuple(float(state[f"noise_{name}"]) for name in names)


def sized(noise: pats.Noise | oracle.Noise, state: Mapping[str, torch.Tensor]) -> tuple[float, float] | None:
    """What a budget allowed at this step, from the numbers as they are stored; None without a budget."""
    if not noise.accounted:
        return None
    _, _, variance, spending, _ = account(state)
    size = spending / noise.p if noise.p else 0.0
    return (size if noise.intensity == "variance" else math.sqrt(size)), math.sqrt(16 * size * variance)


def perturbed(
    base: Any, model: nn.Module, noise: pats.Noise, scope: str = "all", **options: Any
) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = base(model.named_parameters(), **options)
    pats.perturb(optimizer, model, noise, scope=scope)
    return optimizer


def ours_on(
    base: Any, model: nn.Module, noise: pats.Noise | None, scope: str = "all", **options: Any
) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = base(pats.param_groups(model, scope=scope), noise=noise, **options)
    return optimizer


ADAMAX_PATHS = {
    "reference": functools.partial(ours_on, pats.optim.reference.PATSAdamax),
    "single": functools.partial(ours_on, pats.optim.Adamax, foreach=False),
    "foreach": functools.partial(ours_on, pats.optim.Adamax, foreach=True),
    "perturb": functools.partial(perturbed, torch.optim.Adamax),
}
ADAMW_PATHS = {
    "single": functools.partial(ours_on, pats.optim.AdamW, foreach=False),
    "foreach": functools.partial(ours_on, pats.optim.AdamW, foreach=True),
    "fused": functools.partial(ours_on, pats.optim.AdamW, fused=True),
    "perturb": functools.partial(perturbed, torch.optim.AdamW),
}

ABSOLUTE = {"eps": 1e-8, "eps_mode": "absolute"}
CONSTANT = {"scale": "constant"}
LANGEVIN = {"scale": "langevin", "examples": 40}
NOISES = {
    "default": {},
    "budget, steps": {"budget": 0.3, "steps": 12},
    "budget std": {"intensity": "std", "budget": 1.0},
    "budget std, steps": {"intensity": "std", "steps": STEPS, "eps": 1e-8, "eps_mode": "absolute"},
    "budget signed": {"signed": True, "steps": STEPS, "p": 1.0},
    "budget algorithm1": {"eps": 1e-6, "eps_mode": "algorithm1", "budget": 0.5},
    "budget, no eps": {"eps": 0.0, "eps_mode": "absolute", "budget": 0.5, "gamma": 0.3},
    "budget 0": {"budget": 0.0},
    "anticorrelated": {"keep": "anticorrelated", "budget": 0.5},
    "anticorrelated, steps": {"keep": "anticorrelated", "budget": 0.3, "steps": 12, "p": 1.0},
    "anticorrelated std": {"keep": "anticorrelated", "intensity": "std", "budget": 0.5, "signed": True},
    "anticorrelated constant": {"keep": "anticorrelated", "lam": 1e-3, **ABSOLUTE, **CONSTANT},
    "anticorrelated lr": {"keep": "anticorrelated", "scale": "lr", "kappa": 1.0, "gamma": 0.3},
    "anticorrelated, until": {"keep": "anticorrelated", "until": 0.6, "steps": STEPS, "budget": 0.5},
    "anticorrelated, until, lr": {"keep": "anticorrelated", "scale": "lr", "until": 0.3, "steps": STEPS},
    "anticorrelated bounded": {"keep": "anticorrelated", "ratio_max": 2.0, **ABSOLUTE, **CONSTANT},
    "anticorrelated budget bounded": {"keep": "anticorrelated", "ratio_max": 1.5, "budget": 0.5},
    "constant": CONSTANT,
    "paper": ABSOLUTE | CONSTANT,
    "algorithm1": {"eps": 1e-8, "eps_mode": "algorithm1", **CONSTANT},
    "relative 1e-3": {"eps": 1e-3, **CONSTANT},
    "no eps": {"eps": 0.0, "eps_mode": "absolute", **CONSTANT},
    "std": {"intensity": "std", "eps": 1e-12, "eps_mode": "absolute", **CONSTANT},
    "std relative": {"intensity": "std", "lam": 1e-3, **CONSTANT},
    "lr": {"scale": "lr", "kappa": 1.0},
    "lr std": {"scale": "lr", "kappa": 0.3, "intensity": "std"},
    "lr std algorithm1": {
        "scale": "lr",
        "kappa": 3.0,
        "intensity": "std",
        "eps": 1e-6,
        "eps_mode": "algorithm1",
    },
    "p 1": {"p": 1.0, **CONSTANT},
    "p 0": {"p": 0.0},
    "p least": {"p": 2.0**-12, "lam": 1e-2, **CONSTANT},
    "p half": {"p": 0.5, "beta": 0.0, **CONSTANT},
    "gamma 0": {"gamma": 0.0, "seed": 2**40 + 1, **CONSTANT},
    "gamma large": {"gamma": 0.8, "beta": 0.9, "seed": -3, **CONSTANT},
    "lam 0": {"lam": 0.0, **CONSTANT},
    "signed": {"signed": True, **CONSTANT},
    "signed paper": {"signed": True, **ABSOLUTE, **CONSTANT},
    "signed algorithm1": {"signed": True, "eps": 1e-8, "eps_mode": "algorithm1", **CONSTANT},
    "signed std": {"signed": True, "intensity": "std", "lam": 1e-3, **CONSTANT},
    "signed lr": {"signed": True, "scale": "lr", "kappa": 1.0, "p": 1.0},
    "bounded": {"ratio_max": 2.0, "eps": 1e-12, "eps_mode": "absolute", **CONSTANT},
    "bounded lr std": {"scale": "lr", "intensity": "std", "kappa": 0.1, "ratio_max": 10.0, "eps": 1e-6},
    "bounded budget std": {"intensity": "std", "ratio_max": 1.5, "budget": 0.5, "steps": STEPS},
    "lr std, no bound": {"scale": "lr", "intensity": "std", "eps": 1e-12, "eps_mode": "absolute"},
    "until, constant": {"until": 0.4, "steps": STEPS, **CONSTANT},
    "until, lr": {"scale": "lr", "until": 0.3, "steps": STEPS},
    "until, budget": {"until": 0.6, "steps": STEPS, "budget": 0.5},
    "langevin": LANGEVIN,
    "langevin std": {"intensity": "std", "ratio_max": 3.0, "p": 1.0, **LANGEVIN},
    "langevin, until": {"until": 0.5, "steps": STEPS, "temperature": 0.1, **LANGEVIN},
    "langevin signed": {"signed": True, "p": 1.0, **LANGEVIN},
}
OPTIONS = {
    "decay": {"weight_decay": 0.1},
    "maximize": {"maximize": True},
    "decay, maximize": {"weight_decay": 0.1, "maximize": True},
    "betas": {"betas": (0.8, 0.99), "eps": 1e-4},
}
ROWS = {
    **{name: (noise, {}) for name, noise in NOISES.items()},
    **{name: (CONSTANT, options) for name, options in OPTIONS.items()},
    "budget, decay": ({}, OPTIONS["decay"]),
    "signed, maximize": ({"signed": True, **CONSTANT}, {"maximize": True, "weight_decay": 0.1}),
}
BASES = {
    "adamax": (oracle.PATSAdamax, ADAMAX_PATHS, set(ROWS)),
    "adamw": (
        oracle.PATSAdamW,
        ADAMW_PATHS,
        {"default", "budget std, steps", "constant", "paper", "std", "lr", "signed", "decay", "betas"}
        | {"anticorrelated", "anticorrelated constant", "anticorrelated, until"}
        | {"bounded lr std", "until, constant", "langevin, until"},
    ),
}
