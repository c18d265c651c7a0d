"""``Noise``, and Eq. 2-4 of the paper as pure functions.

    s_j = |θ_j · g_j|                                    (Eq. 1)
    s̄_j = β s̄_j* + (1-β) s_j,  s̄^(0) = 0                 (Eq. 2)
    s̄   = (1/N) Σ_i s̄_i                                  (Eq. 3) over the same matrix
    r_j = λ · max( s̄ / (s̄_j + ε) - γ , 0 )               (Eq. 4) at most λ · ratio_max, where that is set
    σ_j = √r_j                                           (text below Eq. 4)

Storage, execution and rounding are in ``pats.kernels``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from pats import _html
from pats._errors import InputError
from pats.philox import RNG_VERSION

PREFIX = "noise_"

_CHOICES = {
    "eps_mode": ("absolute", "algorithm1", "relative"),
    "intensity": ("variance", "std"),
    "scale": ("budget", "lr", "constant", "langevin"),
    "keep": ("walk", "transient", "anticorrelated"),
}

# What a scale takes its size from, and that number's default.
SIZES = {
    "budget": ("budget", 0.04),
    "lr": ("kappa", 1.0),
    "constant": ("lam", 2e-6),
    "langevin": ("temperature", 1.0),
}

# R_j = r_j / λ, at most, under ``scale="lr"``: as much as the default ε allows, also where ε is another.
BOUND = 100.0

# Sensitivities from here on, whose square overflows, count as not finite: an average of them says nothing.
HUGE = {torch.float32: 2.0**64, torch.float64: 2.0**512}

# The default budget of noise that does not stay in the weights.
PRESENT = 0.02


@dataclass(frozen=True)
class Noise:
    """How much noise PATS adds, and how it reads what the paper leaves open.

    The default is bounded: over a whole run, the noise moves each matrix by 0.04 of the spread of its
    weights. ``Noise.paper()`` is the paper's literal reading.

    Source: Eq. 1-5 of the paper; its options are PATS's own; ``langevin`` is of Welling and Teh 2011.

    Args:
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
        ratio_max: The largest ratio: R_j = min( max( s̄/(s̄_j + ε) - γ, 0 ), ratio_max ), above 0. None
            bounds it by 100 with ``scale="lr"``, by 16 times its mean with ``"budget"`` and ``"langevin"``
            (``pats._budget``), and leaves it to ε with ``"constant"``.
        scale: Where λ_t comes from. ``"budget"`` sizes it for each matrix, so that the noise of a whole
            run accumulates to ``budget`` · std(W), whatever the optimizer, its rate and the length
            (``pats._budget``). ``"lr"`` takes λ_t = (κ·lr_t)² for variance and κ·lr_t for std, so that
            σ ≈ κ·lr_t at average sensitivity. ``"constant"`` takes λ, as the paper does. ``"langevin"``
            takes the noise of Langevin dynamics, shaped by the sensitivity:
            σ_j² = 2·lr_t·T/n · R_j/mean(R), with T the ``temperature`` and n the ``examples``.
        budget: Accumulated noise of a run, √(Σ_t Σ_j q_j²/N), over the standard deviation of the
            matrix before its first noisy step; at least 0. Only with ``scale="budget"``; None is 0.04.
            Where the noise does not stay in the weights (``keep``) it is the noise that is there at a
            time, √(Σ_j q_j²/N), at the start of the run, and None is 0.02.
        steps: Steps of the whole run, if known: the amplitude then falls linearly to zero at the
            last, and nothing is added after it. None fades with a time constant of 500 steps, so that
            the total approaches the budget from below. Only with ``scale="budget"``, or with ``until``.
        until: The share of ``steps`` in which there is noise: in (0, 1]. Nothing is added after step
            ``until`` · ``steps``, and a budget is spread over the steps up to it, or fades to zero there
            if the noise does not stay. It needs ``steps`` before the first step. None is the whole run.
        kappa: κ ≥ 0, without unit. Only with ``scale="lr"``; None is 1.
        lam: λ, the basic noise: the variance (or standard deviation, see ``intensity``) that a
            parameter of average sensitivity gets at a step. Unit: that of the parameters, squared.
            Only with ``scale="constant"``; None is 2e-6.
        keep: How long the noise of a step stays in the weights. ``"walk"``: for good, as Eq. 5 says.
            ``"transient"``: during the forward and backward passes until the next step, gone for the
            update, for evaluation and for saving; only ``pats.perturb``, which knows the model, does
            this. ``"anticorrelated"``: until the next step, which takes it back first. With
            ``scale="langevin"`` it stays.
        temperature: T ≥ 0: 1 is the posterior of the n examples, 0 is no noise. Only with
            ``scale="langevin"``; None is 1.
        examples: n, the number of training examples, at least 1. It is needed before the first step, and
            only with ``scale="langevin"``; None is unknown.
        seed: Seed of the noise stream, a whole number; the stream never touches torch's generators.

    Raises:
        InputError: A value is out of its range, or belongs to another ``scale``.
    """

    gamma: float = 2e-3
    beta: float = 0.75
    p: float = 0.2
    eps: float = 1e-2
    eps_mode: str = "relative"
    intensity: str = "variance"
    signed: bool = False
    scale: str = "budget"
    budget: float | None = None
    steps: int | None = None
    kappa: float | None = None
    lam: float | None = None
    keep: str = "walk"
    seed: int = 0
    ratio_max: float | None = None
    until: float | None = None
    temperature: float | None = None
    examples: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise InputError(f"{name} is {value!r}, but must be one of: {', '.join(allowed)}")
        if self.scale == "langevin" and self.keep != "walk":
            raise InputError(
                f"keep is {self.keep!r}, but scale='langevin' samples with noise that adds up in the "
                "weights: set keep='walk', or another scale"
            )
        for name in ("gamma", "eps"):
            self._check(name, _is_real(getattr(self, name)), "a number of at least 0")
        self._check("beta", _is_real(self.beta) and self.beta < 1, "at least 0 and below 1")
        fine = _is_real(self.p) and (self.p == 0 or 2**-12 <= self.p <= 1)
        self._check("p", fine, "0 or between 2**-12 and 1")
        self._check("signed", isinstance(self.signed, bool), "True or False")
        self._check("seed", _is_whole(self.seed), "a whole number")
        for scale, (name, _) in SIZES.items():
            value = getattr(self, name)
            if value is not None:
                self._refuse_other_scale(name, scale)
                self._check(name, _is_real(value), "a number of at least 0")
        if self.ratio_max is not None:
            self._check("ratio_max", _is_real(self.ratio_max) and self.ratio_max > 0, "a number above 0")
        if self.until is not None:
            self._check("until", _is_real(self.until) and 0 < self.until <= 1, "above 0 and at most 1")
        if self.examples is not None:
            self._refuse_other_scale("examples", "langevin")
            self._check("examples", _is_whole(self.examples) and self.examples >= 1, "a whole number from 1")
        if self.steps is not None:
            if self.until is None:
                self._refuse_other_scale("steps", "budget")
            self._check("steps", _is_whole(self.steps) and self.steps >= 1, "a whole number from 1")

    def _check(self, name: str, fine: bool, allowed: str) -> None:
        if not fine:
            raise InputError(f"{name} is {getattr(self, name)!r}, but must be {allowed}")

    def _refuse_other_scale(self, name: str, scale: str) -> None:
        if self.scale != scale:
            raise InputError(
                f"{name} is {getattr(self, name)!r}, but scale={self.scale!r} does not use it: set "
                f"scale={scale!r}, or leave {name} out"
            )

    def _repr_html_(self) -> str:
        """The settings that are in use, for a notebook."""
        return _html.table("Noise", {**vars(self), SIZES[self.scale][0]: self.size})

    @classmethod
    def paper(cls, **changes: Any) -> "Noise":
        """The paper's literal reading: Eq. 4 with λ = 2e-6 at every step and an absolute ε of 1e-8.

        The paper states no ε. Any field can be changed.
        """
        literal = {"scale": "constant", "eps": 1e-8, "eps_mode": "absolute"}
        return cls(**{**literal, **changes})

    @property
    def size(self) -> float:
        """What ``scale`` takes its size from: ``budget``, ``kappa``, ``lam`` or ``temperature``."""
        name, default = SIZES[self.scale]
        value: float | None = getattr(self, name)
        if self.scale == "budget" and self.keep != "walk":
            default = PRESENT
        return default if value is None else value

    @property
    def silent(self) -> bool:
        """Whether these settings can add no noise, whatever happens."""
        return self.p == 0 or self.size == 0

    @property
    def accounted(self) -> bool:
        """Whether λ_t follows from the mean of R_j, and each matrix has an account (``pats._budget``)."""
        return self.scale in ("budget", "langevin")

    @property
    def last(self) -> int | None:
        """The last step with noise: ``until`` · ``steps``, or ``steps``; None where there is none."""
        if self.steps is None or self.until is None:
            return self.steps
        return max(round(self.until * self.steps), 1)

    def for_run(self, steps: int = 0, examples: int = 0) -> "Noise":
        """The settings with what they need to know of a run, where that is not set: its length, its data.

        Args:
            steps: Optimizer steps of the whole run; 0 where unknown.
            examples: Training examples; 0 where unknown.
        """
        return replace(self, **self.lacking(steps, examples))

    def lacking(self, steps: int = 0, examples: int = 0) -> dict[str, Any]:
        """Of a run's length and data, what these settings use and do not have; see ``for_run``."""
        wanted = {"steps": (steps, self.scale == "budget" or self.until is not None)}
        wanted["examples"] = (examples, self.scale == "langevin")
        return {
            name: value
            for name, (value, used) in wanted.items()
            if used and value and getattr(self, name) is None
        }

    def refuse_unready(self) -> None:
        """Refuse to begin without what ``for_run`` gives.

        Raises:
            InputError: ``until`` without ``steps``, or ``scale="langevin"`` without ``examples``.
        """
        where = "in Trainer, the callback pats.hf.NoiseSteps() sets it"
        if self.until is not None and self.steps is None:
            raise InputError(
                f"until is {self.until!r}, a share of the run's steps, but their number is not known: set "
                f"steps ({where})"
            )
        if self.scale == "langevin" and self.examples is None:
            raise InputError(
                "scale='langevin' divides by the number of training examples, which is not known: set "
                f"examples ({where})"
            )

    def lam_t(self, lr: float, step: int = 1) -> float:
        """λ_t at a learning rate and a step, where no account sizes it: λ, or its counterpart κ·lr_t."""
        if self.last is not None and step > self.last:
            return 0.0
        if self.scale == "constant":
            return self.size
        assert self.scale == "lr"
        scaled = self.size * lr
        return scaled**2 if self.intensity == "variance" else scaled

    def heat(self, lr: float, step: int) -> float:
        """Mean square of an entry's gated noise with ``scale="langevin"``: p · 2·lr_t·T/n; else 0."""
        if self.scale != "langevin" or self.examples is None or (self.last is not None and step > self.last):
            return 0.0
        return self.p * (2.0 * self.size / self.examples) * lr

    @property
    def most(self) -> float:
        """The largest R_j, or R_j² in the reading ``intensity="std"``; infinite where nothing bounds it."""
        usual = BOUND if self.scale == "lr" else math.inf
        ratio = usual if self.ratio_max is None else self.ratio_max
        return ratio if self.intensity == "variance" else ratio * ratio

    def ceiling(self, lam: float) -> float:
        """The largest σ_j at λ_t, where no account sizes it."""
        if lam == 0:
            return math.inf
        return (math.sqrt(lam) if self.intensity == "variance" else lam) * math.sqrt(self.most)

    def to_group(self) -> dict[str, float | int | bool | str | None]:
        """The fields as plain entries of an optimizer's parameter group (``noise_p``, ...).

        The number that ``scale`` takes its size from is written out, so that it can be scheduled.
        """
        entries = {PREFIX + f.name: getattr(self, f.name) for f in fields(self)}
        entries[PREFIX + SIZES[self.scale][0]] = self.size
        plain = {k: float(v) if isinstance(v, float) else v for k, v in entries.items()}  # numpy's, too
        return plain | {RNG_KEY: RNG_VERSION}

    @classmethod
    def from_group(cls, group: Mapping[str, Any]) -> "Noise":
        """The settings that a parameter group carries now; they may have been scheduled.

        A field that the group lacks, as in a checkpoint of an earlier version, has the value that those
        versions took for granted: none.
        """
        return cls(**{f.name: group.get(PREFIX + f.name, f.default) for f in fields(cls)})


