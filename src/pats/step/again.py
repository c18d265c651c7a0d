"""A step on a device once more: what the last one has found, and a look at whether it still holds.

``Around`` is what a step depends on beside tensors: groups, settings, states. ``Tensors`` are those that its
tables hold the addresses of. Both compare all of it at every step (``pats.step.look``): a table that is used
when it no longer holds would have the kernels write where they must not.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats.kernels import forced
from pats.step import look
from pats.step.state import EXACT, SHAPED, on_device

_LEFT_OUT = ("params", "param_names", "lr")  # names are compared by themselves, lr is renewed


class Around:
    """What a step of an optimizer depends on beside tensors, as it is now.

    Args:
        optimizer: The optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer, self._wanted = optimizer, forced()
        self._settings = settings(optimizer)
        self._groups = [look.Items(group["params"]) for group in optimizer.param_groups]
        self._names = [look.Items(group.get("param_names") or ()) for group in optimizer.param_groups]
        self._state, self._states = optimizer.state, look.Values([optimizer.state])

    def holds(self) -> bool:
        """Whether it is what it was; the entries of states aside."""
        optimizer = self._optimizer
        if forced() != self._wanted or settings(optimizer) != self._settings:
            return False
        if optimizer.state is not self._state or not self._states.hold():
            return False
        return all(
            parameters.are(group["params"]) and _named(group.get("param_names") or (), names)
            for group, parameters, names in zip(
                optimizer.param_groups, self._groups, self._names, strict=True
            )
        )


class Tensors:
    """Parameters with a gradient, their states, and where they are in memory.

    Args:
        optimizer: The optimizer.
        parameters: The parameters.
        to: Where the addresses of the gradients of the first ones are written, in int64.
        low: Bits that must be 0 in each of these addresses.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor], to: Tensor, low: Tensor) -> None:
        states = [optimizer.state.get(parameter, {}) for parameter in parameters]
        self._entries = look.Values(states)
        # The rows of a budget are the ledger's, and counters on the host in one tensor (``Counters``).
        held = [
            entry
            for state in states
            for key, entry in state.items()
            if isinstance(entry, Tensor) and (key in SHAPED or (key == "step" and on_device(entry)))
        ]
        self._held, self._parameters = look.Tensors([*parameters, *held]), look.Tensors(parameters)
        self._grads = look.Gradients(parameters, to, low)

    def take_grads(self) -> bool:
        """Write the addresses of this step's gradients; False where anything else is new."""
        return self._entries.hold() and self._held.hold() and self._grads.take()

    def hold_after(self) -> bool:
        """Whether a base update has replaced no entry of a state, and moved no parameter."""
        return self._entries.hold() and self._parameters.hold()


class Counters:
    """The counters of a step on the host, in one tensor, so that they are read and counted in one go.

    The counters themselves stay the same objects; they become views of it.

    Args:
        counters: The counters, of one dtype.
    """

    def __init__(self, counters: Sequence[Tensor]) -> None:
        self._all = torch.stack([counter.detach().reshape(()) for counter in counters])
        for counter, place in zip(counters, self._all.unbind(), strict=True):
            counter.set_(place)  # type: ignore[call-overload]
        self._numbers = look.Numbers(counters, self._all)

    @staticmethod
    def fit(counters: Sequence[object]) -> bool:
        """Whether counters can be held in one tensor."""
        if not all(isinstance(counter, Tensor) and not on_device(counter) for counter in counters):
            return False
        kinds = {(counter.dtype, counter.ndim) for counter in counters if isinstance(counter, Tensor)}
        return len(kinds) == 1 and not kinds.pop()[1]

    def read(self, to: Tensor, more: float = 0.0) -> bool:
        """Write what they are in float64, plus something.

        Returns:
            False where one is elsewhere, or has to be made exact.
        """
        return self._numbers.read(to, more, EXACT - 1.0)

    def count(self, which: Tensor | float = 1.0) -> None:
        """Count all of them, or those for which there is a 1."""
        self._all += which


def settings(optimizer: Optimizer) -> Sequence[Sequence[Any]]:
    """Values of the groups that make a step what it is."""
    groups = optimizer.param_groups
    return [[value for key, value in group.items() if key not in _LEFT_OUT] for group in groups]


def _named(now: Sequence[str], names: look.Items) -> bool:
    return names.are(now) or [*now] == names.all
