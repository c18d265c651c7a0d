"""A model's blocks, from the bottom up: what layer-wise methods count."""

from torch import nn

from pats._errors import InputError
from pats._scope import canonical_name, repeated_blocks


def blocks(model: nn.Module, method: str) -> dict[str, nn.Module]:
    """The repeated blocks of the base model by canonical name, in the model's order.

    A model with an encoder and a decoder has those of the encoder first.

    Args:
        model: The model.
        method: Who asks, for the message.

    Raises:
        InputError: It has none.
    """
    found = {
        canonical_name(f"{container}.{name}"): block
        for container in repeated_blocks(model)
        for name, block in model.get_submodule(container).named_children()
    }
    if not found:
        raise InputError(
            f"{method} counts a model's blocks, a ModuleList or Sequential of composite modules with weight "
            f"matrices inside the base model, and {type(model).__name__} has none: take another method"
        )
    return found
