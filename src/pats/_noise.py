"""``Noise``, and Eq. 2-4 of the paper as pure functions.

    s_j = |θ_j · g_j|                                    (Eq. 1)
    s̄_j = β s̄_j* + (1-β) s_j,  s̄^(0) = 0                 (Eq. 2)
    s̄   = (1/N) Σ_i s̄_i                                  (Eq. 3) over the same matrix
    r_j = λ · max( s̄ / (s̄_j + ε) - γ , 0 )               (Eq. 4)
    σ_j = √r_j                                           (text below Eq. 4)

Storage, execution and rounding stand around them, in ``pats.kernels``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pats._errors import InputError
from pats.philox import RNG_VERSION

PREFIX = "noise_"

_CHOICES = {
    "eps_mode": ("absolute", "algorithm1", "relative"),
    "intensity": ("variance", "std"),
    "scale": ("constant", "lr"),
}


@dataclass(frozen=True)
class Noise:
    """How much noise PATS adds, and where the paper leaves it open, in which reading.

    Args:
        lam: λ, the basic noise: the variance (or standard deviation, see ``intensity``) that a
            parameter of average sensitivity gets at a step. Unit: that of the parameters, squared.
            Not used with ``scale="lr"``.
        gamma: γ ≥ 0. A parameter more than 1/γ times as sensitive as the average of its matrix gets no
            noise.
        beta: β in [0, 1), decay of the moving average of the sensitivity.
        p: Probability that an entry is perturbed at a step: 0 (no noise), or in [2⁻¹², 1].
        eps: ε ≥ 0, which bounds the noise where the sensitivity vanishes; its unit is ``eps_mode``.
        eps_mode: ``"absolute"`` adds ε to s̄_j (Eq. 4), ``"algorithm1"`` adds ε/N (line 11), and
            ``"relative"`` adds ε·|s̄|, which makes the noise independent of the loss's scale.
        intensity: ``"variance"``: σ_j = √r_j, as the text says; ``"std"``: σ_j = r_j, as
            ``torch.normal(0, R)`` reads.
        signed: False takes the absolute value as Eq. 1 does. True keeps the sign as line 7 of
            Algorithm 1 does; r is 0 where the ratio is negative.
        scale: ``"constant"`` takes λ (the paper). ``"lr"`` takes λ_t = (κ·lr_t)² for variance and κ·lr_t
            for std, so that σ ≈ κ·lr_t at average sensitivity, and the noise fades with the schedule.
        kappa: κ ≥ 0, without unit. Needed by ``scale="lr"``, refused by ``"constant"``.
        seed: Seed of the noise stream, a whole number; the stream never touches torch's generators.

    Raises:
        InputError: A value is out of its range, or ``kappa`` and ``scale`` contradict each other.
    """

    lam: float | None = 2e-6
    gamma: float = 2e-3
    beta: float = 0.75
    p: float = 0.2
    eps: float = 1e-2
    eps_mode: str = "relative"
    intensity: str = "variance"
    signed: bool = False
    scale: str = "constant"
    kappa: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}, but must be one of: {', '.join(allowed)}"
                )
        for name in ("gamma", "eps"):
            self._check(name, _is_real(getattr(self, name)), "a number of at least 0")
        self._check("beta", _is_real(self.beta) and self.beta < 1, "at least 0 and below 1")
        fine = _is_real(self.p) and (self.p == 0 or 2**-12 <= self.p <= 1)
        self._check("p", fine, "0 or between 2**-12 and 1")
        self._check("signed", isinstance(self.signed, bool), "True or False")
        fine = isinstance(self.seed, int) and not isinstance(self.seed, bool)
        self._check("seed", fine, "a whole number")
        if self.scale == "constant":
            self._check("lam", _is_real(self.lam), "a number of at least 0")
            if self.kappa is not None:
                raise InputError(
                    f'kappa is {self.kappa!r}, but scale="constant" takes its size from lam: '
                    'leave kappa out, or set scale="lr"'
                )
        else:
            if self.lam is not None:
                self._check("lam", _is_real(self.lam), "a number of at least 0, or None")
            self._check("kappa", _is_real(self.kappa), 'a number of at least 0 with scale="lr"')

    def _check(self, name: str, fine: bool, allowed: str) -> None:
        if not fine:
            raise InputError(f"{name} is {getattr(self, name)!r}, but must be {allowed}")

    @classmethod
    def paper(cls, **changes: Any) -> "Noise":
        """The paper's settings: Eq. 4 with an absolute ε of 1e-8 (the paper states no value)."""
        return cls(**{"eps": 1e-8, "eps_mode": "absolute", **changes})

    def lam_t(self, lr: float) -> float:
        """λ_t at this step's learning rate: λ, or its learning-rate-scaled counterpart."""
        if self.scale == "constant":
            assert self.lam is not None
            return self.lam
        assert self.kappa is not None
        return (self.kappa * lr) ** 2 if self.intensity == "variance" else self.kappa * lr

    def to_group(self) -> dict[str, float | int | bool | str | None]:
        """The fields as plain entries of an optimizer's parameter group (``noise_lam``, ...)."""
        entries = {PREFIX + f.name: getattr(self, f.name) for f in fields(self)}
        return entries | {RNG_KEY: RNG_VERSION}

    @classmethod
    def from_group(cls, group: Mapping[str, Any]) -> "Noise":
        """The settings that a parameter group carries now; they may have been scheduled."""
        return cls(**{f.name: group[PREFIX + f.name] for f in fields(cls)})


