"""Algorithm 1 of the paper, line by line: slow and plain, what every other path is tested against."""

from typing import Any, cast

import torch
from torch import Tensor

from pats import philox
from pats._errors import InputError
from pats._noise import Noise, state_dtype
from pats._scope import canonical_name
from pats._state import merged, restore_dtypes
from pats.optim._one_by_one import OneByOne


class PATSAdamax(OneByOne):
    """PATS for Adamax in the paper's symbols.

    The one addition to Algorithm 1 is Adamax's own ε inside the maximum, as torch has it: without it
    line 14 is 0/0 at a zero gradient.

    Args:
        params: Groups from ``pats.param_groups``. Groups out of scope get Adamax without noise.
        lr: α.
        betas: β₁ and β₂.
        eps: ε_opt of Adamax.
        weight_decay: Coupled decay, added to the gradient after the sensitivity is measured.
        maximize: Ascend: G is negated.
        noise: λ, γ, β, p, ε and the readings of the paper; None is ``Noise.paper()``.

    Raises:
        InputError: A group lacks names or ``in_scope``.

    Scalars are Python floats and every matrix is processed with whole-matrix temporaries in its state's
    dtype. An entry with a non-finite s_j keeps its s̄_j, and its matrix gets no noise at that step.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        noise: Noise | None = None,
    ) -> None:
        noise = noise if noise is not None else Noise.paper()
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            **noise.to_group(),
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            if "param_names" not in group or "in_scope" not in group:
                raise InputError(
                    "every parameter group needs names and in_scope: build the groups with "
                    "pats.param_groups(model)"
                )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Torch's, with the checks of the other paths; s̄ keeps the dtype it was saved in."""
        super().load_state_dict(merged(self, state_dict))
        restore_dtypes(self, state_dict)

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        """One iteration of Algorithm 1, lines 6 to 15, for one matrix."""
        noise = Noise.from_group(group)
        alpha, (beta1, beta2) = float(group["lr"]), group["betas"]
        dtype = state_dtype(theta)
        state, t = self._counted(theta, "exp_avg", "exp_inf")  # lines 1-3
        if group["in_scope"] and "sensitivity" not in state:
            state["sensitivity"] = torch.zeros_like(theta, dtype=dtype)
        M, U = state["exp_avg"], state["exp_inf"]

        G = -grad if group["maximize"] else grad  # line 6
        S = theta.to(dtype) * G.to(dtype)  # line 7
        if not noise.signed:
            S = S.abs()  # Eq. 1
        if group["weight_decay"]:
            G = G + group["weight_decay"] * theta
        M.copy_(beta1 * M + (1 - beta1) * G)  # line 8
        U.copy_(torch.maximum(beta2 * U, G.abs() + group["eps"]))  # line 9
        theta -= (alpha / (1 - beta1**t)) * (M / U)  # line 14, first half
        if not group["in_scope"]:
            return

        finite = torch.isfinite(S)
        S_bar = state["sensitivity"]
        S_bar.copy_(torch.where(finite, noise.beta * S_bar + (1 - noise.beta) * S, S_bar))  # line 10
        if not finite.all():
            return
        N = theta.numel()
        mean = (S_bar.double().sum() / N).to(dtype) if N else torch.zeros((), dtype=dtype)
        if noise.eps_mode == "absolute":
            eps = torch.tensor(noise.eps, dtype=torch.float64)
        elif noise.eps_mode == "algorithm1":
            eps = torch.tensor(noise.eps / max(N, 1), dtype=torch.float64)
        else:
            eps = noise.eps * mean.double().abs()
        ratio = mean.double() / (S_bar.double() + eps)
        R = noise.lam_t(alpha) * torch.clamp(ratio - noise.gamma, min=0)  # line 11
        R = torch.where(torch.isfinite(R), R, 0.0)  # 0/0 is 0
        sigma = R.sqrt() if noise.intensity == "variance" else R
        QZ = sigma * philox.draw(noise.seed, canonical_name(cast(str, name)), t, 0, N, noise.p).view(
            theta.shape
        )  # lines 12, 13
        theta.copy_((theta.double() + QZ).to(theta.dtype))  # line 14, second half
