"""NEFTune: uniform noise on the word embeddings in every training pass.

Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning", 2023: X' = X + U(-1, 1)·α/√(L·d)
for embeddings X of length L and width d. The gradient passes to X unchanged.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from pats.methods import _options
from pats.methods._batch import PassClock
from pats.methods._embeddings import Embeddings, lengths
from pats.methods._method import Method, Training


@dataclass(frozen=True)
class NEFTuneOptions:
    """Options of NEFTune.

    Args:
        alpha: α ≥ 0; the noise of an example has norm α/√3.
        length: ``"real"`` takes the number of real tokens of each example for L and leaves pads alone,
            as the authors' experiments; ``"padded"`` takes the padded length of the batch and noises
            pads too, as transformers. With real lengths, what an example sees does not depend on its
            neighbours in the batch, so this is the default.
    """

    alpha: float = _options.number(5.0, source="authors' README; the paper: 5, 10, 15")
    length: str = _options.choice("real", "padded", source="authors' experiments")


class NEFTune(Method[NEFTuneOptions]):
    """Noise on the output of the word table, before positions, segments and norms."""

    name = "neftune"
    summary = "uniform noise on the word embeddings in every training pass"
    sentence = "NEFTune (noise on the word embeddings, Jain et al. 2023)"
    source = "Jain et al., 2023"
    changes = ("embeddings",)
    cost = "one draw an embedding entry"
    Options = NEFTuneOptions

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Noise the embeddings of every training pass."""
        embeddings = Embeddings(model, training.seed, clock)

        def noised(x: Tensor) -> Tensor:
            noise = embeddings.uniform(tuple(x.shape), clock.current, x.device)
            padded = self.options.length == "padded"
            real, length = lengths(None if padded else clock.mask, tuple(x.shape), x.device)
            size = self.options.alpha / (length * x.shape[-1]).sqrt()
            return x + (noise * (real * size).to(noise.dtype)).to(x.dtype)

        with ExitStack() as stack:
            stack.enter_context(embeddings.hooked())
            stack.enter_context(embeddings.changed(noised))
            yield
