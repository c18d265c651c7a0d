"""A step on a device once more: what the last one has found, and a cheap look at whether it still holds.

``Around`` is what a step depends on beside tensors: groups, settings, states. ``Tensors`` are those that its
tables hold the addresses of. Both compare all of it at every step, with functions that run over a list in C:
a table that is used when it no longer holds would have the kernels write where they must not.
"""

from collections.abc import Collection, Sequence
from itertools import chain, repeat
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats.kernels import forced
from pats.step.state import SHAPED, is_exact, on_device

_LEFT_OUT = ("params", "param_names", "lr")  # names are compared by themselves, lr is renewed
_grad, _dtype, _nbytes = map(attrgetter, ("grad", "dtype", "nbytes"))


class Around:
    """What a step of an optimizer depends on beside tensors, as it is now.

    Args:
        optimizer: The optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer, self._wanted = optimizer, forced()
        self._settings = settings(optimizer)
        self._groups = [[*group["params"]] for group in optimizer.param_groups]
        self._names = [[*(group.get("param_names") or ())] for group in optimizer.param_groups]
        self._states = [*optimizer.state.values()]

    def holds(self) -> bool:
        """Whether it is what it was; the entries of states aside."""
        optimizer = self._optimizer
        if forced() != self._wanted or settings(optimizer) != self._settings:
            return False
        if not same(optimizer.state.values(), self._states):
            return False
        groups = zip(optimizer.param_groups, self._groups, self._names, strict=True)
        return all(
            same(group["params"], parameters) and [*(group.get("param_names") or ())] == names
            for group, parameters, names in groups
        )


class Tensors:
    """Parameters with a gradient, their states, and where they are in memory.

    Args:
        optimizer: The optimizer.
        parameters: The parameters.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
        self._parameters = parameters
        self._states = [optimizer.state.get(parameter, {}) for parameter in parameters]
        self._entries = [*chain.from_iterable(map(dict.values, self._states))]
        shaped = [state[key] for state in self._states for key in state if key in SHAPED]
        self._sized = [*parameters, *(tensor for tensor in shaped if isinstance(tensor, Tensor))]
        counters = [entry for entry in self._entries if isinstance(entry, Tensor) and on_device(entry)]
        self._held = [*self._sized, *(counter for counter in counters if counter.ndim == 0)]
        self._places = self._now()
        self._kinds = _kinds([parameter.grad for parameter in parameters])
        self._empty = [*map(Tensor.numel, parameters)].count(0)

    def grads(self) -> list[int] | None:
        """The addresses of this step's gradients; None where anything else is new."""
        grads = [*map(_grad, self._parameters)]
        if any(map(is_, grads, repeat(None))):
            return None
        try:
            if _kinds(grads) != self._kinds:
                return None
        except RuntimeError:  # a sparse one lies nowhere
            return None
        addresses = [*map(Tensor.data_ptr, grads)]
        # The memory of one that has been freed is nowhere, as is that of an empty one.
        return addresses if addresses.count(0) == self._empty and self.hold() else None

    def hold(self) -> bool:
        """Whether parameters and states are the tensors that they were, where they were."""
        entries = chain.from_iterable(map(dict.values, self._states))
        return same([*entries], self._entries) and self._now() == self._places

    def _now(self) -> tuple[list[Any], ...]:
        return (
            [*map(Tensor.data_ptr, self._held)],
            [*map(_nbytes, self._sized)],
            [*map(_dtype, self._parameters)],
            [*map(Tensor.is_contiguous, self._parameters)],
        )


def _kinds(tensors: Sequence[Tensor | None]) -> tuple[list[Any], ...]:
    """What the tables take for granted of gradients: the rest is that of addresses."""
    return (
        [*map(_dtype, tensors)],
        [*map(Tensor.numel, tensors)],  # type: ignore[arg-type]
        [*map(Tensor.is_contiguous, tensors)],  # type: ignore[arg-type]
        [*map(Tensor.get_device, tensors)],  # type: ignore[arg-type]
    )


class Counters:
    """The counters of a step on the host, in one tensor, so that they are read and counted in one go.

    The counters themselves stay the same objects; they become views of it.

    Args:
        counters: The counters, of one dtype.
    """

    def __init__(self, counters: Sequence[Tensor]) -> None:
        self._counters = counters
        self._all = torch.stack([counter.detach().reshape(()) for counter in counters])
        for counter, place in zip(counters, self._all.unbind(), strict=True):
            counter.set_(place)  # type: ignore[call-overload]
        self._places = [*map(Tensor.data_ptr, counters)]

    @staticmethod
    def fit(counters: Sequence[object]) -> bool:
        """Whether counters can be held in one tensor."""
        if not all(isinstance(counter, Tensor) and not on_device(counter) for counter in counters):
            return False
        kinds = {(counter.dtype, counter.ndim) for counter in counters if isinstance(counter, Tensor)}
        return len(kinds) == 1 and not kinds.pop()[1]

    def read(self) -> Tensor | None:
        """What they are, in float64; None where one is elsewhere, or has to be made exact."""
        if [*map(Tensor.data_ptr, self._counters)] != self._places:
            return None
        return self._all.double() if is_exact(self._all, int(self._all.max()) + 1) else None

    def count(self, which: Tensor | float = 1.0) -> None:
        """Count all of them, or those for which there is a 1."""
        self._all += which


def settings(optimizer: Optimizer) -> Sequence[Sequence[Any]]:
    """Values of the groups that make a step what it is."""
    groups = optimizer.param_groups
    return [[value for key, value in group.items() if key not in _LEFT_OUT] for group in groups]


def same(here: Collection[object], before: Collection[object]) -> bool:
    """Whether they hold the same objects: to compare tensors, or to look them up, would take longer."""
    return len(here) == len(before) and all(map(is_, here, before))
