"""AdamW with PATS."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from pats._noise import Noise
from pats.kernels import ADAMW, Base
from pats.optim._noisy import NoisyMixin, unhooked_step


class AdamW(NoisyMixin, torch.optim.AdamW):
    """torch's AdamW, followed by the noise of PATS.

        θ ← θ - lr·wd·θ;   θ ← θ - lr·m̂/(√v̂ + ε) + q·z

    ``noise=None`` equals ``torch.optim.AdamW`` bit for bit on the same path. The sensitivity sees θ before
    the decay.

    Source: Loshchilov and Hutter 2019, as torch has it; Eq. 1-5 of the paper for the noise.

    Args:
        params: Groups from ``pats.param_groups``; any of torch's forms with ``noise=None``.
        lr: Learning rate, a float or a one-element tensor.
        betas: β₁ and β₂.
        eps: The optimizer's ε.
        weight_decay: Decoupled decay, torch's default of 0.01.
        amsgrad: As torch.
        maximize: As torch; the sensitivity then sees -g.
        foreach: As torch: None chooses, True and False are obeyed.
        capturable: As torch.
        differentiable: As torch; only with ``noise=None``.
        fused: With noise, update and noise in one kernel (``pats.kernels``): None where ``foreach`` is None
            and the tensors allow it, False never, True wherever possible, and elsewhere torch's fused update
            followed by the noise. As torch with ``noise=None``.
        noise: Settings of PATS, written into every group as ``noise_p``, ...; None adds no noise.
        state_dtype: ``torch.float32`` keeps the moments of half-precision parameters in float32; None keeps
            them in the dtype of the parameter, as torch does.
        stochastic_rounding: Round bfloat16 parameters up or down at random, so that updates below half a unit
            in the last place are kept on average; drawn from the noise's stream (purpose 1).

    Raises:
        InputError: Noise is on and a group lacks names or ``in_scope``.
    """

    _base: ClassVar[Base] = ADAMW
    _torch_fuses: ClassVar[bool] = True
    _base_step: ClassVar[Callable[[Any], Any]] = unhooked_step(torch.optim.AdamW)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
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
            amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
        )
        self._install(noise, fused, state_dtype, stochastic_rounding)
