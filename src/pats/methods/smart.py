"""SMART: smoothness against small adversarial changes of the input, and a pull to its own average.

Jiang et al., "SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through
Principled Regularized Optimization", ACL 2020:

    loss = task loss + λ·l_s(f(x), f(x̃)) + μ·l_s(f(x; θ), f(x; θ̃))

l_s is the symmetrised KL divergence, or the squared difference for regression. x are the word embeddings
(``place="words"``), or the output of the embedding block (``"block"``), where MT-DNN's code adds n;
θ̃ ← b·θ̃ + (1-b)·θ after every step (the Bregman proximal point method with momentum).

The adversary of the paper (``radius_mode="paper"``), from n₀ ~ N(0, σ²), K times per example:

    g = ∇_n l_s(f(x), f(x+n)),   n ← Π_{‖n‖∞ ≤ ε}( n + η·g/‖g‖∞ )

That of MT-DNN's code (``"reference"``) has no projection, and normalises the sum of noise and gradient
per token, so that n has entries around 0.3, some 10⁵ times the paper's radius:

    d = ∇_n Σ 2·p'·(r(p') - r(p)),  r(a) = -log(1/(a + 1e-6) - 1 + 1e-6) held fixed
    n ← (n + η·d)/(‖n + η·d‖∞ + 1e-6)

The momentum half is in no public code. ``telemetry`` reports the cosine between n and the last
gradient: near 0, the adversary is random noise.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pats._errors import InputError
from pats._scope import canonical_name
from pats.methods import _options
from pats.methods._batch import MicroBatch, PassClock
from pats.methods._divergence import divergence, wide
from pats.methods._embeddings import Embeddings, lengths
from pats.methods._method import Method, Training
from pats.step import shard

_EARLY = 0.1  # share of the steps with the smaller momentum
_TINY = 1e-6  # MT-DNN's ε, in r and in the normalisation


@dataclass(frozen=True)
class SmartOptions:
    """Options of SMART.

    Args:
        weight: λ ≥ 0, of the smoothness.
        mu: μ ≥ 0, of the pull to the average.
        radius_mode: ``"paper"`` projects on the radius ε and leaves pads alone; ``"reference"`` is
            MT-DNN's rule, pads included. The default is what the paper describes and proves.
        place: ``"words"`` changes the word embeddings, as every method here does; ``"block"`` what the
            whole embedding block gives, after positions, segments, norm and dropout, as MT-DNN's code.
            The size of ``"reference"`` is meant for there: a norm's output is larger than a word table's.
        radius: ε > 0, of the paper's mode.
        sigma: σ ≥ 0, of the first noise.
        eta: η ≥ 0, length of an ascent.
        ascents: K ≥ 0.
        momentum: b in the first tenth of the steps.
        momentum_late: b afterwards.
        detach: No gradient flows through the target of each KL in the smoothness, as MT-DNN's code; the
            paper's l_s has no such stop.
        dropout: ``"fresh"`` masks in every extra pass, as MT-DNN's code, so that the smoothness is not 0
            at zero noise; ``"shared"`` ones leave the noise as the only difference.
    """

    weight: float = _options.number(1.0, source="the paper: 1, 3, 5")
    mu: float = _options.number(1.0, source="the paper")
    radius_mode: str = _options.choice("paper", "reference", source="the paper")
    place: str = _options.choice("words", "block", source="ours; MT-DNN's code is block")
    radius: float = _options.number(1e-5, above=True, source="the paper")
    sigma: float = _options.number(1e-5, source="the paper and MT-DNN's code")
    eta: float = _options.number(1e-3, source="the paper and MT-DNN's class")
    ascents: int = _options.option(
        1, "a whole number from 0", lambda value: value >= 0, source="the paper and MT-DNN's code"
    )
    momentum: float = _options.number(0.99, 0, 1, source="the paper")
    momentum_late: float = _options.number(0.999, 0, 1, source="the paper")
    detach: bool = False
    dropout: str = _options.choice("fresh", "shared", source="MT-DNN's code")


class Smart(Method[SmartOptions]):
    """Clean pass, K ascents, adversarial pass, and a pass of the averaged model."""

    name = "smart"
    summary = "smooth under adversarial word embeddings, pulled to its own average"
    sentence = "SMART (smoothness under adversarial word embeddings, Jiang et al. 2020)"
    source = "Jiang et al., ACL 2020"
    changes = ("embeddings", "loss")
    cost = "K + 3 forward passes, K + 2 backward passes, K of them short; one float32 a parameter"
    Options = SmartOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.teacher: dict[str, Tensor] = {}
        self._at = 1  # the step for which the teacher is right
        self._adversary_figures: dict[str, Tensor] = {}

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Hook the word embeddings; the average starts at the model's weights."""
        self._model = model
        self._embeddings = Embeddings(model, training.seed, clock, self.options.place)
        self._embeddings.require_float32(self.options.radius)
        self.teacher = {
            canonical_name(name): parameter.detach().clone() for name, parameter in model.named_parameters()
        }
        self._at = 1
        with self._embeddings.hooked():
            yield

    def state(self) -> dict[str, Tensor]:
        """The averaged weights, and the step that they are for."""
        return {**self.teacher, ".step": torch.tensor(self._at)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the averaged weights of the checkpoint."""
        self._at = int(state[".step"])
        for name, average in self.teacher.items():
            average.copy_(state[name])

    def loss(self, batch: MicroBatch) -> Tensor:
        """Task loss of the clean pass, smoothness and pull."""
        options = self.options
        self._follow(batch.clock)
        clean = batch.forward(final=False)
        target = clean.logits.detach()
        average = {raw: self.teacher[canonical_name(raw)] for raw, _ in self._model.named_parameters()}
        taught = batch.logits_with(self._model, average, options.dropout)
        noise = self._adversary(batch, target)
        with self._embeddings.changed(lambda x: x + noise):
            noised = batch.forward(dropout=options.dropout)
        smooth = divergence(clean.logits, noised.logits, batch.regression, options.detach, batch.several)
        pull = divergence(clean.logits, taught, batch.regression, several=batch.several)
        loss: Tensor = clean.loss + options.weight * smooth + options.mu * pull
        return loss

    @torch.no_grad()
    def _follow(self, clock: PassClock) -> None:
        """θ̃ ← b·θ̃ + (1-b)·θ, once after every step, when the next one begins."""
        if any(map(shard.is_sharded, self._model.parameters())):
            raise InputError(
                "smart compares the model with a moving average of its weights, which it cannot shard: train "
                "on replicas (torchrun, or Accelerate without FSDP), or take another method"
            )
        if clock.step == self._at:
            return
        self._at = clock.step
        early = clock.step - 1 <= _EARLY * clock.steps
        momentum = self.options.momentum if early else self.options.momentum_late
        for name, parameter in self._model.named_parameters():
            self.teacher[canonical_name(name)].lerp_(parameter, 1 - momentum)

    def _adversary(self, batch: MicroBatch, target: Tensor) -> Tensor:
        options, clock = self.options, batch.clock
        shape, device = self._embeddings.shape(batch), batch.inputs["input_ids"].device
        paper = options.radius_mode == "paper"
        real, _ = lengths(batch.inputs.get("attention_mask") if paper else None, shape, device)
        noise = self._embeddings.normal(shape, clock.count + 1, device) * options.sigma
        real = real.to(noise.dtype)
        noise = noise * real
        for _ in range(options.ascents):
            noise.requires_grad_()
            with self._embeddings.changed(lambda x, n=noise: x + n):  # type: ignore[misc]
                logits = batch.forward(final=False, dropout=options.dropout).logits
            harm = _harm(logits, target, batch.regression, paper, batch.several)
            (grad,) = torch.autograd.grad(harm, noise)
            grad = grad.nan_to_num(0.0, 0.0, 0.0)
            noise = noise.detach()
            if paper:
                largest = grad.abs().amax((1, 2), keepdim=True)
                step = torch.where(largest > 0, grad / largest, 0.0) * options.eta
                noise = (noise + step * real).clamp(-options.radius, options.radius)
            else:
                noise = noise + options.eta * grad
                noise = noise / (noise.abs().amax(2, keepdim=True) + _TINY)
            self._adversary_figures = {"cosine": _cosine(noise, grad), "largest_max": noise.abs().max()}
        return noise.detach()

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """Of the last step: cosine between adversary and gradient, and its largest entry."""
        figures = {key: float(value) for key, value in self._adversary_figures.items()}
        return {"adversary": figures} if figures else {}


def _harm(logits: Tensor, target: Tensor, regression: bool, paper: bool, several: bool) -> Tensor:
    """What the adversary maximises, summed over the batch."""
    logits, target = wide(logits), wide(target)
    if regression:
        return (logits - target).square().sum()
    if paper or several:  # MT-DNN's code knows no several labels
        return divergence(logits, target, regression, several=several) * len(logits)
    p, y = logits.softmax(-1), target.softmax(-1)
    r_p, r_y = (-(1 / (a.detach() + _TINY) - 1 + _TINY).log() for a in (p, y))
    return (2 * p * (r_p - r_y)).sum()


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
