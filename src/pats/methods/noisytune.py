"""NoisyTune: noise on the pretrained weights, once, before fine-tuning.

Wu et al., "NoisyTune: A Little Noise Can Help You Finetune Pretrained Language Models Better",
ACL 2022: W ← W + U(-λ/2, λ/2)·std(W), elementwise, for every parameter tensor of the pretrained model.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pats import philox
from pats._errors import InputError
from pats._scope import Scope, named_parameters
from pats._scope import scope as names_in
from pats.kernels.eager import located, words_located
from pats.methods import _options
from pats.methods._method import Method, Training
from pats.step.shard import Slot, local, pieces, reduce_


@torch.no_grad()
def noisytune_(model: nn.Module, intensity: float = 0.15, seed: int = 0, scope: Scope = "pretrained") -> None:
    """Add uniform noise to the pretrained parameters in place: W += U(-λ/2, λ/2)·std(W).

    std is over all entries of a tensor, unbiased, taken before the noise; so the noise's own
    standard deviation is λ/√12 of it. The draws come from the counter-based stream (purpose 2, step
    0): they depend on seed, name and position alone, and torch's generators are not touched. The
    sum is taken in float64 and rounded once.

    Source: Wu et al., ACL 2022.

    Args:
        model: The model, changed in place; where it is sharded, on every rank.
        intensity: λ ≥ 0, without unit; 0.15 in the paper on GLUE.
        seed: Seed of the stream.
        scope: Which parameters, as in ``pats.scope``; by default those of the base model, so that a
            new head is left out.

    A tensor with fewer than two entries, of equal entries, or with entries that are not finite is
    left as it is. Tied tensors are changed once.

    Raises:
        InputError: ``intensity`` is negative or not finite, or nothing is in scope.
    """
    if not 0 <= intensity < float("inf"):
        raise InputError(f"intensity is {intensity!r}, but must be a number of at least 0")
    named = named_parameters(model)
    names = names_in(model, scope)
    for name, width in _widths([(name, named[name]) for name in names], seed).items():
        if width:
            _perturb_(named[name], name, intensity * width, seed)


def _widths(named: list[tuple[str, Tensor]], seed: int) -> dict[str, float]:
    """Standard deviation of every whole matrix; 0 where it is left alone."""
    count = {name: max(weight.numel(), 1) for name, weight in named}
    sums, squares = {}, {}
    for name, weight in named:
        shard = local(weight).detach()
        sums[name] = torch.stack([shard.sum(dtype=torch.float64), (~torch.isfinite(shard)).sum()])
    reduce_([Slot(weight, name, seed, sums[name]) for name, weight in named])
    for name, weight in named:
        distance = local(weight).detach().double() - sums[name][0] / count[name]
        squares[name] = torch.stack([distance.square_().sum(), sums[name][1]])
    reduce_([Slot(weight, name, seed, squares[name]) for name, weight in named])
    return {
        name: 0.0 if count[name] < 2 or sums[name][1] else math.sqrt(float(square[0]) / (count[name] - 1))
        for name, square in squares.items()
    }


def _perturb_(weight: Tensor, name: str, width: float, seed: int) -> None:
    shard = local(weight).detach()
    noised, stream = shard.contiguous().view(-1), philox.key(seed, name)
    for part, where in located(pieces(weight)):
        word = words_located(stream, 0, where, philox.NOISYTUNE, shard.device)
        uniform = (word.double() + 0.5) / 2**32 - 0.5
        noised[part] = (noised[part].double() + uniform * width).to(noised.dtype)
    shard.copy_(noised.view(shard.shape))


@dataclass(frozen=True)
class NoisyTuneOptions:
    """Options of NoisyTune.

    Args:
        intensity: λ ≥ 0: the noise spans λ standard deviations of a tensor, half to each side.
        scope: Parameters that get noise, as in ``pats.scope``; those that the checkpoint lacks are
            always left out.
    """

    intensity: float = _options.number(0.15, source="the paper, on GLUE; 0.1 on XTREME")
    scope: str = _options.scope("pretrained", source="the paper: every tensor of the pretrained model")


class NoisyTune(Method[NoisyTuneOptions]):
    """Uniform noise on the pretrained weights before training, then plain fine-tuning."""

    name = "noisytune"
    summary = "uniform noise on the pretrained weights, once, before training"
    sentence = "NoisyTune (noise before fine-tuning, Wu et al. 2022)"
    source = "Wu et al., ACL 2022"
    changes = ("weights",)
    cost = "none in training"
    Options = NoisyTuneOptions

    def prepare_(self, model: nn.Module, training: Training) -> None:
        """Noise every pretrained tensor in scope."""
        inside = [n for n in names_in(model, self.options.scope) if n not in training.fresh]
        noisytune_(model, self.options.intensity, training.seed, inside)
