"""What a model learns of a table's scores: the scores as they are, or with mean 0 and spread 1.

The outputs of a fresh head are about 0, and a step of Adam's kind moves each weight by about the learning
rate, whatever the loss. Scores about 70 are out of its reach, and so are differences of 0.01 among scores.
"""

from dataclasses import dataclass, replace
from typing import Any

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
    def out_of_(self, layer: nn.Linear) -> None:
        """Let a last layer that gives the scores give what is learned."""
        layer.weight.div_(self.spread)
        if layer.bias is not None:
            layer.bias.sub_(self.mean).div_(self.spread)

    def exported(self, model: PreTrainedModel, weights: dict[str, Any] | None) -> dict[str, Any] | None:
        """Weights with which a model that gives what was learned gives the scores.

        Args:
            model: The model; it stays as it is.
            weights: Its weights, none of them on a process that does not write; None takes its own.
        """
        found = None if self.raw else output_layer(model)
        if found is None:
            return weights
        given = dict(model.state_dict() if weights is None else weights)
        for name, shift in ((f"{found[0]}.weight", 0.0), (f"{found[0]}.bias", self.mean)):
            if name in given:
                given[name] = given[name] * self.spread + shift
        return given


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
    found = output_layer(loaded.model)
    if targets != STANDARDIZED or found is None:
        return Targets()
    layer = found[1]
    scores = np.asarray(train.label, np.float64)
    mean = 0.0 if layer.bias is None else float(scores.mean())
    spread = float(np.sqrt(np.mean((scores - mean) ** 2)))
    learned = Targets(mean, spread or 1.0)
    if not is_fresh(loaded.model, layer, loaded.fresh):
        learned.out_of_(layer)
    return learned
