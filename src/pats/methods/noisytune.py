"""NoisyTune: noise on the pretrained weights, once, before fine-tuning.

Wu et al., "NoisyTune: A Little Noise Can Help You Finetune Pretrained Language Models Better",
ACL 2022: W ← W + U(-λ/2, λ/2)·std(W), elementwise, for every parameter tensor of the pretrained model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pats import philox
from pats._errors import InputError
from pats._scope import Scope, named_parameters
from pats._scope import scope as names_in
from pats.methods import _options
from pats.methods._method import Method, Training


@torch.no_grad()
def noisytune_(model: nn.Module, intensity: float = 0.15, seed: int = 0, scope: Scope = "pretrained") -> None:
    """Add uniform noise to the pretrained parameters in place: W += U(-λ/2, λ/2)·std(W).

    std is over all entries of a tensor, unbiased, taken before the noise; so the noise's own
    standard deviation is λ/√12 of it. The draws come from the counter-based stream (purpose 2, step
    0): they depend on seed, name and position alone, and torch's generators are not touched. The
    sum is taken in float64 and rounded once.

    Args:
        model: The model, changed in place. A sharded model is not supported: noise it before.
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
    for name in names_in(model, scope):
        _perturb_(named[name], name, intensity, seed)


def _perturb_(weight: Tensor, name: str, intensity: float, seed: int) -> None:
    if weight.numel() < 2 or not bool(torch.isfinite(weight).all()):
        return
    noised = weight.detach().contiguous().view(-1)
    width = intensity * float(noised.double().std())
    if width == 0:
        return
    for start, count in philox.chunks(0, weight.numel()):
        words = philox.words(seed, name, 0, start, count, purpose=philox.NOISYTUNE, device=weight.device)
        uniform = (words.double() + 0.5) / 2**32 - 0.5
        part = noised[start : start + count]
        part.copy_(part.double() + uniform * width)
    weight.copy_(noised.view(weight.shape))


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
    source = "Wu et al., ACL 2022"
    changes = ("weights",)
    cost = "none in training"
    Options = NoisyTuneOptions

    def prepare_(self, model: nn.Module, training: Training) -> None:
        """Noise every pretrained tensor in scope."""
        inside = [n for n in names_in(model, self.options.scope) if n not in training.fresh]
        noisytune_(model, self.options.intensity, training.seed, inside)
