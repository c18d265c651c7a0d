"""RecAdam: Adam that recalls the pretrained weights less and less.

Chen et al., "Recall and Learn: Fine-tuning Deep Pretrained Language Models with Less Forgetting", EMNLP
2020, as in the authors' code.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from pats._errors import InputError
from pats._scope import canonical_name
from pats.optim._one_by_one import OneByOne, check_settings
from pats.step import shard

SCHEDULES = ("sigmoid", "linear", "constant")
ANCHOR = "anchor"


class RecAdam(OneByOne):
    """Adam on the task, annealed in while a quadratic pull to the pretrained weights is annealed out.

        λ(t) = w/(1 + exp(-k(t - t₀)))  (sigmoid),  w·min(1, t/t₀)  (linear),  w  (constant)
        m ← β₁m + (1-β₁)g;   v ← β₂v + (1-β₂)g²;   D = √v + ε;   a = lr·√(1-β₂ᵗ)/(1-β₁ᵗ)
        in scope, w > 0:  θ' = θ - a·λ(t)·m/D;   θ ← θ' - lr·(w - λ(t))·γ·(θ' - θ_pre)
        else:             θ ← θ - a·m/D                                        (plain Adam)
        then              θ ← θ - lr·wd·θ

    t counts the parameter's own steps from 1. The moments are those of the raw gradient. The pull has
    no bias correction, and warm-up weakens it too.

    Source: Chen et al., EMNLP 2020, and the authors' code.

    Args:
        groups: From ``pats.param_groups``; groups out of scope, such as the head, are plain Adam.
        lr: Learning rate. lr·(w - λ)·γ, the part of the way to θ_pre that one step goes, must stay
            below 1 not to overshoot, and below 2 not to diverge.
        betas: β₁ and β₂.
        eps: ε, outside the root and before the correction.
        weight_decay: wd, decoupled.
        schedule: Of λ: ``"sigmoid"``, ``"linear"`` or ``"constant"``.
        k: Steepness of the sigmoid.
        t0: t₀, the step at which the sigmoid is half way, or the line at its end.
        gamma: γ, strength of the pull.
        w: Final weight of the task; 0 is plain Adam with decoupled decay.
        penalty_at: Where the pull is taken: ``"moved"`` is θ', as the authors' code; ``"previous"`` is
            θ before the step, as the paper's algorithm.
        correct_bias: False leaves out the correction of m and v.
        anchors: θ_pre by canonical name; None takes every parameter as it is at its first step.

    ``state[p]["anchor"]`` holds θ_pre for parameters in scope, so it is in ``state_dict()`` and a resumed
    optimizer pulls to the same weights. A parameter without a gradient is skipped, pull and decay
    included. NaN gradients are not looked for, as in torch.

    Raises:
        InputError: A value is out of its range, a group lacks ``in_scope``, or an anchor is missing.
    """

    reads = frozenset({"step", "exp_avg", "exp_avg_sq"})

    def __init__(
        self,
        groups: Any,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        schedule: str = "sigmoid",
        k: float = 0.5,
        t0: float = 250,
        gamma: float = 5000,
        w: float = 1.0,
        penalty_at: str = "moved",
        correct_bias: bool = True,
        anchors: Mapping[str, Tensor] | None = None,
    ) -> None:
        if schedule not in SCHEDULES:
            raise InputError(f"schedule is {schedule!r}, but must be one of: {', '.join(SCHEDULES)}")
        if penalty_at not in ("moved", "previous"):
            raise InputError(f"penalty_at is {penalty_at!r}, but must be one of: moved, previous")
        numbers = {
            "lr": lr,
            "eps": eps,
            "weight_decay": weight_decay,
            "k": k,
            "t0": t0,
            "gamma": gamma,
            "w": w,
        }
        check_settings({"betas[0]": betas[0], "betas[1]": betas[1]}, numbers)
        self._anchors = anchors
        defaults = {
            **numbers,
            "betas": betas,
            "schedule": schedule,
            "penalty_at": penalty_at,
            "correct_bias": correct_bias,
        }
        super().__init__(groups, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's; the group must carry ``in_scope``, and an anchor for each name where there are any."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if "in_scope" not in group or "param_names" not in group:
            raise InputError(
                "RecAdam needs in_scope and names in every parameter group: build the groups with "
                "pats.param_groups(model)"
            )
        if self._anchors is not None and group["in_scope"]:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                anchor = self._anchors.get(canonical_name(name))
                if anchor is None or anchor.shape != parameter.shape:
                    raise InputError(f"anchors hold no tensor of the right shape for {name!r}: add it")

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        state, t = self._counted(theta, "exp_avg", "exp_avg_sq")
        recall = group["in_scope"] and group["w"] > 0
        if recall and ANCHOR not in state:
            given = None if self._anchors is None else self._anchors[canonical_name(cast(str, name))]
            state[ANCHOR] = theta.clone() if given is None else shard.like(given, theta)
        (beta1, beta2), lr, w = group["betas"], group["lr"], group["w"]
        state["exp_avg"].lerp_(grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        update = state["exp_avg"] / state["exp_avg_sq"].sqrt().add_(group["eps"])
        size = lr * ((1 - beta2**t) ** 0.5 / (1 - beta1**t) if group["correct_bias"] else 1.0)
        if recall:
            task = annealing(t, group)
            change = (size * task) * update
            place = theta - change if group["penalty_at"] == "moved" else theta
            change = change + (lr * (w - task) * group["gamma"]) * (place - state[ANCHOR])
        else:
            change = size * update
        if group["weight_decay"]:
            change = change + (lr * group["weight_decay"]) * (theta - change)
        theta.sub_(change)  # all at once: a pull below half a unit in the last place would be lost alone


def annealing(t: int, group: Mapping[str, Any]) -> float:
    """λ(t) of a group's settings."""
    w, t0 = float(group["w"]), float(group["t0"])
    if group["schedule"] == "constant":
        return w
    if group["schedule"] == "linear":
        return w * min(1.0, t / t0) if t0 else w
    # The sigmoid by tanh, which does not overflow.
    return w * 0.5 * (1 + math.tanh(group["k"] * (t - t0) / 2))