RNG_KEY = PREFIX + "rng_version"
GROUP_KEYS = (*(PREFIX + f.name for f in fields(Noise)), RNG_KEY)


def _is_real(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


DEFAULT = Noise()


def refuse_transient(noise: Noise) -> None:
    """Refuse, for an optimizer that does not know its model, noise that is there for its passes alone.

    Raises:
        InputError: It is.
    """
    if noise.keep == "transient":
        raise InputError(
            "keep is 'transient', but an optimizer alone does not see the model's forward passes, in which "
            "that noise is there: build it with noise=None and call pats.perturb(optimizer, model, noise), "
            "or choose keep='walk' or 'anticorrelated'"
        )


def state_dtype(parameter: Tensor) -> torch.dtype:
    """Dtype of s̄: float32, or float64 for a float64 parameter."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def sensitivity(theta: Tensor, grad: Tensor, signed: bool = False) -> Tensor:
    """Eq. 1: |θ_j·g_j|, elementwise, or θ_j·g_j where ``signed``."""
    product = theta * grad
    return product if signed else product.abs_()


def moving_average_(average: Tensor, s: Tensor, beta: float) -> Tensor:
    """Eq. 2 in place: s̄_j ← β s̄_j + (1-β) s_j; an entry with a non-finite or ``HUGE`` s_j keeps its s̄_j.

    Args:
        average: s̄, changed in place.
        s: This step's sensitivities, of the same shape; overwritten.
        beta: β.

    Returns:
        Number of such entries, a tensor without dimensions.
    """
    finite = s.abs() < HUGE[s.dtype]
    updated = s.mul_(1 - beta).add_(average, alpha=beta)
    average.copy_(torch.where(finite, updated, average))
    return finite.numel() - finite.sum()


def mean_of(sums: Tensor, numel: Sequence[int] | Tensor, dtype: torch.dtype) -> Tensor:
    """Eq. 3: s̄ of every matrix from its float64 sum, rounded once to the dtype of the state.

    Args:
        sums: Σ s̄_j of each whole matrix, float64.
        numel: N of each; an empty matrix counts as one entry.
        dtype: Dtype of the state.
    """
    count = torch.as_tensor(numel, dtype=torch.float64, device=sums.device).clamp(min=1)
    return (sums / count).to(dtype)


def eps_of(noise: Noise, numel: int) -> tuple[float, float]:
    """ε of Eq. 4 as two numbers (a, b), whatever its mode: ε = a + b·|s̄|.

    Args:
        noise: ε and its mode.
        numel: N.
    """
    if noise.eps_mode == "relative":
        return 0.0, noise.eps
    return noise.eps / (max(numel, 1) if noise.eps_mode == "algorithm1" else 1), 0.0


def intensity(average: Tensor, mean: float, numel: int, lam: float, noise: Noise) -> Tensor:
    """Eq. 4: r_j = λ·max( s̄/(s̄_j + ε) - γ, 0 ); 0/0 and any other non-finite r_j count as 0.

    Args:
        average: s̄_j of this step, any selection of entries of one matrix.
        mean: s̄ of the whole matrix (Eq. 3), rounded to the dtype of the state.
        numel: N, entries of the whole matrix.
        lam: λ_t.
        noise: γ, ε and its mode.
    """
    absolute, relative = eps_of(noise, numel)
    eps = absolute + relative * abs(mean)
    ratio = torch.tensor(mean, dtype=average.dtype, device=average.device) / (average + eps)
    r = ratio.sub_(noise.gamma).mul_(lam).clamp_(min=0)
    return torch.nan_to_num_(r, nan=0.0, posinf=0.0, neginf=0.0)


def sigma(r: Tensor, noise: Noise) -> Tensor:
    """Standard deviation of the noise: √r_j, or r_j in the reading ``intensity="std"``."""
    return r.sqrt() if noise.intensity == "variance" else r
