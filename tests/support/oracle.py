"""An oracle for the noise stream, Algorithm 1, SAGE and NoisyTune: NumPy float64 and Python ints.

It shares no line with the library and imports neither it nor torch, so that agreement means
something. Where a formula can be written in more than one way, the way of the text is taken.
Matrices are addressed by name; every class holds its own copies.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Grads = Mapping[str, Array | None]

LOW32 = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


# ---------------------------------------------------------------------------- the noise stream


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """One Philox4x32-10 block in Python ints: four counter words and two key words to four."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & LOW32, (p0 >> 32) ^ c3 ^ k1, p0 & LOW32
        k0, k1 = (k0 + WEYL[0]) & LOW32, (k1 + WEYL[1]) & LOW32
    return c0, c1, c2, c3


def key_of(seed: int, name: str) -> tuple[int, int]:
    """The two key words of a matrix: low half first."""
    digest = blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    value = int.from_bytes(digest, "little")
    return value & LOW32, value >> 32


def words(seed: int, name: str, step: int, start: int, count: int, purpose: int = 0) -> NDArray[np.uint32]:
    """Words of the elements [start, start + count), row-major and global."""
    if count == 0:
        return np.empty(0, np.uint32)
    first, last = start // 4, (start + count - 1) // 4
    block = np.arange(last - first + 1, dtype=np.uint64) + np.uint64(first)
    low, shift = np.uint64(LOW32), np.uint64(32)
    c0, c1 = block & low, block >> shift
    c2, c3 = np.full_like(block, step), np.full_like(block, purpose)
    k0, k1 = key_of(seed, name)
    for _ in range(ROUNDS):
        # A product of two 32-bit numbers fits 64 bits, so nothing wraps.
        p0, p1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0, k1 = (k0 + WEYL[0]) & LOW32, (k1 + WEYL[1]) & LOW32
    stream = np.stack([c0, c1, c2, c3], axis=1).reshape(-1).astype(np.uint32)
    return stream[start - 4 * first :][:count]


def quantile(word: NDArray[np.uint32], levels: int) -> Array:
    """Normal quantile of (word + 1/2) / levels, for words below levels, from the nearer end."""
    twice = 2 * word.astype(np.int64) + 1
    lower = twice <= levels
    odd = np.where(lower, twice, 2 * levels - twice)
    z: Array = ndtri(odd.astype(np.float64) / (2.0 * levels))
    return np.where(lower, z, -z)


def draw(seed: int, name: str, step: int, start: int, count: int, p: float, purpose: int = 0) -> Array:
    """Bernoulli(p) times standard normal, both from one word."""
    levels = round(p * 2**32)
    word = words(seed, name, step, start, count, purpose)
    out = np.zeros(count)
    gate = word.astype(np.int64) < levels
    out[gate] = quantile(word[gate], levels)
    return out


# ---------------------------------------------------------------------------- Algorithm 1


