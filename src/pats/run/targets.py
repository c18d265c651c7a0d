"""What a model learns of a table's scores: the scores as they are, or with mean 0 and spread 1.

The outputs of a fresh head are about 0, and a step of Adam's kind moves each weight by about the learning
rate, whatever the loss. Scores about 70 are out of its reach, and so are differences of 0.01 among scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from pats.run.model.classifier import Loaded
from pats.run.model.head import is_fresh, output_layer
from pats.run.spec import STANDARDIZED
from pats.tasks import Split


@dataclass(frozen=True)
class Targets:
    """The model learns (score - mean) / spread; all that leaves it is in the unit of the scores.

    Args:
        mean: In the unit of the scores.
        spread: The same, above 0.
    """

    mean: float = 0.0
    spread: float = 1.0

    @property
    def raw(self) -> bool:
        """The model learns the scores as they are."""
        return self == Targets()

    def learned(self, split: Split) -> Split:
        """The split with what the model learns of its scores."""
        if self.raw or split.label is None:
            return split
        return replace(split, label=tuple((score - self.mean) / self.spread for score in split.label))

    def restored(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """A model's outputs in the unit of the scores."""
        if self.raw:
            return outputs
        return np.asarray(self.mean + self.spread * outputs.astype(np.float64), np.float32)

    @torch.no_grad()
    def into_(self, layer: nn.Linear) -> None:
        """Let a last layer that gives what was learned give the scores."""
        layer.weight.mul_(self.spread)
        if layer.bias is not None:
            layer.bias.mul_(self.spread).add_(self.mean)

    @torch.no_grad()
    def out_of_(self, layer: nn.Linear) -> None:
        """Let a last layer that gives the scores give what is learned."""
        layer.weight.div_(self.spread)
        if layer.bias is not None:
            layer.bias.sub_(self.mean).div_(self.spread)

    @contextmanager
    def exported(self, model: PreTrainedModel) -> Iterator[None]:
        """Within, the model gives the scores; afterwards it has its own bits again."""
        layer = None if self.raw else output_layer(model)
        if layer is None:
            yield
            return
        kept = [(own, own.detach().clone()) for own in layer.parameters()]
        try:
            self.into_(layer)
            yield
        finally:
            with torch.no_grad():
                for own, bits in kept:
                    own.copy_(bits)


def begin_(targets: str | None, loaded: Loaded, train: Split) -> Targets:
    """What the model learns of the scores; a head that was trained on scores then starts with its outputs.

    Without a bias in its last layer, a model cannot add the mean: scores are then divided by their root mean
    square alone. Of equal scores the spread counts as 1. A head of another form learns the scores as they
    are.

    Args:
        targets: ``"standardized"``, or ``"raw"``; None is raw.
        loaded: The model; its last layer is changed in place unless it was drawn at random.
        train: The examples that it trains on.
    """
    layer = output_layer(loaded.model)
    if targets != STANDARDIZED or layer is None:
        return Targets()
    scores = np.asarray(train.label, np.float64)
    mean = 0.0 if layer.bias is None else float(scores.mean())
    spread = float(np.sqrt(np.mean((scores - mean) ** 2)))
    found = Targets(mean, spread or 1.0)
    if not is_fresh(loaded.model, layer, loaded.fresh):
        found.out_of_(layer)
    return found
