"""Adamax with PATS (Algorithm 1)."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from pats._noise import Noise
from pats.kernels import ADAMAX, Base
from pats.optim._noisy import NoisyMixin, unhooked_step


class Adamax(NoisyMixin, torch.optim.Adamax):
    """torch's Adamax, followed by the noise of PATS (Algorithm 1).

        m ← β₁m + (1-β₁)g;   u ← max(β₂u, |g| + ε);   θ ← θ - lr/(1-β₁ᵗ)·m/u + q·z

    ``noise=None`` equals ``torch.optim.Adamax`` bit for bit on the same path.

    Source: Kingma and Ba 2015, as torch has it; Algorithm 1 of the paper for the noise.

    Args:
        params: Groups from ``pats.param_groups``; any of torch's forms with ``noise=None``.
        lr: Learning rate, a float or a one-element tensor.
        betas: β₁ and β₂.
        eps: The optimizer's ε.
        weight_decay: Coupled decay, added to the gradient as torch does. The sensitivity sees the
            gradient without it.
        foreach: As torch: None chooses, True and False are obeyed.
        maximize: As torch; the sensitivity then sees -g.
        differentiable: As torch; only with ``noise=None``.
        capturable: As torch.
        fused: Update and noise in one kernel (``pats.kernels``). None: where noise is on, ``foreach`` is None
            and the tensors allow it. True raises where it cannot be had, and also serves ``noise=None``, then
            within 2 ulp of max(|θ|, lr) of torch's step. False never.
        noise: Settings of PATS, written into every group as ``noise_p``, ...; None adds no noise.
        state_dtype: ``torch.float32`` keeps m and u of half-precision parameters in float32; None keeps
            them in the dtype of the parameter, as torch does.
        stochastic_rounding: Round bfloat16 parameters up or down at random, so that updates below half a unit
            in the last place are kept on average; drawn from the noise's stream (purpose 1).

    Raises:
        InputError: Noise is on and a group lacks names or ``in_scope``; ``fused=True`` cannot be had.

    A parameter without a gradient is skipped; for zero and non-finite ones see ``pats.Noise``.
    """

    _base: ClassVar[Base] = ADAMAX
    _torch_fuses: ClassVar[bool] = False
    _base_step: ClassVar[Callable[[Any], Any]] = unhooked_step(torch.optim.Adamax)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        fused: bool | None = None,
        noise: Noise | None = None,
        state_dtype: torch.dtype | None = None,
        stochastic_rounding: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            foreach,
            maximize=maximize,
            differentiable=differentiable,
            capturable=capturable,
        )
        self._install(noise, fused, state_dtype, stochastic_rounding)
