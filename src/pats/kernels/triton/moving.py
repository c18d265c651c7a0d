"""What a step sends to the Triton kernels' tables, in words of eight bytes that are made on the host."""

from struct import pack, unpack
from typing import NamedTuple

import torch

from pats.kernels.triton.tables import HEAD, MOVING


class Head(NamedTuple):
    """What torch's AMP has left for a step: addresses of found_inf and grad_scale, or grad_scale itself."""

    found: int = 0
    scale_at: int = 0
    scale: float = 1.0


class Words:
    """The head, and column by column what is new of every job: see ``MOVING``.

    Args:
        jobs: How many there are.

    Attributes:
        all: All words. The others are views of it.
        grads: Addresses of gradients.
        lrs: Learning rates in float64, or the bits of their addresses.
        steps: Steps, or the bits of their addresses.
        widths: Of both.
    """

    def __init__(self, jobs: int) -> None:
        self.all = torch.zeros(len(HEAD) + jobs * len(MOVING), dtype=torch.int64)
        columns = self.all[len(HEAD) :].view(len(MOVING), jobs)
        self.grads = columns[0]
        self.lrs, self.steps, self.widths = columns[1:].view(torch.float64).unbind()
        self._jobs, self._head = jobs, (0, 0, 0)
        self.begin(Head())

    def begin(self, head: Head) -> bool:
        """Set the head.

        Returns:
            Whether it is another than it was.
        """
        first, second, third = unpack("<3q", pack("<qqd", *head))
        if (first, second, third) == self._head:
            return False
        self._head = first, second, third
        self.all[: len(HEAD)] = torch.tensor((*self._head, self._jobs), dtype=torch.int64)
        return True
