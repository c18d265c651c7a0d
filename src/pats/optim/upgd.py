"""UPGD: useful weights are protected, useless ones perturbed.

Elsayed & Mahmood, "Addressing Loss of Plasticity and Catastrophic Forgetting in Continual Learning", ICLR
2024: utility-based perturbed gradient descent on weights, with the first-order utility.

    u_j ← β·u_j + (1-β)·(-θ_j·g_j);   û_j = u_j/(1-βᵗ)     by how much the loss would rise without θ_j
    ū_j = φ(û_j/max û)                         global: the maximum over all parameters in scope
    ū_j = φ(û_j/‖û of its row‖₂)               local
    θ_j ← θ_j - lr·(g_j + ξ_j)·f·(1 - ū_j),    ξ_j ~ N(0, σ²),  φ the sigmoid

-u is the moving average of PATS's sensitivity before Eq. 1 takes its absolute value: ``Noise(signed=True)``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer

from pats import philox
from pats._errors import InputError
from pats._noise import moving_average_, sensitivity, state_dtype
from pats._scope import canonical_name, refuse_twins
from pats.kernels import draws
from pats.optim._one_by_one import check_settings
from pats.step.checkpoint import follow_loading
from pats.step.displaced import refuse_sharded
from pats.step.matrices import iterate
from pats.step.state import SENSITIVITY, check_step

UTILITIES = ("global", "local")
GATES = ("all", "noise", "off")


class UPGD:
    """UPGD around any torch optimizer: its update takes the place of -lr·g.

        optimizer = torch.optim.AdamW(pats.param_groups(model), lr=2e-5)
        pats.optim.UPGD(optimizer)

    Around SGD it is the paper's. Weight decay that the optimizer does itself is a part of its update.

    Source: Elsayed and Mahmood, ICLR 2024.

    Args:
        optimizer: Steps without a closure; its groups are from ``pats.param_groups``, those out of scope are
            left alone.
        beta: β of the utility, in [0, 1).
        sigma: σ ≥ 0 of the noise, in units of the gradient for SGD, of the normalised step for Adam's family:
            the noise of a step is lr·σ.
        utility: ``"global"`` or ``"local"``.
        gate: ``"all"`` gates update and noise by f·(1 - ū); ``"noise"`` the noise alone; ``"off"`` nothing.
        factor: f > 0. With 2, a weight of no utility is updated as without UPGD, since φ(0) = ½.
        seed: Seed of the noise, from the stream (purpose 8).

    ``state[p]["sensitivity"]`` is -u, in float32 or float64. An entry whose θ·g is not finite keeps its u,
    and its parameter gets no noise in that step; the update is the optimizer's. A parameter without a
    gradient is left alone. Where no utility is above 0, ū is φ(0). torch takes no hooks along when it copies
    or pickles an optimizer: put UPGD around the copy again.

    Raises:
        InputError: A value is out of its range, or a group lacks names or ``in_scope``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        beta: float = 0.999,
        sigma: float = 1e-3,
        utility: str = "global",
        gate: str = "all",
        factor: float = 2.0,
        seed: int = 0,
    ) -> None:
        check_settings({"beta": beta}, {"sigma": sigma, "factor": factor})
        for name, value, allowed in (("utility", utility, UTILITIES), ("gate", gate, GATES)):
            if value not in allowed:
                raise InputError(f"{name} is {value!r}, but must be one of: {', '.join(allowed)}")
        if any("in_scope" not in group or "param_names" not in group for group in optimizer.param_groups):
            raise InputError(
                "UPGD needs in_scope and names in every parameter group: build the groups with "
                "pats.param_groups(model)"
            )
        refuse_twins(optimizer.param_groups)
        self._beta, self._sigma, self._factor = beta, sigma, factor
        self._utility, self._gate, self._seed = utility, gate, seed
        self._steps: list[_Matrix] = []  # between the hooks
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
            *follow_loading(optimizer),
        ]

    def remove(self) -> None:
        """Detach: later steps are the optimizer's alone."""
        while self._handles:
            self._handles.pop().remove()

    @torch.no_grad()
    def _before(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("closure", args[1] if len(args) > 1 else None) is not None:
            raise RuntimeError(
                "UPGD needs the gradients before the step: call backward(), then step() without a closure"
            )
        check_step(optimizer)
        self._steps = [
            _Matrix(self._beta, group, parameter, str(name), optimizer.state.get(parameter, {}))
            for group, parameter, name in iterate(optimizer.param_groups)
            if group["in_scope"] and parameter.grad is not None
        ]

    @torch.no_grad()
    def _after(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        steps, self._steps = self._steps, []
        for one in steps:
            one.count(optimizer.state[one.parameter])
        tops = [-one.average.min() * one.correction for one in steps if one.average.numel()]
        if not tops:
            return
        top = torch.stack([one.to(tops[0].device) for one in tops]).max()
        for one in steps:
            self._update(one, top.to(one.average.device))

    def _update(self, one: "_Matrix", top: Tensor) -> None:
        theta, moved, kept = one.parameter, None, self._kept(one, top)
        if self._gate == "all" and kept is not None:
            moved = torch.addcmul(one.theta, theta - one.theta, kept)
        if self._sigma:
            noise = draws.normal_like(self._seed, one.name, one.step, theta, philox.UPGD)
            if kept is not None:
                noise.mul_(kept)
            noise.mul_((one.spoilt == 0).to(noise.dtype) * (self._sigma * one.group["lr"]))
            moved = (theta if moved is None else moved) - noise
        if moved is not None:
            theta.copy_(moved)

    def _kept(self, one: "_Matrix", top: Tensor) -> Tensor | None:
        """f·(1 - ū), which is f·φ of what is in φ, negated; None without a gate."""
        if self._gate == "off":
            return None
        if self._utility == "local":
            harm = functional.normalize(one.average * one.correction, dim=-1)
        else:
            harm = one.average * torch.where(top > 0, one.correction / top, 0.0)
        return harm.sigmoid_().mul_(self._factor)


class _Matrix:
    """One parameter of one step: its values before, and its utility."""

    def __init__(
        self, beta: float, group: dict[str, Any], parameter: Tensor, name: str, state: dict[str, Any]
    ) -> None:
        refuse_sharded([parameter], "UPGD")
        assert parameter.grad is not None
        self.group, self.parameter, self.name, self.beta = group, parameter, canonical_name(name), beta
        self.theta = parameter.detach().clone()
        self.counted, self.step = float(state.get("step", 0)), 0
        kind, held = state_dtype(parameter), state.get(SENSITIVITY)
        zeros = torch.zeros_like(parameter, dtype=kind, memory_format=torch.contiguous_format)
        self.average = zeros if held is None else held
        self.correction = 1.0
        s = sensitivity(self.theta.to(kind), parameter.grad.to(kind), signed=True)
        self.spoilt = moving_average_(self.average, s, beta)

    def count(self, state: dict[str, Any]) -> None:
        """Count the step, and put a new average into the state, which the optimizer has made by now."""
        step = state.setdefault("step", torch.zeros(()))
        if float(step) == self.counted:  # an optimizer that does not count, as SGD
            state["step"] = step + 1
        self.step = int(state["step"])
        state[SENSITIVITY] = self.average
        self.correction = 1 / (1 - self.beta**self.step)
