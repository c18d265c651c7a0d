"""Noise that does not stay in the weights, put into them for a while or taken out of them.

(θ + q) - q is not θ in floating-point numbers, so the old values of the entries whose gate is open are kept
and put back; which entries those are comes from the stream again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._last import KEY, Drawn, drawn
from pats.kernels import Piece
from pats.kernels.eager import draws, open_gates
from pats.step import shard
from pats.step.state import SENSITIVITY


@dataclass
class Shifted:
    """A parameter whose entries with an open gate are others for a while.

    Args:
        parameter: The parameter.
        last: The noise whose gates are meant.
        pieces: Where the local entries are in the whole matrix.
        before: The old values, chunk by chunk.
        shape: Its local shape then.
    """

    parameter: Tensor
    last: Drawn
    pieces: tuple[Piece, ...]
    before: list[Tensor] = field(default_factory=list)
    shape: torch.Size = field(default_factory=torch.Size)

    @torch.no_grad()
    def undo(self) -> None:
        """Put the old values back, bit for bit; a tensor of another shape is another one, without noise."""
        theta = _local(self.parameter)
        if theta.shape != self.shape:
            return
        dense = theta.contiguous()
        flat = dense.view(-1)
        rest = iter(self.before)
        for part, index in open_gates(self.last, self.pieces, theta.device):
            before = next(rest, None)
            if before is None:  # it was interrupted
                break
            flat[part].index_copy_(0, index, before.to(flat))
        if dense is not theta:
            theta.copy_(dense)


@torch.no_grad()
def shift(parameter: Tensor, state: Mapping[str, Tensor], inside: bool, done: list[Shifted]) -> None:
    """Add the noise of the last step to a parameter, or subtract it where the weights hold it.

    Args:
        parameter: The parameter.
        state: The optimizer's state of it.
        inside: Whether noise is meant that the weights hold between steps, or noise that they do not.
        done: What has been changed is added here, before it is: an interruption leaves nothing that cannot be
            undone.
    """
    last = drawn(state[KEY]) if KEY in state and SENSITIVITY in state else None
    if last is None or last[1] != inside:
        return
    theta, average = _local(parameter), shard.local(state[SENSITIVITY])
    dense = theta.contiguous()
    flat = dense.view(-1)
    shifted = Shifted(parameter, last[0], shard.pieces(parameter), shape=theta.shape)
    done.append(shifted)
    for part, index, _, q in draws(last[0], average, shifted.pieces):
        here = flat[part]
        before = here.index_select(0, index)
        shifted.before.append(before)
        here.index_copy_(0, index, (before.double() + (-q if inside else q)).to(here.dtype))
    if dense is not theta:
        theta.copy_(dense)


def kept_in(optimizer: Optimizer) -> list[tuple[Tensor, dict[str, Any]]]:
    """Parameters with a row of noise that does not stay, and their states."""
    return [(parameter, state) for parameter, state in optimizer.state.items() if KEY in state]


def _local(parameter: Tensor) -> Tensor:
    """This rank's entries, as ``.data``: a graph that has saved the parameter does not count the change."""
    return shard.local(parameter.data)
