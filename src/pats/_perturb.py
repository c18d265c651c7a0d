"""``perturb``: PATS on any torch optimizer, in one line."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakSet

import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pats._errors import InputError
from pats._last import KEY
from pats._noise import DEFAULT, RNG_KEY, Noise
from pats._scope import Scope, canonical_name, named_parameters, twins
from pats._scope import scope as names_in_scope
from pats._transient import Transient
from pats.philox import RNG_VERSION
from pats.step import checkpoint
from pats.step.matrices import Target, iterate
from pats.step.on_device import Halves
from pats.step.shift import Shifted, kept_in, shift
from pats.step.step import Step
from pats.step.stepper import Stepper

R = TypeVar("R")


def perturb(
    optimizer: Optimizer, model: nn.Module, noise: Noise = DEFAULT, scope: Scope = "encoder"
) -> "Perturbation":
    """Add PATS to an optimizer that exists.

    Around every ``optimizer.step()``, the sensitivity |θ·g| is measured before the update and the noise
    q·z is added after it (Eq. 1-5):

        θ_j ← (base optimizer's update of θ_j) + q_j z_j

    Source: Eq. 1-5 of the paper, around any optimizer.

    Args:
        optimizer: Any torch optimizer that steps once a call, or a wrapper with ``.optimizer`` such as
            Accelerate's. With wrappers that replace parameters (FSDP2), attach after ``prepare``, or
            build the optimizer from ``pats.param_groups``.
        model: The model whose parameters it trains.
        noise: The settings. They are written into the optimizer's groups as
            ``noise_budget``, ``noise_p``, ..., where they can be scheduled and are saved. An optimizer that
            carries settings already, from a checkpoint or as a copy, keeps its own, and goes on with its
            s̄ and its counters.
        scope: Which parameters are perturbed, as in ``pats.scope``; it is looked up again when parameters
            are thawed, or added to the optimizer.

    Returns:
        A handle with ``remove()``, ``clean()``, ``stats()`` and ``names``.

    Raises:
        InputError: The optimizer lacks a parameter in scope, has two of one name there, carries PATS already,
            or holds a state that does not fit the model.

    A step whose gradients GradScaler found infinite is neither measured nor counted. A parameter
    without a gradient is left alone. See ``Noise`` for zero and non-finite gradients.
    """
    return Perturbation(optimizer, model, noise, scope)


def _replicas(model: nn.Module) -> "dist.ProcessGroup | None":
    """The process group of a DDP wrapper around or inside the model."""
    wrappers = (m for m in model.modules() if isinstance(m, nn.parallel.DistributedDataParallel))
    return next((wrapper.process_group for wrapper in wrappers), None)


class Perturbation:
    """PATS attached to an optimizer; made by ``pats.perturb``.

    A copy, or an unpickled one, is attached to the copies of the optimizer and the model, which go on with
    the same noise; copy or pickle them together, as ``copy.deepcopy((model, optimizer, perturbation))``.
    Its ``stats()`` start from zero. torch copies no hooks: an optimizer that is copied alone needs
    ``pats.perturb`` again, and warns until then.

    Source: PATS's own.

    Attributes:
        names: Canonical names of the parameters in scope, in the model's order.
    """

    def __init__(self, optimizer: Optimizer, model: nn.Module, noise: Noise, scope: Scope) -> None:
        while not isinstance(optimizer, Optimizer) or hasattr(optimizer, "optimizer"):
            if not hasattr(optimizer, "optimizer"):
                raise InputError(f"perturb needs a torch optimizer, not a {type(optimizer).__name__}")
            optimizer = optimizer.optimizer  # Accelerate's wrapper is an Optimizer itself
        if RNG_KEY in optimizer.defaults or _attached(optimizer):
            raise InputError(
                "this optimizer carries PATS already: remove the first perturbation, or build a "
                "pats.optim optimizer with noise=None"
            )
        self._optimizer, self._model, self._scope, self._noise = optimizer, model, scope, noise
        self._find()
        self._stepper = Stepper(optimizer, self._targets, _replicas(model), self._known)
        self._step: Step | Halves | None = None  # between the hooks
        self._transient = Transient(optimizer, model, self._targets)
        self._taken_out: list[Shifted] | None = None  # within ``clean``
        targets = [*self._targets()]  # raises where the optimizer lacks a parameter in scope
        self._fill = self._taken_up(targets)
        _fill_in(optimizer.param_groups, self._fill)
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
            *checkpoint.follow_loading(optimizer, self._known),
            optimizer.register_load_state_dict_pre_hook(self._before_loading, prepend=True),
            optimizer.register_load_state_dict_post_hook(self._follow_keep),
        ]
        self._follow_keep()

    def _before_loading(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
        self._transient.take_out()

    def _follow_keep(self, *given: Any) -> None:
        """Watch the model where some noise is transient."""
        if not self._transient.attached and self._keeps("transient"):
            self._transient.attach()

    def _keeps(self, keep: str) -> bool:
        return any(group.get("noise_keep") == keep for group in self._optimizer.param_groups)

    def _taken_up(self, targets: list[Target]) -> Noise:
        """The settings to fill in, once those that a checkpoint or a copy brought have been taken up."""
        carried = [group for group in self._optimizer.param_groups if RNG_KEY in group]
        if not carried:
            return self._noise
        asked = self._noise.to_group() if self._noise is not DEFAULT else {RNG_KEY: RNG_VERSION}
        for group in carried:
            group.update(checkpoint.earlier(group))
            checkpoint.compare(asked, group)
        checkpoint.settle(self._optimizer, targets, self._known)
        return Noise.from_group(carried[0]) if self._noise is DEFAULT else self._noise

    def __reduce__(self) -> tuple[Any, ...]:
        self._transient.take_out()
        given = self._optimizer, self._model, self._noise, self._scope
        return _again, (*given, bool(self._handles))

    def _known(self) -> dict[int, str]:
        """Names of the model's parameters by their identity, as they are now."""
        return {id(p): canonical_name(name) for name, p in self._model.named_parameters()}

    def _find(self) -> None:
        self.names: list[str] = names_in_scope(self._model, self._scope)
        named = named_parameters(self._model)
        self._by_identity = {id(named[name]): name for name in self.names}
        self._wanted = set(self.names)
        self._trained = self._trains()

    def _trains(self) -> set[int]:
        """Identities of the optimizer's parameters that train now."""
        return {id(p) for group in self._optimizer.param_groups for p in group["params"] if p.requires_grad}

    def remove(self) -> None:
        """Detach: later steps are the base optimizer's alone. The state keeps s̄; twice is harmless.

        Noise that does not stay (``keep``) is taken out of the weights.
        """
        if not self._handles:
            return  # the settings may be those of another perturbation by now
        self._transient.detach()
        for parameter, state in kept_in(self._optimizer):
            if self._taken_out is None:
                shift(parameter, state, inside=True, done=[])
            state.pop(KEY, None)
        if self._taken_out is not None:
            self._taken_out.clear()  # what is out stays out
        for handle in self._handles:
            handle.remove()
        self._handles = []
        for group in self._optimizer.param_groups:
            for key in [key for key in group if key.startswith("noise_")]:
                del group[key]

    @contextmanager
    def clean(self) -> Iterator[None]:
        """Have the weights without noise that does not stay (``keep``), as for saving raw parameters.

        Save or export inside:

            with perturbation.clean():
                torch.save([*model.parameters()], "weights.pt")

        Anticorrelated noise is put back at the end, bit for bit; transient noise goes in again with the next
        training forward pass. Noise that stays (``keep="walk"``) is part of the weights. Do not train inside.
        One within another changes nothing.
        """
        if self._taken_out is not None:
            yield
            return
        shifted = self._taken_out = []
        with self._transient.paused():
            try:
                for parameter, state in kept_in(self._optimizer):
                    shift(parameter, state, inside=True, done=shifted)
                yield
            finally:
                for change in reversed(shifted):
                    change.undo()
                self._taken_out = None

    def stats(self) -> dict[str, dict[str, float]]:
        """How much noise the last step added, by matrix.

        Returns:
            For every perturbed matrix: ``accumulated`` (root of the mean square of all noise so far, summed
            over the steps, over the std of the weights: those before the first noisy step under a budget,
            which counts across checkpoints, else those of now, counted since the optimizer was made),
            ``noise_rms`` (of the last step, over all its entries), ``update_rms`` (the base
            update alone, before the noise; observed on at most 4,096 evenly spaced entries, or where one
            kernel does update and noise, on the first 512 of every 16,384 on a CPU and on all on a
            GPU; where a GPU's kernels add noise to torch's update, on 32 of every 1,024),
            ``noise_over_update``,
            ``noise_over_weight`` (noise_rms / std of the weights), ``gated`` (share of entries whose
            gate was open), ``zero`` (share of those with r = 0), ``sigma_max``, and ``skipped`` (steps
            so far without noise because of a non-finite sensitivity). Empty before the first step.
        """
        return self._stepper.telemetry.stats()

    def _targets(self) -> Iterator[Target]:
        seen = set()
        for group, parameter, name in iterate(self._optimizer.param_groups):
            short = self._by_identity.get(id(parameter)) if name is None else canonical_name(name)
            if short in self._wanted:
                if short in seen:
                    raise twins(short)
                seen.add(short)
                yield group, parameter, short
        missing = next((name for name in self.names if name not in seen), None)
        if missing is not None:
            raise InputError(
                f"{missing!r} is in scope but not among the optimizer's parameters: give the optimizer "
                "all parameters in scope (pats.param_groups does), narrow the scope, or attach PATS "
                "after the model is wrapped"
            )

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self._transient.attached and (warning := self._transient.begin_step()):
            warnings.warn(warning, stacklevel=4)
        # A group added since then, or loaded from a checkpoint without PATS, takes our settings.
        _fill_in(optimizer.param_groups, self._fill)
        if self._trains() - self._trained:  # thawed, or added since then
            self._find()
            self._stepper.replay.forget()
            self._transient.detach()
        self._follow_keep()
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            self._step = self._stepper.measure()
            return None
        wrapped = self._measured_closure(closure)
        if "closure" in kwargs:
            return args, {**kwargs, "closure": wrapped}
        return (args[0], wrapped, *args[2:]), kwargs

    def _measured_closure(self, closure: Callable[[], R]) -> Callable[[], R]:
        calls = 0

        def measured() -> R:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise RuntimeError(
                    f"{type(self._optimizer).__name__} evaluates its closure more than once a step; PATS "
                    "measures one gradient a step and cannot serve it: use an optimizer that steps once"
                )
            loss = closure()
            self._transient.take_out()
            self._step = self._stepper.measure()
            return loss

        return measured

    def _after_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        step, self._step = self._step, None
        if step is not None:
            self._stepper.perturb(step)


def _fill_in(groups: Iterable[dict[str, Any]], noise: Noise) -> None:
    """Write the settings into groups that do not carry them yet."""
    entries = noise.to_group()
    for group in groups:
        for key, value in entries.items():
            group.setdefault(key, value)


def _again(
    optimizer: Optimizer, model: nn.Module, noise: Noise, scope: Scope, attached: bool
) -> Perturbation:
    """A copy of a perturbation."""
    perturbation = Perturbation(optimizer, model, noise, scope)
    if not attached:
        perturbation.remove()
    return perturbation


def _attached(optimizer: Optimizer) -> bool:
    hooks = optimizer._optimizer_step_pre_hooks.values()
    return any(isinstance(getattr(hook, "__self__", None), Perturbation) for hook in hooks)


_warned: "WeakSet[Optimizer]" = WeakSet()


def _warn_of_silence(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Warn once of an optimizer whose settings say noise, and which adds none.

    torch takes no hook along when it copies or pickles an optimizer, nor into a state dict.
    """
    if not any(RNG_KEY in group for group in optimizer.param_groups):
        return
    if RNG_KEY in optimizer.defaults or optimizer in _warned or _attached(optimizer):
        return
    _warned.add(optimizer)
    warnings.warn(
        f"the settings of this {type(optimizer).__name__} ask for the noise of PATS, but nothing adds it "
        "(it was copied, or loaded from a checkpoint): call pats.perturb(optimizer, model), or delete the "
        "noise_* entries of its groups",
        stacklevel=3,
    )


register_optimizer_step_pre_hook(_warn_of_silence)
