"""FreeLB: several passes a step over adversarial word embeddings, whose gradients add up.

Zhu et al., "FreeLB: Enhanced Adversarial Training for Natural Language Understanding", ICLR 2020. With
X the word embeddings of a batch, d their width and len_b the real tokens of example b,

    δ₀[b] = U(-1, 1)·A/√(len_b·d) at real tokens (l2), or U(-A, A) (linf)
    for a = 0 … K-1:   l_a = loss(f(X + δ_a))/K, its gradient is added to θ's
                       δ_{a+1} = Π( δ_a + α·∇l_a/‖∇l_a‖ ),  norm and projection Π per example

K passes mean K-1 ascents. With A = 0 the first pass sees the clean example.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pats.methods import _options
from pats.methods._batch import MicroBatch, PassClock
from pats.methods._embeddings import Embeddings, lengths
from pats.methods._method import Method, Training

_LEAST = 1e-8  # the smallest norm that a gradient is divided by


@dataclass(frozen=True)
class FreeLBOptions:
    """Options of FreeLB.

    Args:
        alpha: α ≥ 0, length of an ascent.
        passes: K ≥ 1.
        init: A ≥ 0, size of the first perturbation; its norm is about A/√3.
        max_norm: Largest norm of an example's perturbation; 0 does not limit it.
        norm: ``"l2"`` or ``"linf"``, of an example's whole perturbation.
        dropout: ``"shared"`` uses the masks of the first pass in all passes, as the paper's algorithm:
            the perturbation then attacks one network; ``"fresh"`` draws others for every pass, which
            the authors say works too. Both cost the same here, so the paper's is the default.
    """

    alpha: float = _options.number(0.1, source="authors' script for STS-B; .03 to .2 over GLUE")
    passes: int = _options.option(
        3, "a whole number from 1", lambda value: value >= 1, source="authors' scripts: 2 to 4"
    )
    init: float = _options.number(0.2, source="authors' script for STS-B; 0 to .6 over GLUE")
    max_norm: float = _options.number(0.0, source="authors' scripts: 0 in seven tasks of eight")
    norm: str = _options.choice("l2", "linf", source="authors' scripts")
    dropout: str = _options.choice("shared", "fresh", source="the paper")


class FreeLB(Method[FreeLBOptions]):
    """The gradient of a step is the mean over K perturbations of growing harm."""

    name = "freelb"
    summary = "several passes a step over adversarial word embeddings"
    sentence = "FreeLB (passes over adversarial word embeddings, Zhu et al. 2020)"
    source = "Zhu et al., ICLR 2020"
    changes = ("embeddings", "loss")
    cost = "K forward and K backward passes"
    Options = FreeLBOptions

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Hook the word embeddings."""
        self._embeddings = Embeddings(model, training.seed, clock)
        with self._embeddings.hooked():
            yield

    def loss(self, batch: MicroBatch) -> Tensor:
        """K passes; the value is the mean of their losses."""
        passes, before = self.options.passes, None
        delta = self._start(batch)
        for number in range(passes - 1):
            delta.requires_grad_()
            loss = self._pass(batch, delta, number, final=False)
            batch.backward(loss)
            before = loss.detach() if before is None else before + loss.detach()
            assert delta.grad is not None
            delta = self._ascend(delta.detach(), delta.grad)
        loss = self._pass(batch, delta, passes - 1, final=True)
        return loss if before is None else loss + before

    def _pass(self, batch: MicroBatch, delta: Tensor, number: int, final: bool) -> Tensor:
        with self._embeddings.changed(lambda x: x + delta.to(x.dtype)):
            output = batch.forward(final=final, dropout=self.options.dropout if number else "own")
        return output.loss / self.options.passes  # type: ignore[no-any-return]

    def _start(self, batch: MicroBatch) -> Tensor:
        """δ₀, of shape (batch, length, width)."""
        shape, device = self._embeddings.shape(batch), batch.inputs["input_ids"].device
        if self.options.init == 0:
            return torch.zeros(shape, dtype=self._embeddings.dtype, device=device)
        noise = self._embeddings.uniform(shape, batch.clock.count + 1, device)
        real, length = lengths(batch.inputs.get("attention_mask"), shape, device)
        scale = (length * shape[-1]).rsqrt() if self.options.norm == "l2" else 1.0
        return noise * (real * scale * self.options.init).to(noise.dtype)

    def _ascend(self, delta: Tensor, grad: Tensor) -> Tensor:
        """δ after one ascent and its projection."""
        delta = delta + self.options.alpha * grad / self._norm(grad).clamp(min=_LEAST)
        limit = self.options.max_norm
        if limit == 0:
            return delta
        if self.options.norm == "linf":
            return delta.clamp(-limit, limit)
        norm = self._norm(delta)
        return torch.where(norm > limit, delta * (limit / norm.clamp(min=_LEAST)), delta)

    def _norm(self, x: Tensor) -> Tensor:
        order = 2 if self.options.norm == "l2" else float("inf")
        norm: Tensor = torch.linalg.vector_norm(x, order, dim=(1, 2), keepdim=True)
        return norm
