"""The two Adamax of MT-DNN's code (namisan/mt-dnn), on which the PATS paper says that it is built."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from pats._errors import InputError
from pats.optim._one_by_one import OneByOne, check_settings

EPS = {"a": 1e-6, "b": 1e-8}


class MTDNNAdamax(OneByOne):
    """Adamax as MT-DNN had it before ("a") and from ("b") 25 February 2022.

        m ← β₁m + (1-β₁)g;   u ← max(β₂u, |g| + ε)
        a:  θ ← θ - lr·( m/(u + ε) + wd·θ )          no bias correction, ε twice
        b:  θ ← θ·(1 - lr·wd);   θ ← θ - lr/(1-β₁ᵗ)·m/u

    "b" is ``torch.optim.Adamax`` but for the decay, which torch adds to the gradient. With "a" and a
    constant gradient the steps start at .10, .19, .27 … of lr.

    Source: The code of MT-DNN (Liu et al., ACL 2020).

    Args:
        params: Parameters or groups, as for torch's optimizers.
        lr: Learning rate.
        betas: β₁ and β₂.
        eps: ε; None is MT-DNN's, 1e-6 for "a" and 1e-8 for "b".
        weight_decay: wd.
        era: ``"a"`` or ``"b"``.

    A parameter without a gradient is skipped.

    Raises:
        InputError: A value is out of its range.
    """

    reads = frozenset({"step", "exp_avg", "exp_inf"})

    def __init__(
        self,
        params: ParamsT,
        lr: float = 5e-5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
        weight_decay: float = 0.01,
        era: str = "b",
    ) -> None:
        if era not in EPS:
            raise InputError(f"era is {era!r}, but must be one of: a, b")
        eps = EPS[era] if eps is None else eps
        numbers = {"lr": lr, "eps": eps, "weight_decay": weight_decay}
        check_settings({"betas[0]": betas[0], "betas[1]": betas[1]}, numbers)
        super().__init__(params, {**numbers, "betas": betas, "era": era})

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        state, t = self._counted(theta, "exp_avg", "exp_inf")
        (beta1, beta2), lr, eps, decay = group["betas"], group["lr"], group["eps"], group["weight_decay"]
        state["exp_avg"].lerp_(grad, 1 - beta1)
        torch.maximum(state["exp_inf"].mul_(beta2), grad.abs().add_(eps), out=state["exp_inf"])
        if group["era"] == "a":
            update = state["exp_avg"] / (state["exp_inf"] + eps)
            if decay:
                update.add_(theta, alpha=decay)
            theta.sub_((update * lr).to(theta.dtype))
        else:
            update = state["exp_avg"] / state["exp_inf"] * (lr / (1 - beta1**t))
            if decay:
                update.add_(theta, alpha=lr * decay)
            theta.sub_(update)  # all at once: a factor 1 - lr·decay is rounded, always to the same side
