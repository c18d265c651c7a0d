"""Algorithm 1 of the paper, line by line: slow and plain, what every other path is tested against."""

import math
from typing import Any, cast

import torch
from torch import Tensor

from pats import philox
from pats._budget import KEYS
from pats._errors import InputError
from pats._last import KEY, Drawn, drawn
from pats._noise import BOUND, HUGE, Noise, refuse_transient, state_dtype
from pats._scope import canonical_name, refuse_twins
from pats.optim._one_by_one import OneByOne


class PATSAdamax(OneByOne):
    """PATS for Adamax in the paper's symbols.

    The one addition to Algorithm 1 is Adamax's own ε inside the maximum, as torch has it: without it
    line 14 is 0/0 at a zero gradient.

    Source: Algorithm 1 of the paper.

    Args:
        params: Groups from ``pats.param_groups``. Groups out of scope get Adamax without noise.
        lr: α.
        betas: β₁ and β₂.
        eps: ε_opt of Adamax.
        weight_decay: Coupled decay, added to the gradient after the sensitivity is measured.
        maximize: Ascend: G is negated.
        noise: γ, β, p, ε, the size and the readings of the paper; None is ``Noise.paper()``.

    Raises:
        InputError: A group lacks names or ``in_scope``, or two parameters have one name.

    Scalars are Python floats and every matrix is processed with whole-matrix temporaries in its state's
    dtype. An entry whose s_j² is not finite keeps its s̄_j, and its matrix gets no noise at that step.
    """

    reads = frozenset({"step", "exp_avg", "exp_inf"})

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
        refuse_transient(noise)
        for group in self.param_groups:
            if "param_names" not in group or "in_scope" not in group:
                raise InputError(
                    "every parameter group needs names and in_scope: build the groups with "
                    "pats.param_groups(model)"
                )
        refuse_twins(self.param_groups)

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        """One iteration of Algorithm 1, lines 6 to 15, for one matrix."""
        noise = Noise.from_group(group)
        noise.refuse_unready()
        alpha, (beta1, beta2) = float(group["lr"]), group["betas"]
        dtype = state_dtype(theta)
        state, t = self._counted(theta, "exp_avg", "exp_inf")  # lines 1-3
        if group["in_scope"] and "sensitivity" not in state:
            state["sensitivity"] = torch.zeros_like(theta, dtype=dtype)
        if group["in_scope"]:
            self._take_back(theta, state)
        M, U = state["exp_avg"], state["exp_inf"]

        G = -grad if group["maximize"] else grad  # line 6
        S = theta.to(dtype) * G.to(dtype)  # line 7
        if not noise.signed:
            S = S.abs()  # Eq. 1
        if group["weight_decay"]:
            G = G + group["weight_decay"] * theta
        M.copy_(beta1 * M + (1 - beta1) * G)  # line 8
        U.copy_(torch.maximum(beta2 * U, G.abs() + group["eps"]))  # line 9
        if group["in_scope"] and noise.accounted:
            self._account(theta, state, noise)
        theta -= (alpha / (1 - beta1**t)) * (M / U)  # line 14, first half
        if not group["in_scope"]:
            return

        finite = S.abs() < HUGE[dtype]
        S_bar = state["sensitivity"]
        N = theta.numel()
        F = self._variance(S_bar, state, noise) if noise.accounted else 0.0
        S_bar.copy_(torch.where(finite, noise.beta * S_bar + (1 - noise.beta) * S, S_bar))  # line 10
        mean = (S_bar.double().sum() / max(N, 1)).to(dtype).double()
        if noise.accounted:
            lam, cap = self._spend(state, noise, t, alpha, F, float(mean), bool(finite.all()))
        else:
            lam, cap = noise.lam_t(alpha, t), math.inf
        if not finite.all():
            return
        R = lam * _ratio(S_bar, mean, N, noise)  # line 11
        sigma = R.sqrt() if noise.intensity == "variance" else R
        name = canonical_name(cast(str, name))
        Z = philox.draw(noise.seed, name, t, 0, N, noise.p).view(theta.shape)
        QZ = sigma.clamp(max=cap) * Z  # lines 12, 13
        theta.copy_((theta.double() + QZ).to(theta.dtype))  # line 14, second half
        if noise.keep == "anticorrelated" and noise.p and lam:
            cap = min(cap, noise.ceiling(lam))  # the row does not know ratio_max
            last = Drawn(noise, N, float(mean), lam, cap, philox.key(noise.seed, name), t)
            state[KEY] = last.to_row(inside=True)

    def _take_back(self, theta: Tensor, state: dict[str, Any]) -> None:
        """θ ← θ - QZ of the step before, from its scalars and from S̄, which is still that of its draw."""
        last = drawn(state.pop(KEY)) if KEY in state else None
        if last is None:
            return
        before, S_bar = last[0], state["sensitivity"]
        word = philox.words_of(before.stream, before.step, 0, theta.numel())
        index, z = philox.gated(word, philox.threshold(before.noise.p))
        Z = torch.zeros(theta.numel(), dtype=torch.float64).index_copy_(0, index, z).view(theta.shape)
        mean = torch.tensor(before.mean, dtype=torch.float64)
        R = before.lam * _ratio(S_bar, mean, theta.numel(), before.noise)
        sigma = R.sqrt() if before.noise.intensity == "variance" else R
        theta.copy_((theta.double() - sigma.clamp(max=before.ceiling) * Z).to(theta.dtype))

    def _account(self, theta: Tensor, state: dict[str, Any], noise: Noise) -> None:
        """S = std(W) before the first noisy step; the other numbers of ``pats._budget`` begin at 0."""
        for key in KEYS:
            state.setdefault(key, torch.zeros((), dtype=torch.float64))
        if state["noise_spread"] == 0 and theta.numel() > 1:
            state["noise_spread"].copy_(theta.double().std().to(state["sensitivity"].dtype))

    def _variance(self, S_bar: Tensor, state: dict[str, Any], noise: Noise) -> float:
        """F_{t-1}: the mean of f̂_j, from the S̄ and s̄ of the step before."""
        f = _ratio(S_bar, state["noise_mean"], S_bar.numel(), noise)
        first = 100.0
        if noise.intensity == "std":
            f, first = f**2, first**2
        limit = 16 * float(state["noise_variance"]) or first
        return float((f.clamp(max=limit).sum() / max(S_bar.numel(), 1)).to(S_bar.dtype))

    def _spend(
        self, state: dict[str, Any], noise: Noise, t: int, lr: float, F: float, mean: float, finite: bool
    ) -> tuple[float, float]:
        """λ_t, and the largest σ: what the budget B leaves for this step, or what Langevin dynamics asks."""
        S, E = float(state["noise_spread"]), float(state["noise_spent"])
        if S > 0 and noise.keep == "walk":
            E += float(state["noise_size"]) * F / S**2  # p Λ of the step before
        size = 0.0
        if finite and noise.p > 0 and F > 0:
            size = _square(noise, t, lr, S, E) / (noise.p * F)
        for key, value in zip(KEYS, (S, mean, F, noise.p * size, E), strict=True):
            state[key].fill_(value)
        return (size if noise.intensity == "variance" else math.sqrt(size)), 4 * math.sqrt(size * F)


