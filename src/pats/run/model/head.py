"""The last layer of a classifier, which gives its outputs."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from pats._scope import canonical_name


def output_layer(model: PreTrainedModel) -> tuple[str, nn.Linear] | None:
    """Name and module of the linear layer that gives the outputs; None for a head of another form."""
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    fitting = [found for found in layers if found[1].out_features == model.config.num_labels]
    return fitting[-1] if fitting else None


def is_fresh(model: nn.Module, layer: nn.Module, fresh: frozenset[str]) -> bool:
    """Whether a layer's weights were drawn at random.

    Args:
        model: The model.
        layer: One of its layers.
        fresh: Canonical names of the parameters that were drawn.
    """
    own = {id(parameter) for parameter in layer.parameters()}
    return all(canonical_name(name) in fresh for name, value in model.named_parameters() if id(value) in own)


@torch.no_grad()
def start_at_(layer: nn.Linear, shares: Sequence[float]) -> None:
    """Let the outputs start about the log-odds of these shares, log(p / (1 - p)), instead of about 0.

    Of many labels each is rare. From a probability of one half a training first spends hundreds of steps on
    learning that. A layer without a bias stays as it is.

    Source: Lin et al. 2017, "Focal loss for dense object detection", section 4.1.

    Args:
        layer: The last layer.
        shares: p of every output, in (0, 1).
    """
    if layer.bias is not None:
        layer.bias.copy_(torch.tensor(shares, dtype=torch.float64).logit())
