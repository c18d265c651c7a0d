"""Whole weights of a model: copies of them, and others in their place for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pats._errors import InputError
from pats._scope import named_parameters
from pats.step import shard


def trainable(model: nn.Module, method: str) -> dict[str, nn.Parameter]:
    """Trainable parameters by canonical name, tied ones once.

    Args:
        model: The model.
        method: Whose they are to be, for the message.

    Raises:
        InputError: They are sharded.
    """
    named = named_parameters(model)
    if any(map(shard.is_sharded, named.values())):
        raise InputError(
            f"{method} keeps copies of the model's weights, which it cannot shard: train on replicas "
            "(torchrun, or Accelerate without FSDP), or take another method"
        )
    return named


@torch.no_grad()
def put_(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values into the tensors of the same names, in place."""
    for name, tensor in tensors.items():
        tensor.copy_(values[name])


@contextmanager
def swapped(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> Iterator[None]:
    """Within, the tensors have other values; afterwards their own, to the bit."""
    own = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    put_(tensors, values)
    try:
        yield
    finally:
        put_(tensors, own)


def mean(copies: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each floating-point tensor, added up in float64; others are those of the first copy."""
    return {
        name: _mean([copy[name] for copy in copies]) if first.is_floating_point() else first
        for name, first in copies[0].items()
    }


def _mean(tensors: list[Tensor]) -> Tensor:
    total = tensors[0].to(torch.float64, copy=True)
    for tensor in tensors[1:]:
        total += tensor
    return (total / len(tensors)).to(tensors[0].dtype)
