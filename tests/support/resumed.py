"""A training that is stopped, saved and loaded, beside one that was left alone."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from support.small_network import flat_weights, make_network


def states_after_resume(
    make: Callable[[nn.Module], Optimizer],
    go: Callable[[nn.Module, Optimizer, Iterable[int]], None],
    dtype: torch.dtype,
    folder: Path,
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Six steps, and three with three more after a checkpoint, which must end with the same weights.

    Returns:
        The state of each parameter: of the undisturbed training and of the resumed one, whose tensors must
        be equal.
    """
    alone, model = make_network(dtype=dtype), make_network(dtype=dtype)
    last, optimizer = make(alone), make(model)
    go(alone, last, range(6))
    go(model, optimizer, range(3))
    torch.save(optimizer.state_dict(), folder / "state.pt")
    again = make(model)
    again.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    go(model, again, range(3, 6))
    assert torch.equal(flat_weights(alone), flat_weights(model))
    states = [*zip(last.state.values(), again.state.values(), strict=True)]
    for left, right in states:
        for key, value in left.items():
            equal = torch.equal(value, right[key]) if isinstance(value, Tensor) else value == right[key]
            assert equal, key
    return states