@dataclass(frozen=True)
class Noise:
    """The settings of the noise; the fields bear the library's names."""

    gamma: float = 2e-3
    beta: float = 0.75
    p: float = 0.2
    eps: float = 1e-2
    eps_mode: str = "relative"
    intensity: str = "variance"
    signed: bool = False
    scale: str = "budget"
    budget: float = 0.04
    steps: int | None = None
    kappa: float = 1.0
    lam: float = 2e-6
    keep: str = "walk"
    seed: int = 0
    ratio_max: float | None = None
    until: float | None = None
    temperature: float = 1.0
    examples: int | None = None

    @property
    def accounted(self) -> bool:
        """Whether every matrix has an account."""
        return self.scale in {"budget", "langevin"}

    @property
    def end(self) -> float:
        """The last step with noise."""
        return math.inf if self.steps is None else round((self.until or 1) * self.steps)

    def ratio(self, sbar: Array, mean: float) -> Array:
        """R: what Eq. 4 multiplies by the basic noise."""
        eps = {
            "absolute": self.eps,
            "algorithm1": self.eps / sbar.size if sbar.size else 0.0,
            "relative": self.eps * abs(mean),
        }[self.eps_mode]
        with np.errstate(all="ignore"):
            below = sbar + eps
            ratio = np.where((below == 0) & (mean == 0), 0.0, mean / below)
            ratio = np.maximum(ratio - self.gamma, 0.0)
        ratio = np.where(np.isfinite(ratio), ratio, 0.0)
        return np.minimum(ratio, self.ratio_max or {"lr": 100.0}.get(self.scale, math.inf))

    def sigma(
        self,
        sbar: Array,
        lr: float,
        dtype: type[np.floating] = np.float64,
        sized: tuple[float, float] | None = None,
        step: int = 1,
    ) -> Array:
        """Eq. 3 and 4 and the standard deviation that follows; the mean is rounded to `dtype`.

        `sized` is what a budget allows: the basic noise, and the largest deviation.
        """
        mean = float(dtype(math.fsum(sbar.ravel()) / sbar.size))
        lam, most = sized if sized is not None else (self.lam_at(lr, step), math.inf)
        r = lam * self.ratio(sbar, mean)
        return np.minimum(np.sqrt(r) if self.intensity == "variance" else r, most)

    def faded(self, step: int) -> float:
        """What is left of the square of the amplitude."""
        left = max(self.end - step + 1, 0)
        return math.exp(-(step - 1) / 500) if self.steps is None else (left / self.end) ** 2

    def lam_at(self, lr: float, step: int) -> float:
        """The basic noise of a step."""
        if step > self.end:
            return 0.0
        if self.scale == "constant":
            return self.lam
        sigma = self.kappa * lr
        return sigma**2 if self.intensity == "variance" else sigma

    def factor(self, a: "Matrix") -> float:
        """F of the last step, from its averages: the mean of the clamped f."""
        if not a.sbar.size:
            return 0.0
        power = 1 if self.intensity == "variance" else 2
        f = self.ratio(a.sbar, a.mean) ** power
        return math.fsum(np.minimum(f, 16 * a.F if a.F > 0 else 100.0**power).ravel()) / a.sbar.size

    def spend(self, a: "Matrix", F: float, finite: bool, lr: float) -> tuple[float, float]:
        """The budget's recipe, or Langevin's: an account comes to this step; lambda and largest sigma."""
        if a.S and self.keep == "walk":
            a.E += a.size * F / a.S**2  # with the p of the step before
        k = self.end - a.step + 1
        if self.scale == "langevin":  # sigma^2 = 2 lr T / n on the average, where the gate is open
            assert self.examples
            square = self.p * 2 * lr * self.temperature / self.examples if k > 0 else 0.0
        elif self.keep == "walk":
            w = 1 - math.exp(-1 / 500) if k == math.inf else 6 * k / ((k + 1) * (2 * k + 1)) if k > 0 else 0.0
            square = max(self.budget**2 - a.E, 0.0) * min(w, 1 / 16) * a.S**2
        else:  # the present rms over S, whose amplitude falls linearly, or fades; nothing is spent
            square = self.budget**2 * self.faded(a.step) * a.S**2
        a.size = square / F if finite and self.p * F else 0.0
        a.F = F
        lam = a.size / self.p if self.p else 0.0
        return (lam if self.intensity == "variance" else math.sqrt(lam)), math.sqrt(16 * lam * F)


@dataclass
class Matrix:
    """What an optimizer holds of one parameter."""

    theta: Array
    step: int = 0
    m: Array = field(init=False)
    u: Array = field(init=False)
    sbar: Array = field(init=False)
    delta: Array = field(init=False)  # the base optimizer's last update
    q: Array = field(init=False)  # the last noise, gate included
    skipped: int = 0
    S: float = 0.0  # the account of a budget
    mean: float = 0.0
    F: float = 0.0
    size: float = 0.0  # p times the basic noise, squared in the reading std
    E: float = 0.0
    sized: tuple[float, float] | None = None
    kept: tuple[Noise, int, float, tuple[float, float] | None] | None = None  # scalars of noise to take back

    def __post_init__(self) -> None:
        self.theta = np.array(self.theta, dtype=np.float64)
        for name in ("m", "u", "sbar", "delta", "q"):
            setattr(self, name, np.zeros_like(self.theta))


