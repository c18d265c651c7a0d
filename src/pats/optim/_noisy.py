"""What ``pats.optim``'s subclasses of torch's optimizers add to their bases."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch._compile import _disable_dynamo  # as torch.optim: the public one imports dynamo at once
from torch.optim import Optimizer

from pats._errors import InputError
from pats._noise import RNG_KEY, Noise
from pats._scope import canonical_name, refuse_twins
from pats.kernels import MatrixJob, Rule, choose_path, forced
from pats.step.checkpoint import watch
from pats.step.engine import Engine, Target, iterate, job_for
from pats.step.replay import Replay, again
from pats.step.shard import local
from pats.step.state import check_step, counted

HALF = (torch.bfloat16, torch.float16)
_MOST_MISSES = 7  # the longest pause is 63 steps


class NoisyMixin(Optimizer):
    """Stands before a torch optimizer among the bases: that optimizer's step, plus PATS.

    A subclass passes torch's arguments on, then calls ``_install``. Parameters whose update and noise one
    kernel does together are taken out of the lists that torch's own step works on.
    """

    _base_step: ClassVar[Callable[[Any], Any]]
    _rule: ClassVar[str]

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
        self._engine = Engine(self, self._targets)
        self._upcast: list[tuple[Tensor, Tensor]] = []
        self._noiseless: list[MatrixJob] = []
        self._wanted: str | None = None  # by PATS_KERNEL at this step
        self._replay: Replay | None = None
        self._misses, self._pause = 0, 0  # how often in a row it was of no use; steps to go without
        if RNG_KEY in self.defaults:  # GradScaler then unscales before the step, and skips it itself
            self._step_supports_amp_scaling = False
        watch(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("fused", None)
            group.setdefault("stochastic_rounding", False)
        if "_engine" not in self.__dict__:  # a copy or an unpickled optimizer
            self._attach()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's; with noise on, the group must carry ``param_names`` and ``in_scope``."""
        super().add_param_group(param_group)
        self._check_group(self.param_groups[-1])

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
        refuse_twins(self.param_groups)
        Noise.from_group(group)

    def _check_fused(self, group: dict[str, Any]) -> None:
        """Raise where ``fused=True`` cannot be had by anybody, at once and not at the first step."""
        if group.get("foreach"):
            raise InputError("fused=True and foreach=True contradict each other: leave one of them out")
        if self._rule == "adamax":
            for parameter in group["params"]:
                why = choose_path(job_for(parameter, local(parameter), ""), forced())
                if why is not None:
                    raise InputError(f"fused=True cannot be had: {why}")

    def _own(self, group: dict[str, Any]) -> bool:
        """Whether ``fused=True`` means our kernel alone: torch has a fused AdamW, but no fused Adamax."""
        return self._rule == "adamax" or RNG_KEY in self.defaults

    def _targets(self) -> Iterator[Target]:
        groups = (group for group in self.param_groups if group.get("in_scope") and RNG_KEY in group)
        for group, parameter, name in iterate(groups):
            yield group, parameter, canonical_name(cast(str, name))

    def _takes(self, group: dict[str, Any], job: MatrixJob) -> bool:
        """Whether update and noise of a parameter are done together, by ``pats.kernels``."""
        if group["stochastic_rounding"]:
            return True  # every path has it
        mode, noisy = group["fused"], RNG_KEY in group
        if mode is False or (mode is None and (not noisy or group["foreach"] is not None)):
            return False
        if not self._own(group):
            return False  # torch's own fused AdamW
        # A tensor of torch's AMP would have to be read; torch's path does that.
        scaled = getattr(self, "grad_scale", None) is not None or getattr(self, "found_inf", None) is not None
        why = choose_path(job, self._wanted)
        for option in ("differentiable", "amsgrad", "capturable"):
            if group.get(option) and not (option == "capturable" and job.theta.is_cuda):
                why = f"it does not know {option}=True on {job.theta.device.type}"
        if why is None and not scaled:
            return True
        if mode and self._rule == "adamax":
            raise InputError(f"fused=True cannot be had for {job.name or 'a parameter'}: {why}")
        return False

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
        rest, counters = [], []
        names = dict(zip(map(id, group["params"]), group.get("param_names", ()), strict=False))
        for i, parameter in enumerate(params):
            job = self._engine.fused_job_of(parameter)
            if job is None and self._engine.job_of(parameter) is None:
                job = self._engine.new_job(parameter, canonical_name(names.get(id(parameter), "")))
                job.maximize, job.seed = group["maximize"], group.get("noise_seed", 0)
                job = job if self._takes(group, job) else None
                if job is not None:
                    self._noiseless.append(job)
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
                self._rule,
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
            self._widen_parameters(params, grads)
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

    def _widen_parameters(self, params: list[Tensor], grads: list[Tensor]) -> None:
        for i, parameter in enumerate(params):
            if parameter.dtype in HALF:
                params[i], grads[i] = parameter.float(), grads[i].float()
                self._upcast.append((parameter, params[i]))

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
        if self._replay is not None:
            if self._replay.renew():
                self._misses = 0
                self._engine.repeat()
                self._replay.count()
                return loss
            self._misses = min(self._misses + 1, _MOST_MISSES)
            self._pause = 2 ** (self._misses - 1) - 1
        self._wanted = forced()
        if RNG_KEY in self.defaults:
            self._engine.measure(self._takes)
        else:
            check_step(self)
        self._noiseless.clear()
        type(self)._base_step(self)
        with torch.no_grad():
            for parameter, updated in self._upcast:
                parameter.copy_(updated)
        self._upcast.clear()
        self._engine.perturb(self._noiseless)
        self._noiseless.clear()
        # Where something is new at every step, as under a schedule of β, looking out for it is work in vain.
        self._replay = None if self._pause else again(self, self._engine.all_done())
        self._pause = max(self._pause - 1, 0)
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
