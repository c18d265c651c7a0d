"""IVON: variational learning at the price of Adam.

Shen et al., "Variational Learning is Effective for Large Deep Networks", ICML 2024, Algorithm 1. The weights
have a Gaussian posterior of mean m and variance σ² = 1/(λ(h + δ)), with λ the number of training examples:

    n ~ N(0, σ²);   ĝ = ∇ℓ(m + n);   ĥ = ĝ·n/σ²                  the loss ℓ is a mean over examples
    g ← β₁g + (1-β₁)ĝ
    h ← β₂h + (1-β₂)ĥ + ½(1-β₂)²(h - ĥ)²/(h + δ)                 so that h + δ stays above 0
    x = (g/(1-β₁ᵗ) + δm)/(h + δ);   m ← m - α·clip(x, ±ξ)
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from pats import philox
from pats._errors import InputError
from pats._noise import state_dtype
from pats._scope import canonical_name, refuse_twins
from pats.kernels import draws
from pats.optim._one_by_one import OneByOne, check_settings
from pats.step.displaced import displaced, refuse_sharded
from pats.step.matrices import iterate
from pats.step.state import HESSIAN

RESCALES = ("hess_init", "radius", "none")


class IVON(OneByOne):
    """Variational online Newton with a diagonal Gaussian posterior.

        for x, y in batches:
            with optimizer.sampled():
                loss(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()

    The parameters are the mean, which is what is evaluated and saved; only inside ``sampled()`` they are a
    sample. There is one sample a step: micro-batches and data-parallel replicas share it, so that a step
    knows the gradient at its sample exactly, whatever was accumulated, averaged or clipped. It is drawn from
    the noise's stream (purpose 7) for the parameter's coming step.

    Source: Shen et al., ICML 2024.

    Args:
        groups: From ``pats.param_groups``; parameters out of scope are not sampled, and their h stays.
        lr: Learning rate, see ``rescale``.
        ess: λ > 0, the effective sample size: the number of training examples; a larger one is a colder
            posterior.
        betas: β₁ in [0, 1) and β₂ in [0, 1]; β₂ = 1 leaves h as it is.
        hess_init: h at the start, above 0.
        delta: δ ≥ 0, precision of the prior over λ, which the authors' code calls weight decay. It pulls the
            mean to 0 with the loss's own scale.
        weight_decay: wd of a decoupled decay beside it, m ← m - lr·wd·m, as in AdamW; not in the paper.
        clip_radius: ξ > 0, of every entry of x; infinity does not clip.
        rescale: α is lr·(hess_init + δ) with ``"hess_init"``, as the authors' code, so that the first steps
            are those of SGD; lr/ξ with ``"radius"``, so that lr is the largest move of a weight, about as in
            Adam; and lr with ``"none"``, as in the paper.
        seed: Seed of the stream.

    ``state[p]["hessian"]`` is h, in float32 or float64. A parameter without a gradient is skipped. A step
    without ``sampled()`` before leaves h alone, and so does an ĥ that is not finite; NaN gradients are not
    looked for, as in torch.

    Raises:
        InputError: A value is out of its range, or a group lacks names or ``in_scope``.
    """

    reads = frozenset({"step", "exp_avg"})

    def __init__(
        self,
        groups: Any,
        lr: float,
        ess: float,
        betas: tuple[float, float] = (0.9, 0.99999),
        hess_init: float = 1.0,
        delta: float = 1e-4,
        weight_decay: float = 0.0,
        *,
        clip_radius: float = math.inf,
        rescale: str = "hess_init",
        seed: int = 0,
    ) -> None:
        if rescale not in RESCALES:
            raise InputError(f"rescale is {rescale!r}, but must be one of: {', '.join(RESCALES)}")
        if rescale == "radius" and clip_radius == math.inf:
            raise InputError("rescale is 'radius', which divides by clip_radius: give a finite one")
        check_settings({"betas[0]": betas[0]}, {"lr": lr, "delta": delta, "weight_decay": weight_decay})
        if not 0 <= betas[1] <= 1:
            raise InputError(f"betas[1] is {betas[1]!r}, but must be at least 0 and at most 1")
        for name, value in {"ess": ess, "hess_init": hess_init}.items():
            if not 0 < value < math.inf:
                raise InputError(f"{name} is {value!r}, but must be a number above 0")
        if not clip_radius > 0:
            raise InputError(f"clip_radius is {clip_radius!r}, but must be above 0")
        defaults = {
            "lr": lr,
            "ess": ess,
            "betas": betas,
            "hess_init": hess_init,
            "delta": delta,
            "weight_decay": weight_decay,
            "clip_radius": clip_radius,
            "rescale": rescale,
            "seed": seed,
        }
        super().__init__(groups, defaults)
        refuse_twins(self.param_groups)
        self._drawn: dict[Tensor, Tensor] = {}  # the sample's n, from the first micro-batch to the step

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._drawn = {}  # of another state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's; the group must carry names and ``in_scope``."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if "in_scope" not in group or "param_names" not in group:
            raise InputError(
                "IVON needs in_scope and names in every parameter group: build the groups with "
                "pats.param_groups(model)"
            )

    def sampled(self) -> AbstractContextManager[None]:
        """Within, the parameters in scope are the coming step's sample; then the mean again, to the bit.

        Forward and backward pass belong inside. Several times a step, it is the same sample.
        """
        return displaced(self.sample())

    def sample(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The parameters in scope, each with its n for the coming step."""
        for group, parameter, name in iterate(self.param_groups):
            if not (group["in_scope"] and parameter.requires_grad):
                continue
            if parameter not in self._drawn:
                refuse_sharded([parameter], "IVON")
                assert name is not None
                self._drawn[parameter] = self._draw(parameter, group, canonical_name(name))
            yield parameter, self._drawn[parameter]

    @torch.no_grad()
    def _draw(self, parameter: Tensor, group: dict[str, Any], name: str) -> Tensor:
        state = self.state.get(parameter, {})
        step = int(state.get("step", 0)) + 1
        normal = draws.normal_like(group["seed"], name, step, parameter, philox.WEIGHT)
        start = torch.full((), group["hess_init"], dtype=normal.dtype, device=normal.device)
        held = state.get(HESSIAN, start)
        return normal.mul_((group["ess"] * (held + group["delta"])).rsqrt_())

    def step(self, closure: Any = None) -> Any:
        """One step; see ``OneByOne``."""
        try:
            return super().step(closure)
        finally:
            self._drawn.clear()

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        state, t = self._counted(theta, "exp_avg")
        if HESSIAN not in state:
            held = torch.empty_like(theta, dtype=state_dtype(theta), memory_format=torch.contiguous_format)
            state[HESSIAN] = held.fill_(group["hess_init"])
        (beta1, beta2), delta, held = group["betas"], group["delta"], state[HESSIAN]
        state["exp_avg"].lerp_(grad, 1 - beta1)
        noise = self._drawn.get(theta)
        if noise is not None:
            wide, width = grad.to(held.dtype), held + delta
            estimate = (wide * noise).mul_(width).mul_(group["ess"])
            towards = held.lerp(estimate, 1 - beta2)  # β2 in float32 would put 1 - β2 off by 0.14 %
            towards += 0.5 * (1 - beta2) ** 2 * (held - estimate).square_() / width
            held.copy_(torch.where(torch.isfinite(towards), towards, held))
        mean = state["exp_avg"].to(held.dtype) / (1 - beta1**t)
        radius, lr = group["clip_radius"], group["lr"]
        change = mean.add_(theta, alpha=delta).div_(held + delta).clamp_(-radius, radius)
        sizes = {"hess_init": group["hess_init"] + delta, "radius": 1 / radius, "none": 1.0}
        change = change * (lr * sizes[group["rescale"]])
        if group["weight_decay"]:
            change.add_(theta, alpha=lr * group["weight_decay"])
        theta.sub_(change)  # all at once: a factor 1 - lr·decay is rounded, always to the same side
