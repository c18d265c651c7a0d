"""What ``pats.optim``'s subclasses of torch's optimizers add to their bases."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._engine import Engine, Target, iterate
from pats._errors import InputError
from pats._noise import RNG_KEY, Noise
from pats._scope import canonical_name


class NoisyMixin(Optimizer):
    """Stands before a torch optimizer among the bases: that optimizer's step, plus PATS.

    A subclass passes torch's arguments on, then calls ``_install``.
    """

    _base_step: ClassVar[Callable[[Any], Any]]

    def _install(self, noise: Noise | None, state_dtype: torch.dtype | None) -> None:
        if state_dtype not in (None, torch.float32):
            raise InputError(f"state_dtype is {state_dtype}, but must be torch.float32 or None")
        added: dict[str, Any] = {"state_dtype": None if state_dtype is None else "float32"}
        if noise is not None:
            added |= noise.to_group()
        self.defaults.update(added)
        for group in self.param_groups:
            for key, value in added.items():
                group.setdefault(key, value)
            self._check_group(group)
        self._attach()

    def _attach(self) -> None:
        self._engine = Engine(self, self._targets)
        self._upcast: list[tuple[Tensor, Tensor]] = []
        self.register_load_state_dict_pre_hook(self._engine.before_load)
        self.register_load_state_dict_post_hook(self._engine.after_load)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_engine" not in self.__dict__:  # a copy or an unpickled optimizer
            self._attach()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's; with noise on, the group must carry ``param_names`` and ``in_scope``."""
        super().add_param_group(param_group)
        self._check_group(self.param_groups[-1])

    def _check_group(self, group: dict[str, Any]) -> None:
        if RNG_KEY not in self.defaults:
            return
        if "param_names" not in group or "in_scope" not in group:
            raise InputError(
                "with noise on, every parameter group needs names and in_scope: build the groups with "
                "pats.param_groups(model)"
            )
        if group.get("differentiable"):
            raise InputError("differentiable=True cannot be combined with noise")
        Noise.from_group(group)

    def _targets(self) -> Iterator[Target]:
        groups = (group for group in self.param_groups if group.get("in_scope") and RNG_KEY in group)
        for group, parameter, name in iterate(groups):
            yield group, parameter, canonical_name(cast(str, name))

    def _init_group(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        *states: list[Tensor],
    ) -> Any:
        """Torch's; with ``state_dtype``, half-precision parameters are updated through float32 copies."""
        has_complex = super()._init_group(group, params, grads, *states)  # type: ignore[misc]
        if group["state_dtype"] is None:
            return has_complex
        swap: dict[int, Tensor] = {}
        for i, parameter in enumerate(params):
            if parameter.dtype not in (torch.bfloat16, torch.float16):
                continue
            state = self.state[parameter]
            for key, value in state.items():
                if key != "step" and value.dtype == parameter.dtype:
                    state[key] = swap[id(value)] = value.float()
            params[i], grads[i] = parameter.float(), grads[i].float()
            self._upcast.append((parameter, params[i]))
        for tensors in states:
            tensors[:] = [swap.get(id(tensor), tensor) for tensor in tensors]
        return has_complex

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step: torch's update, then the noise.

        Args:
            closure: Evaluates the loss and its gradients once; optional.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if RNG_KEY in self.defaults:
            self._engine.measure()
        type(self)._base_step(self)
        with torch.no_grad():
            for parameter, updated in self._upcast:
                parameter.copy_(updated)
        self._upcast.clear()
        self._engine.perturb()
        return loss

    def stats(self) -> dict[str, dict[str, float]]:
        """How much noise the last step added, by matrix; see ``pats.Perturbation.stats``."""
        return self._engine.stats()


def unhooked_step(base: type[Optimizer]) -> Callable[[Any], Any]:
    """The base's ``step`` without torch's wrapper, which would run the step hooks twice."""
    step: Any = base.step
    while getattr(step, "hooked", False):
        step = step.__wrapped__
    return cast(Callable[[Any], Any], step)
