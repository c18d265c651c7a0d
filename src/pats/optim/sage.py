"""SAGE (Liang et al. 2022): a learning rate for every parameter, guided by its sensitivity.

    I_t = |θ_t ⊙ g_t|                     θ before the update and its decay, g after clipping
    E_t = β₃E_{t-1} + (1-β₃)I_t,  E_0 = 0
    U_t = |I_t - E_t|
    R_t = U_t/(E_t + ε²)                  eps_mode="code", as the authors' repository
    R_t = (U_t + ε)/(E_t + ε)             eps_mode="paper"

The learning rate of every entry in scope is multiplied by R_t. There is no clamp: without bias correction
R lies in [0, max(1, β₃/(1-β₃))]. An entry that is exactly zero stays zero. The authors' code covers weights
and biases of the attention and feed-forward layers, which is ``scope="encoder"`` of ``pats.param_groups``.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from pats._errors import InputError
from pats._noise import sensitivity, state_dtype
from pats.kernels import Plans, batches
from pats.optim._one_by_one import OneByOne, check_settings
from pats.step import shard
from pats.step.matrices import iterate, job_for
from pats.step.state import SENSITIVITY


class _SAGE(OneByOne):
    _moments: ClassVar[tuple[str, str]]

    def __init__(
        self,
        groups: Any,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float = 0.75,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        eps_mode: str = "code",
        **more: Any,
    ) -> None:
        if eps_mode not in ("code", "paper"):
            raise InputError(f"eps_mode is {eps_mode!r}, but must be one of: code, paper")
        numbers = {"lr": lr, "eps": eps, "weight_decay": weight_decay}
        check_settings({"betas[0]": betas[0], "betas[1]": betas[1], "beta3": beta3}, numbers)
        super().__init__(groups, {**numbers, "betas": betas, "beta3": beta3, "eps_mode": eps_mode, **more})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's; the group must carry ``in_scope``."""
        super().add_param_group(param_group)
        if "in_scope" not in self.param_groups[-1]:
            raise InputError(
                "SAGE needs in_scope in every parameter group: build the groups with pats.param_groups(model)"
            )

    def _prepare(self) -> None:
        """E of all parameters, in one pass of their path."""
        jobs = []
        for group, parameter, name in iterate(self.param_groups):
            if parameter.grad is None or not group["in_scope"]:
                continue
            shard.refuse_flat(parameter, name or "a parameter")
            self.state[parameter].setdefault("step", torch.zeros(()))
            for key in self._moments:
                self._held(parameter, key)
            job = job_for(parameter, shard.local_grad(parameter), "")
            job.average, job.beta = self._held(parameter, SENSITIVITY, state_dtype(parameter)), group["beta3"]
            jobs.append(job)
        plans = self.__dict__.setdefault("_plans", Plans())  # what the Triton kernels keep; no copy has it
        for batch in batches(jobs, plans):
            batch.measure()

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        shard.refuse_flat(theta, name or "a parameter")
        self._update_part(theta, shard.local_grad(theta), group)

    def _update_part(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        """Update this rank's part of a parameter, with its part of the gradient."""
        raise NotImplementedError

    def _held(self, parameter: Tensor, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """This rank's part of a state of the parameter's shape, zero at first."""
        state = self.state[parameter]
        if key not in state:
            state[key] = torch.zeros_like(parameter, dtype=dtype, memory_format=torch.contiguous_format)
        state[key] = state[key].contiguous()  # itself, where it is
        return shard.local(state[key])

    def _factor(
        self, parameter: Tensor, grad: Tensor, group: dict[str, Any], correction: float = 1.0
    ) -> Tensor | float:
        """R_t from E_t; 1 out of scope. ``correction`` divides E where its bias is corrected."""
        if not group["in_scope"]:
            return 1.0
        held = self._held(parameter, SENSITIVITY, state_dtype(parameter))
        current = sensitivity(shard.local(parameter).to(held.dtype), grad.to(held.dtype))
        average = held / correction
        uncertainty = (current - average).abs_()
        eps: float = group["eps"]
        if group["eps_mode"] == "paper":
            return (uncertainty + eps) / (average + eps)
        return uncertainty / (average + eps**2)


class SAGEAdamax(_SAGE):
    """Adamax with SAGE, as the authors' ``usadamax``.

        m ← β₁m + (1-β₁)g;   u ← max(β₂u, |g| + ε);   q = m/(u + ε) + wd·θ;   θ ← θ - lr·R ⊙ q

    There is no bias correction, ε enters twice, and the decay is multiplied by R and lr.

    Source: Liang et al., ICLR 2022, and the authors' code.

    Args:
        groups: From ``pats.param_groups``; groups out of scope have R = 1.
        lr: Learning rate; the authors advise 2 to 5 times that of plain fine-tuning.
        betas: β₁ and β₂.
        beta3: β₃; the authors use 0.6 to 0.9.
        eps: ε.
        weight_decay: wd.
        eps_mode: ``"code"`` or ``"paper"``, see the module.

    A parameter without a gradient is skipped. A non-finite sensitivity leaves E as it was.

    Raises:
        InputError: A value is out of its range, or a group does not say whether it is in scope.
    """

    _moments: ClassVar[tuple[str, str]] = ("exp_avg", "exp_inf")

    def _update_part(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        (beta1, beta2), eps = group["betas"], group["eps"]
        self._counted(parameter)
        theta = shard.local(parameter)
        first, largest = self._held(parameter, "exp_avg"), self._held(parameter, "exp_inf")
        first.lerp_(grad, 1 - beta1)
        torch.maximum(largest.mul_(beta2), grad.abs().add_(eps), out=largest)
        update = first / (largest + eps)
        factor = self._factor(parameter, grad, group)
        if group["weight_decay"]:
            update.add_(theta, alpha=group["weight_decay"])
        theta.sub_((factor * update * group["lr"]).to(theta.dtype))


class SAGEAdamW(_SAGE):
    """AdamW with SAGE, as the authors' ``usadamw``.

        m ← β₁m + (1-β₁)g;   v ← β₂v + (1-β₂)g²;   D = √v + ε
        Ê = E/(1-β₃ᵗ);   R = |I - Ê|/(Ê + ε²)
        θ ← θ - lr·√(1-β₂ᵗ)/(1-β₁ᵗ)·R ⊙ m/D;   then   θ ← θ - lr₀·wd·θ

    lr₀ is the rate before the schedule (``initial_lr``, where a scheduler has set it), as in the authors'
    code; the decay is not multiplied by R. With bias correction the first step moves nothing but decay.

    Source: Liang et al., ICLR 2022, and the authors' code.

    Args:
        groups: From ``pats.param_groups``; groups out of scope have R = 1.
        lr: Learning rate.
        betas: β₁ and β₂.
        beta3: β₃.
        eps: ε, outside the root and before the correction.
        weight_decay: wd.
        eps_mode: ``"code"`` or ``"paper"``, see the module.
        correct_bias: False leaves out the corrections of m, v and E.

    A parameter without a gradient is skipped. A non-finite sensitivity leaves E as it was.

    Raises:
        InputError: A value is out of its range, or a group does not say whether it is in scope.
    """

    _moments: ClassVar[tuple[str, str]] = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        groups: Any,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float = 0.75,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        eps_mode: str = "code",
        correct_bias: bool = True,
    ) -> None:
        super().__init__(groups, lr, betas, beta3, eps, weight_decay, eps_mode, correct_bias=correct_bias)

    def _update_part(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        (beta1, beta2), beta3 = group["betas"], group["beta3"]
        _, t = self._counted(parameter)
        theta = shard.local(parameter)
        first, second = self._held(parameter, "exp_avg"), self._held(parameter, "exp_avg_sq")
        first.lerp_(grad, 1 - beta1)
        second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denominator = second.sqrt().add_(group["eps"])
        corrected = group["correct_bias"]
        size = group["lr"] * ((1 - beta2**t) ** 0.5 / (1 - beta1**t) if corrected else 1.0)
        factor = self._factor(parameter, grad, group, 1 - beta3**t if corrected else 1.0)
        theta.sub_((factor * (first / denominator) * size).to(theta.dtype))
        if group["weight_decay"]:
            theta.sub_(theta * (group.get("initial_lr", group["lr"]) * group["weight_decay"]))