class PATSAdamax:
    """Algorithm 1 with torch's Adamax: coupled decay, the optimizer's eps inside the maximum."""

    def __init__(
        self,
        params: Mapping[str, Array],
        lr: float,
        noise: Noise | None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.matrices = {name: Matrix(theta) for name, theta in params.items()}
        self.lr, self.noise, self.betas, self.eps = lr, noise, betas, eps
        self.weight_decay, self.maximize = weight_decay, maximize

    def step(self, grads: Grads) -> None:
        """One update of every matrix that has a gradient."""
        for name, matrix in self.matrices.items():
            grad = grads[name]
            if grad is not None:
                self._step(name, matrix, -grad if self.maximize else grad)

    def _step(self, name: str, a: Matrix, g: Array) -> None:
        with np.errstate(all="ignore"):
            self._take_back(name, a)
            budget = self.noise is not None and self.noise.accounted
            if budget and not a.S and a.theta.size > 1:
                a.S = float(a.theta.std(ddof=1))
            F = self.noise.factor(a) if self.noise and budget else 0.0
            finite = self._measure(a, g) if self.noise else True
            a.step += 1
            if self.noise and budget:
                a.sized = self.noise.spend(a, F, finite, self.lr)
                a.mean = math.fsum(a.sbar.ravel()) / max(a.sbar.size, 1)
            a.delta = self._update(a, g)
        a.q = np.zeros_like(a.theta)
        if self.noise and not finite:
            a.skipped += 1
        elif self.noise and a.theta.size:
            z = draw(self.noise.seed, name, a.step, 0, a.theta.size, self.noise.p)
            a.q = self.noise.sigma(a.sbar, self.lr, sized=a.sized, step=a.step) * z.reshape(a.theta.shape)
            if self.noise.keep == "anticorrelated":
                a.kept = self.noise, a.step, self.lr, a.sized
        a.theta = a.theta + a.delta
        if self.noise and self.noise.keep != "transient":
            a.theta = a.theta + a.q

    def present(self, name: str) -> Array:
        """What the forward and backward passes see: transient noise is there until the next step."""
        a = self.matrices[name]
        return a.theta + a.q if self.noise and self.noise.keep == "transient" else a.theta

    def _take_back(self, name: str, a: Matrix) -> None:
        """The anticorrelated noise of the last step, drawn anew from what is known of it."""
        if a.kept is not None:
            noise, step, lr, sized = a.kept
            z = draw(noise.seed, name, step, 0, a.theta.size, noise.p).reshape(a.theta.shape)
            a.theta = a.theta - noise.sigma(a.sbar, lr, sized=sized, step=step) * z
            a.kept = None

    def _update(self, a: Matrix, g: Array) -> Array:
        """The base optimizer's change of theta."""
        b1, b2 = self.betas
        g = g + self.weight_decay * a.theta if self.weight_decay else g
        a.m = b1 * a.m + (1 - b1) * g
        a.u = np.maximum(b2 * a.u, np.abs(g) + self.eps)
        return -self.lr / (1 - b1**a.step) * a.m / a.u

    def _measure(self, a: Matrix, g: Array) -> bool:
        """Eq. 1 and 2; true where every entry is finite."""
        assert self.noise
        beta = self.noise.beta
        s = a.theta * g if self.noise.signed else np.abs(a.theta * g)
        finite = np.isfinite(s**2)
        a.sbar = np.where(finite, beta * a.sbar + (1 - beta) * s, a.sbar)
        return bool(finite.all())


class PATSAdamW(PATSAdamax):
    """The same noise on torch's AdamW: decoupled decay, eps beside the corrected root."""

    def _update(self, a: Matrix, g: Array) -> Array:
        b1, b2 = self.betas
        a.m = b1 * a.m + (1 - b1) * g
        a.u = b2 * a.u + (1 - b2) * g**2
        below = np.sqrt(a.u / (1 - b2**a.step)) + self.eps
        decay: Array = -self.lr * self.weight_decay * a.theta
        return decay - self.lr / (1 - b1**a.step) * a.m / below


# ---------------------------------------------------------------------------- SAGE


class _SAGE:
    """What both forms share: matrices, settings, and the quotient R."""

    def __init__(
        self,
        params: Mapping[str, Array],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float = 0.75,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        eps_mode: str = "code",
        in_scope: bool = True,
    ) -> None:
        self.matrices = {name: Matrix(theta) for name, theta in params.items()}
        self.lr, self.betas, self.beta3, self.eps = lr, betas, beta3, eps
        self.weight_decay, self.eps_mode, self.in_scope = weight_decay, eps_mode, in_scope

    def step(self, grads: Grads, schedule: float = 1.0) -> None:
        """One update; `schedule` is s(t), the multiplier of the base rate."""
        for name, matrix in self.matrices.items():
            grad = grads[name]
            if grad is not None:
                self._step(matrix, grad, schedule)

    def _step(self, a: Matrix, g: Array, schedule: float) -> None:
        raise NotImplementedError

    def _ratio(self, a: Matrix, g: Array, correction: float) -> Array:
        if not self.in_scope:
            return np.ones_like(a.theta)
        now = np.abs(a.theta * g)
        a.sbar = self.beta3 * a.sbar + (1 - self.beta3) * now
        mean = a.sbar / correction
        change = np.abs(now - mean)
        paper = self.eps_mode == "paper"
        ratio: Array = (change + self.eps) / (mean + self.eps) if paper else change / (mean + self.eps**2)
        return ratio


class SAGEAdamax(_SAGE):
    """No bias correction anywhere, eps twice, decay added to the step and scaled by R."""

    def _step(self, a: Matrix, g: Array, schedule: float) -> None:
        b1, b2 = self.betas
        a.m = b1 * a.m + (1 - b1) * g
        a.u = np.maximum(b2 * a.u, np.abs(g) + self.eps)
        q = a.m / (a.u + self.eps)
        ratio = self._ratio(a, g, 1.0)
        if self.weight_decay > 0:
            q = q + self.weight_decay * a.theta
        a.step += 1
        a.theta = a.theta - self.lr * schedule * ratio * q


class SAGEAdamW(_SAGE):
    """Everything bias-corrected; decay after the update, at the base rate, free of R."""

    def _step(self, a: Matrix, g: Array, schedule: float) -> None:
        b1, b2 = self.betas
        a.step += 1
        a.m = b1 * a.m + (1 - b1) * g
        a.u = b2 * a.u + (1 - b2) * g**2
        below = np.sqrt(a.u) + self.eps
        ratio = self._ratio(a, g, 1 - self.beta3**a.step)
        size = self.lr * schedule * ratio * math.sqrt(1 - b2**a.step) / (1 - b1**a.step)
        a.theta = a.theta - size * a.m / below
        a.theta = a.theta - self.lr * self.weight_decay * a.theta


# ---------------------------------------------------------------------------- NoisyTune


def noisytune(name: str, weights: Array, intensity: float = 0.15, seed: int = 0) -> Array:
    """W + U(-intensity/2, intensity/2) * std(W), std unbiased, one entry left alone."""
    if weights.size < 2:
        return weights.copy()
    word = words(seed, name, 0, 0, weights.size, purpose=2).astype(np.float64)
    centred = (word + 0.5) / 2.0**32 - 0.5
    noise: Array = intensity * weights.std(ddof=1) * centred
    return weights + noise.reshape(weights.shape)
