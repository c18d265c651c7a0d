"""What ``pats.optim``'s subclasses of torch's optimizers add to their bases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch._compile import _disable_dynamo  # as torch.optim: the public one imports dynamo at once
from torch.optim import Optimizer

from pats._errors import InputError
from pats._last import nothing
from pats._noise import RNG_KEY, Noise, refuse_transient
from pats._scope import canonical_name, refuse_twins
from pats.kernels import Base, Rule, choose_path, forced
from pats.step.checkpoint import follow_loading
from pats.step.matrices import Target, iterate, job_for
from pats.step.on_device import Halves
from pats.step.plan import Wish
from pats.step.shard import local
from pats.step.state import counted
from pats.step.step import Step
from pats.step.stepper import Stepper

HALF = (torch.bfloat16, torch.float16)
# Options of torch that no kernel knows, or on some devices alone: see ``pats.step.plan``.
OPTIONS = ("differentiable", "amsgrad", "capturable")


@dataclass
class _BaseUpdate:
    """The base update of one step, while torch's own step makes it.

    Args:
        step: The step.
        widened: Half-precision parameters, and the float32 copies that torch updates.
    """

    step: Step | Halves
    widened: list[tuple[Tensor, Tensor]] = field(default_factory=list)


class NoisyMixin(Optimizer):
    """Comes before a torch optimizer among the bases: that optimizer's step, plus PATS.

    A subclass passes torch's arguments on, then calls ``_install``. Parameters whose update and noise one
    kernel does together are taken out of the lists that torch's own step works on.
    """

    _base_step: ClassVar[Callable[[Any], Any]]
    _base: ClassVar[Base]
    _torch_fuses: ClassVar[bool]  # whether fused=True can mean torch's own step, too

    def _install(
        self,
        noise: Noise | None,
        fused: bool | None,
        state_dtype: torch.dtype | None,
        stochastic_rounding: bool,
    ) -> None:
        if state_dtype not in (None, torch.float32):
            raise InputError(f"state_dtype is {state_dtype}, but must be torch.float32 or None")
        added: dict[str, Any] = {
            "fused": fused,
            "state_dtype": None if state_dtype is None else "float32",
            "stochastic_rounding": stochastic_rounding,
        }
        if noise is not None:
            added |= noise.to_group()
        self.defaults.update(added)
        for group in self.param_groups:
            for key, value in added.items():
                group.setdefault(key, value)
            self._check_group(group)
        self._attach()

    def _attach(self) -> None:
        targets = self._targets if RNG_KEY in self.defaults else None
        self._stepper = Stepper(self, targets, wish_of=self._wish)
        self._replay = self._stepper.replay
        self._update: _BaseUpdate | None = None
        if RNG_KEY in self.defaults:  # GradScaler then unscales before the step, and skips it itself
            self._step_supports_amp_scaling = False
        follow_loading(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("fused", None)
            group.setdefault("stochastic_rounding", False)
        if "_stepper" not in self.__dict__:  # a copy or an unpickled optimizer
            self._attach()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's; with noise on, a group without ``param_names`` and ``in_scope`` is not added."""
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except InputError:
            self.param_groups.pop()
            raise

    def _check_group(self, group: dict[str, Any]) -> None:
        rounding = group.get("stochastic_rounding", self.defaults.get("stochastic_rounding", False))
        if rounding:
            for option in ("foreach", "capturable", "differentiable", "amsgrad"):
                if group.get(option):
                    raise InputError(f"stochastic_rounding=True cannot be combined with {option}=True")
            if "param_names" not in group:
                raise InputError(
                    "stochastic_rounding draws by the parameter's name: build the groups with "
                    "pats.param_groups(model)"
                )
            refuse_twins(self.param_groups)
        if group.get("fused", self.defaults.get("fused")) and self._own(group):
            self._check_fused(group)
        if RNG_KEY not in self.defaults:
            return
        if "param_names" not in group or "in_scope" not in group:
            raise InputError(
                "with noise on, every parameter group needs names and in_scope: build the groups with "
                "pats.param_groups(model)"
            )
        if group.get("differentiable"):
            raise InputError("differentiable=True cannot be combined with noise")
        odd = next((p for p in group["params"] if group["in_scope"] and not p.is_floating_point()), None)
        if odd is not None:
            raise InputError(f"in_scope is True of a parameter of {odd.dtype}, but noise is for real numbers")
        refuse_twins(self.param_groups)
        refuse_transient(Noise.from_group(group))

    def _check_fused(self, group: dict[str, Any]) -> None:
        """Raise where ``fused=True`` cannot be had by anybody, at once and not at the first step."""
        if group.get("foreach"):
            raise InputError("fused=True and foreach=True contradict each other: leave one of them out")
        if not self._torch_fuses:
            stays = group.get("noise_keep", self.defaults.get("noise_keep", "walk")) == "walk"
            for parameter in group["params"]:
                job = job_for(parameter, local(parameter), "")
                job.last = None if stays else nothing()
                _, why = choose_path(job, forced())
                if why is not None:
                    raise InputError(f"fused=True cannot be had: {why}")

    def _own(self, group: dict[str, Any]) -> bool:
        """Whether ``fused=True`` means our kernel alone: torch has a fused AdamW, but no fused Adamax."""
        return not self._torch_fuses or RNG_KEY in self.defaults

    def _targets(self) -> Iterator[Target]:
        groups = (group for group in self.param_groups if group.get("in_scope") and RNG_KEY in group)
        for group, parameter, name in iterate(groups):
            if group.get("noise_keep") == "transient":
                refuse_transient(Noise.from_group(group))
            yield group, parameter, canonical_name(cast(str, name))

    def _wish(self, group: dict[str, Any]) -> Wish | None:
        """What a group asks of the paths of its parameters; None where torch is to update them."""
        if group["stochastic_rounding"]:
            return Wish(anywhere=True)
        mode, noisy = group["fused"], RNG_KEY in group
        if mode is False or (mode is None and (not noisy or group["foreach"] is not None)):
            return None
        if not self._own(group):
            return None  # torch's own fused AdamW
        # A tensor of torch's AMP would have to be read; torch's path does that.
        scaled = getattr(self, "grad_scale", None) is not None or getattr(self, "found_inf", None) is not None
        options = tuple(option for option in OPTIONS if group.get(option))
        return Wish(bool(mode) and not self._torch_fuses, options=options, scaled=scaled)

    def _init_group(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        *states: list[Tensor],
    ) -> Any:
        """Torch's lists, without the parameters that our kernels update.

        With ``state_dtype``, half-precision parameters are updated through float32 copies.
        """
        has_complex = super()._init_group(group, params, grads, *states)  # type: ignore[misc]
        if group["state_dtype"] is not None:
            self._widen_states(params, states)
        assert self._update is not None
        rest, counters = [], []
        for i, parameter in enumerate(params):
            job = self._update.step.fused_job_of(parameter)
            if job is None:
                rest.append(i)
                continue
            counted(self.state[parameter])
            first, second, counter = states[0][i], states[1][i], self.state[parameter]["step"]
            counters.append(counter)
            # A counter on a device is read there: asking for it would make the host wait.
            job.step = int(counter) + 1 if counter.device.type == "cpu" else counter
            job.lr = group["lr"]
            job.rule = Rule(
                self._base,
                group["betas"],
                group["eps"],
                group["weight_decay"],
                local(first),
                local(second),
                group["stochastic_rounding"],
            )
        if counters:
            torch._foreach_add_(counters, 1)
            for tensors in (params, grads, *states):
                tensors[:] = [tensors[i] for i in rest if i < len(tensors)]
        if group["state_dtype"] is not None:
            self._widen_parameters(params, grads, self._update.widened)
        return has_complex

    def _widen_states(self, params: list[Tensor], states: tuple[list[Tensor], ...]) -> None:
        swap: dict[int, Tensor] = {}
        for parameter in params:
            if parameter.dtype in HALF:
                state = self.state[parameter]
                for key, value in state.items():
                    if key != "step" and value.dtype == parameter.dtype:
                        state[key] = swap[id(value)] = value.float()
        for tensors in states:
            tensors[:] = [swap.get(id(tensor), tensor) for tensor in tensors]

    def _widen_parameters(
        self, params: list[Tensor], grads: list[Tensor], widened: list[tuple[Tensor, Tensor]]
    ) -> None:
        for i, parameter in enumerate(params):
            if parameter.dtype in HALF:
                params[i], grads[i] = parameter.float(), grads[i].float()
                widened.append((parameter, params[i]))

    @_disable_dynamo
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step: torch's update, then the noise. torch.compile leaves it as it is.

        Args:
            closure: Evaluates the loss and its gradients once; optional.

        Returns:
            What the closure returned.

        Raises:
            RuntimeError: A gradient or a state does not fit its parameter; nothing has been changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._replay.step():
            return loss
        step = self._stepper.measure()
        self._update = _BaseUpdate(step)
        try:
            type(self)._base_step(self)
            with torch.no_grad():
                for parameter, updated in self._update.widened:
                    parameter.copy_(updated)
        finally:
            self._update = None
        self._stepper.perturb(step)
        return loss

    def stats(self) -> dict[str, dict[str, float]]:
        """How much noise the last step added, by matrix; see ``pats.Perturbation.stats``."""
        return self._stepper.telemetry.stats()


def unhooked_step(base: type[Optimizer]) -> Callable[[Any], Any]:
    """The base's ``step`` without torch's wrapper, which would run the step hooks twice."""
    step: Any = base.step
    while getattr(step, "hooked", False):
        step = step.__wrapped__
    return cast(Callable[[Any], Any], step)