RNG_KEY = PREFIX + "rng_version"
GROUP_KEYS = (*(PREFIX + f.name for f in fields(Noise)), RNG_KEY)


def _is_real(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


DEFAULT = Noise()


def state_dtype(parameter: Tensor) -> torch.dtype:
    """Dtype of s̄: float32, or float64 for a float64 parameter."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def sensitivity(theta: Tensor, grad: Tensor, signed: bool = False) -> Tensor:
    """Eq. 1: |θ_j·g_j|, elementwise, or θ_j·g_j where ``signed``."""
    product = theta * grad
    return product if signed else product.abs_()


def moving_average_(average: Tensor, s: Tensor, beta: float) -> Tensor:
    """Eq. 2 in place: s̄_j ← β s̄_j + (1-β) s_j; an entry with a non-finite s_j keeps its s̄_j.

    Args:
        average: s̄, changed in place.
        s: This step's sensitivities, of the same shape; overwritten.
        beta: β.

    Returns:
        Number of non-finite entries of ``s``, a tensor without dimensions.
    """
    finite = torch.isfinite(s)
    updated = s.mul_(1 - beta).add_(average, alpha=beta)
    average.copy_(torch.where(finite, updated, average))
    return finite.numel() - finite.sum()


def intensity(average: Tensor, mean: float, numel: int, lam: float, noise: Noise) -> Tensor:
    """Eq. 4: r_j = λ·max( s̄/(s̄_j + ε) - γ, 0 ); 0/0 and any other non-finite r_j count as 0.

    Args:
        average: s̄_j of this step, any selection of entries of one matrix.
        mean: s̄ of the whole matrix (Eq. 3), rounded to the dtype of the state.
        numel: N, entries of the whole matrix.
        lam: λ_t.
        noise: γ, ε and its mode.
    """
    if noise.eps_mode == "relative":
        eps = noise.eps * abs(mean)
    else:
        eps = noise.eps / (numel if noise.eps_mode == "algorithm1" else 1)
    ratio = torch.tensor(mean, dtype=average.dtype, device=average.device) / (average + eps)
    r = ratio.sub_(noise.gamma).mul_(lam).clamp_(min=0)
    return torch.nan_to_num_(r, nan=0.0, posinf=0.0, neginf=0.0)


def sigma(r: Tensor, noise: Noise) -> Tensor:
    """Standard deviation of the noise: √r_j, or r_j in the reading ``intensity="std"``."""
    return r.sqrt() if noise.intensity == "variance" else r


def mean_of(sums: Iterable[float], numel: int, dtype: torch.dtype) -> float:
    """Eq. 3: s̄ of a matrix from float64 partial sums, rounded once to the dtype of the state."""
    return float(torch.tensor(math.fsum(sums) / numel, dtype=torch.float64).to(dtype))
