"""Parameters away from their values for a while."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pats._errors import InputError
from pats.step import shard


@contextmanager
def displaced(shifts: Iterable[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Within, each parameter has its shift added; then, and after an exception, its own values to the bit.

    The backward pass belongs inside: autograd looks at the parameters as they are then.

    Args:
        shifts: Parameters with their shifts, one parameter once; a generator is asked for one after another.
    """
    own: list[tuple[Tensor, Tensor]] = []
    try:
        with torch.no_grad():
            for parameter, shift in shifts:
                own.append((parameter, parameter.detach().clone()))
                parameter.add_(shift)
        torch.clear_autocast_cache()  # which holds copies in half precision
        yield
    finally:
        with torch.no_grad():
            for parameter, values in own:
                parameter.copy_(values)
        torch.clear_autocast_cache()


def refuse_sharded(parameters: Iterable[Tensor], method: str) -> None:
    """Refuse parameters of which a process holds a part.

    Args:
        parameters: The parameters.
        method: Who needs whole ones, for the message.

    Raises:
        InputError: One is sharded.
    """
    if any(map(shard.is_sharded, parameters)):
        raise InputError(
            f"{method} needs whole weights, which FSDP shards: train on replicas (torchrun, or Accelerate "
            "without FSDP), or take another method"
        )
