"""The training losses as the host learns them: on an accelerator one step late, so that no step waits."""

import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pats.run import ranks
from pats.step.shard import local

_CURE = "lower the learning rate or the noise"


class Diverged(Exception):
    """The loss or a weight is not finite; the message is a sentence for the user."""


def steps_late(device: torch.device) -> int:
    """How many steps later a loss is read: none on a CPU, where it is there at once."""
    return 0 if device.type == "cpu" else 1


@dataclass(frozen=True)
class Reading:
    """A step's loss on its way to the host.

    Args:
        step: The optimizer step.
        copy: Of the loss, on the host.
        arrived: When it is there; None where it is at once.
    """

    step: int
    copy: Tensor
    arrived: torch.cuda.Event | None

    def value(self) -> float:
        """The loss. It is the only value of the device that a training step reads."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return float(self.copy)


def sent(loss: Tensor, step: int) -> Reading:
    """Send a loss to the host without waiting for it."""
    copy = loss.detach().to("cpu", non_blocking=True)  # from CUDA, into pinned memory
    if loss.device.type != "cuda":
        return Reading(step, copy, None)
    # Who waits leaves the core to other runs.
    arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    arrived.record()
    return Reading(step, copy, arrived)


class Losses:
    """The training losses since the last evaluation.

    Args:
        known: Those that a checkpoint held.

    Attributes:
        values: Those that have been read.
        waited: Seconds in which the host waited for one.
    """

    def __init__(self, known: Iterable[float] = ()) -> None:
        self.values = list(known)
        self.waited = 0.0
        self._sent: deque[Reading] = deque()

    def add(self, loss: Tensor, step: int) -> None:
        """Take a step's loss, and read the one that is due: on an accelerator that of the step before.

        Raises:
            Diverged: That one is not finite.
        """
        self._sent.append(sent(ranks.mean(loss), step))
        self._read(steps_late(loss.device))

    def settle(self) -> None:
        """Read what is still on its way, before anything is made of the weights.

        Raises:
            Diverged: It is not finite.
        """
        self._read(0)

    def _read(self, left: int) -> None:
        while len(self._sent) > left:
            reading = self._sent.popleft()
            started = time.perf_counter()
            value = reading.value()
            self.waited += time.perf_counter() - started
            if not math.isfinite(value):
                raise Diverged(f"the training loss became {value} at step {reading.step}: {_CURE}")
            self.values.append(value)


def check_weights(model: nn.Module, step: int) -> None:
    """Look whether every weight is finite, with one read of the device.

    Raises:
        Diverged: One is not, on some process.
    """
    named = [(name, local(parameter)) for name, parameter in model.named_parameters()]
    finite = torch.stack([torch.isfinite(shard).all() for _, shard in named]).tolist() if named else []
    broken = next((name for (name, _), fine in zip(named, finite, strict=True) if not fine), None)
    for name in ranks.every(broken):
        if name is not None:
            raise Diverged(f"the parameter {name!r} is not finite after step {step}: {_CURE}")
