"""R3F: clean and noised embeddings must give the same answer.

Aghajanyan et al., "Better Fine-Tuning by Reducing Representational Collapse", ICLR 2021. With X the word
embeddings, z = f(X) and z' = f(sg(X) + n), n ~ U(-ε, ε) or N(0, ε²) for every entry, pads too,

    loss = task loss(z) + λ·S,      S = KL(p‖p') + KL(p'‖p),  p = softmax z, p' = softmax z'

summed over classes, averaged over the batch; the gradient flows through both. sg stops the gradient: the
word table learns from the clean pass alone, as in the authors' sentence classification.

ε = 1e-5 lies far below the effect of dropout: with fresh masks S compares two dropout masks, as R-Drop does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from pats._errors import InputError
from pats.methods import _options
from pats.methods._batch import MicroBatch, PassClock
from pats.methods._divergence import divergence
from pats.methods._embeddings import Embeddings
from pats.methods._method import Method, Training


@dataclass(frozen=True)
class R3FOptions:
    """Options of R3F.

    Args:
        weight: λ ≥ 0.
        eps: ε ≥ 0.
        noise: ``"uniform"`` or ``"normal"``.
        dropout: ``"fresh"`` masks in the noised pass, as the authors' code; ``"shared"`` ones leave the
            noise as the only difference.
        regression: What to do on a regression task, where S has no softmax. ``"mse"`` takes
            S = mean (z - z')²; ``"off"`` computes S and never adds it, as the authors' code;
            ``"refuse"`` raises.
    """

    weight: float = _options.number(1.0, source="authors' code; the paper: .1, .5, 1, 5")
    eps: float = _options.number(1e-5, source="authors' code and the paper")
    noise: str = _options.choice("uniform", "normal", source="authors' code for classification")
    dropout: str = _options.choice("fresh", "shared", source="authors' code")
    regression: str = _options.choice("mse", "off", "refuse", source="ours; the authors' is off")


class R3F(Method[R3FOptions]):
    """A second, noised pass whose answer is pulled to the clean one's, and vice versa."""

    name = "r3f"
    summary = "clean and noised word embeddings must give the same answer"
    sentence = "R3F (the same answer under noised word embeddings, Aghajanyan et al. 2021)"
    source = "Aghajanyan et al., ICLR 2021"
    changes = ("embeddings", "loss")
    cost = "2 forward and 2 backward passes"
    Options = R3FOptions

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Hook the word embeddings."""
        if training.regression and self.options.regression == "refuse":
            raise InputError(
                "r3f compares class probabilities, and this task is a regression: choose "
                "regression=mse (mean squared difference), regression=off, or another method"
            )
        self._embeddings = Embeddings(model, training.seed, clock)
        self._embeddings.require_float32(self.options.eps)
        with self._embeddings.hooked():
            yield

    def loss(self, batch: MicroBatch) -> Tensor:
        """Task loss of the clean pass, and λ·S."""
        clean = batch.forward(final=False)
        device = batch.inputs["input_ids"].device
        draw = self._embeddings.uniform if self.options.noise == "uniform" else self._embeddings.normal
        noise = draw(self._embeddings.shape(batch), batch.clock.count + 1, device) * self.options.eps
        with self._embeddings.changed(lambda x: x.detach() + noise):
            noised = batch.forward(dropout=self.options.dropout)
        weight = 0.0 if batch.regression and self.options.regression == "off" else self.options.weight
        apart = divergence(clean.logits, noised.logits, batch.regression, several=batch.several)
        loss: Tensor = clean.loss + weight * apart
        return loss
