"""What the optimizers that take one parameter after another have in common."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from pats._errors import InputError
from pats._noise import RNG_KEY, Noise, refuse_transient
from pats.step.checkpoint import follow_loading
from pats.step.matrices import iterate
from pats.step.state import check_step, counted


class OneByOne(Optimizer):
    """A step that updates every parameter with a gradient in turn; a subclass says how.

    Attributes:
        reads: Entries that it takes for granted in a state that is not empty.
    """

    reads: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        self._following = follow_loading(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_following" not in self.__dict__:  # a copy or an unpickled optimizer
            self._following = follow_loading(self)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Args:
            closure: Evaluates the loss and its gradients once; optional.

        Returns:
            What the closure returned.

        Raises:
            RuntimeError: A CUDA graph is being captured: the steps are counted on the host. Or a gradient or
                a state does not fit its parameter, and nothing has been changed.
        """
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"{type(self).__name__} counts its steps on the host, which no CUDA graph can replay: step "
                "outside of the graph"
            )
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        check_step(self)
        for group in self.param_groups:
            if RNG_KEY in group:
                refuse_transient(Noise.from_group(group))  # raises before anything is changed
        self._prepare()
        for group, parameter, name in iterate(self.param_groups):
            if parameter.grad is not None:
                self._update(parameter, parameter.grad, group, name)
        return loss

    def _prepare(self) -> None:
        """What is done for all parameters at once, before the first is updated."""

    def _update(self, theta: Tensor, grad: Tensor, group: dict[str, Any], name: str | None) -> None:
        """Update one parameter and its state."""
        raise NotImplementedError

    def _counted(self, theta: Tensor, *shaped: str) -> tuple[dict[str, Any], int]:
        """The state, its tensors of the parameter's shape zero at first, and this step's number from 1."""
        state = self.state[theta]
        if "step" not in state:
            state |= {"step": torch.zeros(()), **{key: torch.zeros_like(theta) for key in shaped}}
        counted(state)
        state["step"] += 1
        return state, int(state["step"])


def check_settings(betas: Mapping[str, float], numbers: Mapping[str, float]) -> None:
    """Refuse settings out of their range.

    Args:
        betas: Decays by name, in [0, 1).
        numbers: Other settings by name, finite and at least 0.

    Raises:
        InputError: One lies outside.
    """
    for name, beta in betas.items():
        if not 0 <= beta < 1:
            raise InputError(f"{name} is {beta!r}, but must be at least 0 and below 1")
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}, but must be a number of at least 0")
