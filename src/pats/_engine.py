"""PATS around one optimizer step: measure before the base update, perturb after it.

``pats.perturb`` drives it from torch's step hooks, ``pats.optim`` from its own ``step``. Everything a
checkpoint needs stands in the optimizer: s̄ in ``state[p]["sensitivity"]``, the counter of the noise in
``state[p]["step"]``, the settings in the groups under ``noise_*``.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._noise import GROUP_KEYS, RNG_KEY, Noise, state_dtype
from pats.kernels import Added, Measured, measure_, perturb_
from pats.philox import RNG_VERSION

SENSITIVITY = "sensitivity"

_SAMPLE = 4096  # entries of a matrix whose update is observed for the telemetry

Target = tuple[dict[str, Any], Tensor, str]  # group, parameter, canonical name


@dataclass
class _Pending:
    """What one matrix carries from the first to the second half of a step."""

    group: dict[str, Any]
    parameter: Tensor
    name: str
    noise: Noise
    average: Tensor
    measured: Measured
    sample: Tensor
    step: float | None


@dataclass
class _Trace:
    """Telemetry of one matrix: the last step's noise and the running count of skipped steps."""

    parameter: Tensor
    added: Added = field(default_factory=Added)
    update_square: float = 0.0
    skipped: int = 0


class Engine:
    """Measures and perturbs the targets of one optimizer.

    Args:
        optimizer: The optimizer whose state and groups hold everything.
        targets: Yields (group, parameter, canonical name) of every in-scope parameter, looked up anew
            at every step, since wrappers replace parameters.
    """

    def __init__(self, optimizer: Optimizer, targets: Callable[[], Iterable[Target]]) -> None:
        self._optimizer = optimizer
        self._targets = targets
        self._pending: list[_Pending] = []
        self._traces: dict[str, _Trace] = {}
        self._warned = False
        self._saved: dict[str, Any] | None = None

    @torch.no_grad()
    def measure(self) -> None:
        """First half: Eq. 1-3 from the gradients and the parameters before the update."""
        self._pending = []
        found_inf = getattr(self._optimizer, "found_inf", None)
        if found_inf is not None and bool(torch.as_tensor(found_inf).any()):
            return  # the base optimizer skips this step, so nothing is measured, drawn or counted
        grad_scale = getattr(self._optimizer, "grad_scale", None)
        scale = 1.0 if grad_scale is None else float(grad_scale)
        settings: dict[int, Noise] = {}
        for group, parameter, name in self._targets():
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse:
                raise RuntimeError(f"PATS does not support the sparse gradient of {name!r}")
            if hasattr(parameter, "device_mesh"):
                raise RuntimeError(
                    f"PATS does not support sharded parameters such as {name!r} yet: train it with "
                    "DDP, or on one device"
                )
            noise = settings.get(id(group)) or settings.setdefault(id(group), Noise.from_group(group))
            state = self._optimizer.state.get(parameter, {})
            average, step = state.get(SENSITIVITY), state.get("step")
            if average is None:
                average = torch.zeros_like(
                    parameter, dtype=state_dtype(parameter), memory_format=torch.contiguous_format
                )
            measured = measure_(
                average,
                parameter,
                parameter.grad,
                noise,
                maximize=bool(group.get("maximize", False)),
                grad_scale=scale,
            )
            before = None if step is None else float(step)
            self._pending.append(
                _Pending(group, parameter, name, noise, average, measured, _sample(parameter), before)
            )
        if not self._pending and not self._warned:
            self._warned = True
            warnings.warn(
                "PATS found no gradient in any parameter in scope, so no noise was added: call "
                "backward() before step(), and attach PATS after the model is wrapped",
                stacklevel=4,
            )

    @torch.no_grad()
    def perturb(self) -> None:
        """Second half: Eq. 4-5 on the updated parameters."""
        for item in self._pending:
            state = self._optimizer.state[item.parameter]
            state.setdefault(SENSITIVITY, item.average)
            step = self._count(item, state)
            trace = self._traces.setdefault(item.name, _Trace(item.parameter))
            trace.parameter = item.parameter
            update = _sample(item.parameter).double() - item.sample.double()
            trace.update_square = float(update.square().mean()) if update.numel() else 0.0
            if item.measured.nonfinite:
                trace.skipped += 1
                trace.added = Added()
            else:
                trace.added = perturb_(
                    item.parameter,
                    state[SENSITIVITY],
                    item.measured.mean,
                    item.noise,
                    name=item.name,
                    step=step,
                    lr=float(item.group["lr"]),
                )
        self._pending = []

    def _count(self, item: _Pending, state: dict[str, Any]) -> int:
        """The counter of the noise: torch's own ``step``; ours where the base optimizer counts none."""
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
        if float(state["step"]) == (item.step or 0.0):
            state["step"] += 1
        return int(state["step"])

    def stats(self) -> dict[str, dict[str, float]]:
        """Telemetry of every perturbed matrix by name; see ``pats.Perturbation.stats``."""
        return {name: _stats(trace) for name, trace in self._traces.items()}

    # Loading

    def fill(self, groups: Iterable[dict[str, Any]], noise: Noise) -> None:
        """Write the settings into groups that do not carry them yet."""
        for group in groups:
            for key, value in noise.to_group().items():
                group.setdefault(key, value)

    def before_load(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Hook before ``load_state_dict``."""
        self._saved = state_dict  # a hook after the load sees only what torch has cast already
        return merged(optimizer, state_dict)

    def after_load(self, optimizer: Optimizer) -> None:
        """Hook after ``load_state_dict``."""
        if self._saved is not None:
            restore_dtypes(optimizer, self._saved)
            self._saved = None


def merged(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    """A state dict about to be loaded, with the entries of ours that it lacks.

    Raises:
        ValueError: It belongs to another noise stream. Other settings that differ warn, and win.
    """
    groups = []
    for current, loaded in zip(optimizer.param_groups, state_dict["param_groups"], strict=False):
        ours = {key: current[key] for key in GROUP_KEYS if key in current}
        if ours and loaded.get(RNG_KEY, RNG_VERSION) != RNG_VERSION:
            raise ValueError(
                f"the checkpoint's noise stream has rng_version {loaded[RNG_KEY]}, this version of "
                f"PATS draws rng_version {RNG_VERSION}: continue with the version that wrote it"
            )
        differ = [key for key in ours if key in loaded and loaded[key] != ours[key]]
        if differ:
            told = ", ".join(f"{key} {loaded[key]!r} instead of {ours[key]!r}" for key in differ)
            warnings.warn(f"the checkpoint's noise settings replace the present ones: {told}", stacklevel=4)
        # A checkpoint of the plain optimizer lacks our entries: the present ones stay.
        groups.append({**{k: v for k, v in current.items() if k != "params"}, **loaded})
    rest = state_dict["param_groups"][len(groups) :]  # torch itself refuses another number
    return {**state_dict, "param_groups": [*groups, *rest]}


def restore_dtypes(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """After ``load_state_dict``: torch has cast the state to the parameter's dtype; undo it.

    s̄ always keeps the dtype it was saved in, the moments where ``state_dtype`` is set.

    Args:
        optimizer: The optimizer that has loaded ``saved``.
        saved: The state dict.
    """
    ids = chain.from_iterable(group["params"] for group in saved["param_groups"])
    every = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    for index, (group, parameter) in zip(ids, every, strict=True):
        for key, value in saved["state"].get(index, {}).items():
            kept = key == SENSITIVITY or (group.get("state_dtype") and key != "step")
            if kept and isinstance(value, Tensor):
                optimizer.state[parameter][key] = value.to(device=parameter.device, copy=True)


def _sample(parameter: Tensor) -> Tensor:
    """Copy of evenly spaced entries, at most ``_SAMPLE``."""
    flat = parameter.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // _SAMPLE)][:_SAMPLE].clone()


def _stats(trace: _Trace) -> dict[str, float]:
    numel, added = trace.parameter.numel(), trace.added
    noise = math.sqrt(added.square / numel) if numel else 0.0
    update = math.sqrt(trace.update_square)
    spread = float(trace.parameter.detach().double().std()) if numel > 1 else 0.0
    return {
        "noise_rms": noise,
        "update_rms": update,
        "noise_over_update": _ratio(noise, update),
        "noise_over_weight": _ratio(noise, spread),
        "gated": _ratio(added.gated, numel),
        "zero": _ratio(added.zero, added.gated),
        "sigma_max": added.sigma_max,
        "skipped": trace.skipped,
    }


def _ratio(value: float, base: float) -> float:
    """value/base; 0/0 is 0, and anything else over 0 is infinite."""
    if base:
        return value / base
    return math.inf if value else 0.0


def iterate(
    groups: Iterable[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], Tensor, str | None]]:
    """Every parameter of the groups, with its name where the groups have names."""
    for group in groups:
        names = group.get("param_names") or [None] * len(group["params"])
        for parameter, name in zip(group["params"], names, strict=True):
            yield group, parameter, name
