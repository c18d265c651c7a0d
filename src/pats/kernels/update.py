"""The base optimizers' updates as pure functions: what every path that updates by itself must agree with.

    Adamax   g ← g + wd·θ;   m ← β₁m + (1-β₁)g;   u ← max(β₂u, |g| + ε);   Δ = lr/(1-β₁ᵗ)·m/u
    AdamW    m ← β₁m + (1-β₁)g;   v ← β₂v + (1-β₂)g²;   Δ = lr·wd·θ + lr/(1-β₁ᵗ)·m/(√v/√(1-β₂ᵗ) + ε)

and θ ← θ - Δ (+ q·z). Both are torch's: ``torch.optim.Adamax`` and ``torch.optim.AdamW``. A ``Base`` says
what is its own in them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


class Base(ABC):
    """A base optimizer whose update the paths can do.

    Attributes:
        code: Its number in the kernels: ``PATS_ADAMAX``, ``PATS_ADAMW`` of ``pats.h``; 0 is no update.
        decoupled: Whether the decay is taken from θ; otherwise it is added to the gradient.
    """

    code: ClassVar[int]
    decoupled: ClassVar[bool]

    @abstractmethod
    def second(self, rule: "Rule", held: Tensor, grad: Tensor) -> Tensor:
        """The new u or v."""

    @abstractmethod
    def correction(self, beta2: float, step: int) -> float:
        """What the root of the second moment is divided by at step t; 1 where no bias is corrected."""

    @abstractmethod
    def norm(self, rule: "Rule", second: Tensor, step: int) -> Tensor:
        """What m is divided by."""


class _Adamax(Base):
    code, decoupled = 1, False

    def second(self, rule: "Rule", held: Tensor, grad: Tensor) -> Tensor:
        return torch.maximum(rule.betas[1] * held, grad.abs() + rule.eps)

    def correction(self, beta2: float, step: int) -> float:
        return 1.0

    def norm(self, rule: "Rule", second: Tensor, step: int) -> Tensor:
        return second


class _AdamW(Base):
    code, decoupled = 2, True

    def second(self, rule: "Rule", held: Tensor, grad: Tensor) -> Tensor:
        beta2 = rule.betas[1]
        return beta2 * held + (1 - beta2) * grad * grad

    def correction(self, beta2: float, step: int) -> float:
        root: float = (1 - beta2**step) ** 0.5
        return root

    def norm(self, rule: "Rule", second: Tensor, step: int) -> Tensor:
        return second.sqrt() / self.correction(rule.betas[1], step) + rule.eps


ADAMAX, ADAMW = _Adamax(), _AdamW()


@dataclass(slots=True)
class Rule:
    """The base optimizer's update of one parameter.

    Args:
        base: ``ADAMAX`` or ``ADAMW``.
        betas: β₁ and β₂.
        eps: ε_opt.
        weight_decay: wd.
        first: m, changed in place; float32, float64 or θ's dtype.
        second: u or v, like m.
        stochastic_rounding: Round a bfloat16 θ up or down at random, with purpose 1 of the stream.
    """

    base: Base
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    first: Tensor
    second: Tensor
    stochastic_rounding: bool = False


def moments(rule: Rule, theta: Tensor, grad: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The new m, and u or v, in the dtype of the tensors given.

    Args:
        rule: Which optimizer, and its constants; its own tensors are not read.
        theta: θ before the update.
        grad: ∇L, already negated under ``maximize``.
        first: m.
        second: u or v.
    """
    beta1 = rule.betas[0]
    if not rule.base.decoupled:
        grad = grad + rule.weight_decay * theta
    return beta1 * first + (1 - beta1) * grad, rule.base.second(rule, second, grad)


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
    size = lr / (1 - rule.betas[0] ** step)
    delta: Tensor = size * first / rule.base.norm(rule, second, step)
    return lr * rule.weight_decay * theta + delta if rule.base.decoupled else delta


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