def _square(noise: Noise, t: int, lr: float, S: float, E: float) -> float:
    """The mean square of the noise that a step is to add, gate included."""
    if noise.scale == "langevin":
        return noise.heat(lr, t)
    T, k = noise.last, math.inf if noise.last is None else max(noise.last - t + 1, 0)
    if noise.keep != "walk":  # B is the noise that is there, which fades; nothing is spent
        return noise.size**2 * (math.exp(-(t - 1) / 500) if T is None else (k / T) ** 2) * S**2
    w = 1 - math.exp(-1 / 500) if T is None else min(6 * k / ((k + 1) * (2 * k + 1)), 1 / 16)
    return max(noise.size**2 - E, 0.0) * w * S**2


def _ratio(S_bar: Tensor, mean: Tensor, N: int, noise: Noise) -> Tensor:
    """min( max( s̄/(s̄_j + ε) - γ, 0 ), ratio_max ) in float64; what is not finite, as 0/0, is 0."""
    eps = torch.tensor(noise.eps, dtype=torch.float64)
    if noise.eps_mode == "algorithm1":
        eps = eps / max(N, 1)
    elif noise.eps_mode == "relative":
        eps = eps * mean.abs()
    ratio = torch.clamp(mean / (S_bar.double() + eps) - noise.gamma, min=0)
    most = noise.ratio_max or (BOUND if noise.scale == "lr" else math.inf)
    return torch.where(torch.isfinite(ratio), ratio.clamp(max=most), 0.0)
