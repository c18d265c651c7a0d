"""R-Drop: two passes with different dropout must give the same answer.

Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021. With the logits z₁ and z₂ of
two passes, whose dropout masks differ, and p = softmax z, the loss of an example is

    L = -log p₁(y) - log p₂(y) + α·½·( KL(p₁‖p₂) + KL(p₂‖p₁) )

For scores it is L = (z₁-y)² + (z₂-y)² + α·(z₁-z₂)², as the authors' code has it at α = 1. The gradient flows
through both passes. Here the loss is the mean of L/2 over the batch: as large as that of plain fine-tuning,
so that clipping and the reported loss mean the same.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pats.methods import _options
from pats.methods._batch import MicroBatch
from pats.methods._divergence import divergence
from pats.methods._method import Method


@dataclass(frozen=True)
class RDropOptions:
    """Options of R-Drop.

    Args:
        alpha: α ≥ 0.
        task: ``"both"`` learns the labels from both passes, as the paper; ``"first"`` from the first alone,
            so that α = 0 is plain fine-tuning.
        reduction: ``"mean"`` of the divergence over the batch, as the paper, or ``"sum"``, as the authors'
            code for GLUE, where a larger batch then means a larger α. Scores always have the mean.
    """

    alpha: float = _options.number(1.0, source="the paper: .1, .5, 1 on GLUE")
    task: str = _options.choice("both", "first", source="the paper")
    reduction: str = _options.choice("mean", "sum", source="the paper; the authors' code is sum, alpha=0.5")


class RDrop(Method[RDropOptions]):
    """A second pass, and a pull of the two answers to each other."""

    name = "rdrop"
    summary = "two passes with different dropout must give the same answer"
    sentence = "R-Drop (the same answer under two dropout masks, Liang et al. 2021)"
    source = "Liang et al., NeurIPS 2021"
    changes = ("loss",)
    cost = "2 forward and 2 backward passes"
    Options = RDropOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._compared = False

    def loss(self, batch: MicroBatch) -> Tensor:
        """Half the paper's loss."""
        one = batch.forward(final=False)
        two = batch.forward(dropout="fresh")
        self._compare(one.logits, two.logits)
        task = one.loss if self.options.task == "first" else (one.loss + two.loss) / 2
        apart = divergence(one.logits, two.logits, batch.regression, several=batch.several)
        if not batch.regression:
            apart = apart / 2 * (len(one.logits) if self.options.reduction == "sum" else 1)
        loss: Tensor = task + self.options.alpha / 2 * apart
        return loss

    def _compare(self, one: Tensor, two: Tensor) -> None:
        """Warn where the first two passes do not differ; later ones are not compared: a device would wait."""
        if not self._compared and torch.equal(one, two):
            warnings.warn(
                "the two passes of rdrop gave the same answer, so that it is plain fine-tuning at twice the "
                "cost: the model has no dropout, as ModernBERT and Llama have none; raise its dropout, or "
                "combine rdrop with a method that adds noise to every pass, such as hype",
                stacklevel=2,
            )
        self._compared = True
