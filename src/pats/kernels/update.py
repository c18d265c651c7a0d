"""The base optimizers' updates as pure functions: what every path that updates by itself must agree with.

    Adamax   g ← g + wd·θ;   m ← β₁m + (1-β₁)g;   u ← max(β₂u, |g| + ε);   Δ = lr/(1-β₁ᵗ)·m/u
    AdamW    m ← β₁m + (1-β₁)g;   v ← β₂v + (1-β₂)g²;   Δ = lr·wd·θ + lr/(1-β₁ᵗ)·m/(√v/√(1-β₂ᵗ) + ε)

and θ ← θ - Δ (+ q·z). Both are torch's: ``torch.optim.Adamax`` and ``torch.optim.AdamW``.
"""

import torch
from torch import Tensor

from pats.kernels.job import Rule


def moments(rule: Rule, theta: Tensor, grad: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The new m, and u or v, in the dtype of the tensors given.

    Args:
        rule: Which optimizer, and its constants; its own tensors are not read.
        theta: θ before the update.
        grad: ∇L, already negated under ``maximize``.
        first: m.
        second: u or v.
    """
    beta1, beta2 = rule.betas
    if rule.name == "adamax":
        grad = grad + rule.weight_decay * theta
        second = torch.maximum(beta2 * second, grad.abs() + rule.eps)
    else:
        second = beta2 * second + (1 - beta2) * grad * grad
    return beta1 * first + (1 - beta1) * grad, second


def change(rule: Rule, theta: Tensor, first: Tensor, second: Tensor, lr: float, step: int) -> Tensor:
    """Δ from the new moments.

    Args:
        rule: Which optimizer, and its constants.
        theta: θ before the update.
        first: m.
        second: u or v.
        lr: This step's learning rate.
        step: This step's number t, 1-based.
    """
    beta1, beta2 = rule.betas
    size = lr / (1 - beta1**step)
    if rule.name == "adamax":
        delta: Tensor = size * first / second
        return delta
    norm: Tensor = second.sqrt() / (1 - beta2**step) ** 0.5 + rule.eps
    return lr * rule.weight_decay * theta + size * first / norm


def round_stochastically(value: Tensor, word: Tensor) -> Tensor:
    """A float32 tensor as bfloat16: up with the probability of the part that does not fit.

    The low half of the stream's word is added below the bits that stay, and the sum is cut off. What is not
    finite keeps its value.

    Args:
        value: float32.
        word: The stream's words of the same elements (purpose 1), int64.
    """
    bits = value.view(torch.int32).long() & 0xFFFFFFFF
    up = (bits + (word & 0xFFFF)) & 0xFFFF0000
    signed = torch.where(up >= 2**31, up - 2**32, up).to(torch.int32)
    rounded = signed.view(torch.float32)
    return torch.where(torch.isfinite(value), rounded, value).to(torch.bfloat16)
