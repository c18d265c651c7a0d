"""Plain fine-tuning: the paper's baseline."""

from torch import nn
from torch.optim import Optimizer

from pats.methods._method import Method, NoOptions, Training, base_optimizer


class Vanilla(Method[NoOptions]):
    """The optimizer as it is, bit for bit torch's."""

    name = "vanilla"
    summary = "plain fine-tuning"
    Options = NoOptions

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """Torch's Adamax or AdamW."""
        return base_optimizer(model, training)
