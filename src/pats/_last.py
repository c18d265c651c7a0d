"""The noise of one step as a few numbers, from which and from s̄_j it can be drawn once more.

Noise that does not stay in the weights (``Noise.keep``) goes in or comes out at another time than that of its
draw. What the draw depends on beside s̄_j, which no step has changed since, is kept as a row of ``ROW``,
float64 on the host, in ``optimizer.state[p]["noise_last"]``: the settings are those of the draw, so that they
may be scheduled, and a resumed run draws the same.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pats._noise import Noise, eps_of

KEY = "noise_last"  # in ``optimizer.state[p]``
ROW = ("key_low", "key_high", "step", "mean", "lam", "ceiling", "p", "gamma", "eps", "is_std", "inside")


@dataclass(frozen=True)
class Drawn:
    """What the noise of one matrix at one step is drawn from, s̄_j aside.

    Args:
        noise: p, γ, ε and the reading.
        numel: N.
        mean: s̄.
        lam: λ_t.
        ceiling: The largest σ_j.
        stream: The key of the stream.
        step: The step that it is drawn for.
    """

    noise: Noise
    numel: int
    mean: float
    lam: float
    ceiling: float
    stream: tuple[int, int]
    step: int

    def to_row(self, inside: bool) -> Tensor:
        """The row; ``inside`` says whether the weights hold the noise between steps."""
        absolute, relative = eps_of(self.noise, self.numel)
        eps = absolute + relative * abs(self.mean)
        if not math.isfinite(eps):  # of a mean that is not finite, with which nothing is added
            return nothing()
        is_std = self.noise.intensity == "std"
        drawn = (*self.stream, self.step, self.mean, self.lam, self.ceiling)
        row = (*drawn, self.noise.p, self.noise.gamma, eps, is_std, inside)
        return torch.tensor(row, dtype=torch.float64)


def nothing() -> Tensor:
    """The row of a step without noise."""
    return torch.zeros(len(ROW), dtype=torch.float64)


def drawn(row: Tensor) -> tuple[Drawn, bool] | None:
    """What a row says, and whether the weights hold the noise; None where there is none.

    Raises:
        InputError: Its numbers are out of range.
    """
    low, high, step, mean, lam, ceiling, p, gamma, eps, is_std, inside = row.tolist()
    if lam == 0 or p == 0:
        return None
    noise = Noise(
        p=p,
        gamma=gamma,
        eps=eps,
        eps_mode="absolute",
        intensity="std" if is_std else "variance",
        keep="anticorrelated" if inside else "transient",
    )
    return Drawn(noise, 1, mean, lam, ceiling, (int(low), int(high)), int(step)), bool(inside)
