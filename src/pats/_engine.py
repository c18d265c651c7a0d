"""PATS around one optimizer step: measure before the base update, perturb after it.

``pats.perturb`` drives it from torch's step hooks, ``pats.optim`` from its own ``step``. Everything a
checkpoint needs stands in the optimizer: s̄ in ``state[p]["sensitivity"]``, the counter of the noise in
``state[p]["step"]``, the settings in the groups under ``noise_*``.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._noise import GROUP_KEYS, RNG_KEY, Noise, state_dtype
from pats.kernels import Batch, Job, batches, whole
from pats.philox import RNG_VERSION

SENSITIVITY = "sensitivity"

_SAMPLE = 4096  # entries of a matrix whose update is observed for the telemetry

Target = tuple[dict[str, Any], Tensor, str]  # group, parameter, canonical name


@dataclass
class _Item:
    """What one matrix carries from the first to the second half of a step."""

    group: dict[str, Any]
    parameter: Tensor
    job: Job
    counted: float | None  # the optimizer's counter before the update, where it can be read without waiting
    fused: bool


@dataclass
class _Last:
    """The last step of one batch, for the telemetry; read when somebody asks."""

    items: list[_Item]
    batch: Batch
    updates: list[Tensor] | None  # norms of the observed updates, where the path did not make them


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
        self._items: dict[int, _Item] = {}
        self._measured: list[Batch] = []
        self._samples: dict[int, Tensor] = {}
        self._last: list[_Last] = []
        self._skipped: dict[tuple[str, ...], Tensor] = {}
        self._warned = False
        self._saved: dict[str, Any] | None = None

    @torch.no_grad()
    def measure(self, fused: Callable[[dict[str, Any], Job], bool] = lambda group, job: False) -> None:
        """First half: Eq. 1-3 from the gradients and the parameters before the update.

        Args:
            fused: Whether a job's base update will be done by its execution path: it is then measured
                together with the update.
        """
        self._items, self._measured, self._samples = {}, [], {}
        found_inf = getattr(self._optimizer, "found_inf", None)
        if found_inf is not None and bool(torch.as_tensor(found_inf).any()):
            return  # the base optimizer skips this step, so nothing is measured, drawn or counted
        grad_scale = getattr(self._optimizer, "grad_scale", None)
        settings: dict[int, Noise] = {}
        for group, parameter, name in self._targets():
            if parameter.grad is None:
                continue
            noise = settings.get(id(group)) or settings.setdefault(id(group), Noise.from_group(group))
            item = self._item(group, parameter, name, noise)
            item.fused = fused(group, item.job)
            self._items[id(parameter)] = item
        if not self._items and not self._warned:
            self._warned = True
            warnings.warn(
                "PATS found no gradient in any parameter in scope, so no noise was added: call "
                "backward() before step(), and attach PATS after the model is wrapped",
                stacklevel=4,
            )
        separate = [item for item in self._items.values() if not item.fused]
        self._measured = batches(item.job for item in separate)
        for batch in self._measured:
            batch.measure(1.0 if grad_scale is None else float(grad_scale))
        self._samples = _samples(separate)

    def _item(self, group: dict[str, Any], parameter: Tensor, name: str, noise: Noise) -> _Item:
        grad = parameter.grad
        assert grad is not None
        if grad.is_sparse:
            raise RuntimeError(f"PATS does not support the sparse gradient of {name!r}")
        if hasattr(parameter, "device_mesh"):
            raise RuntimeError(
                f"PATS does not support sharded parameters such as {name!r} yet: train it with "
                "DDP, or on one device"
            )
        state = self._optimizer.state.get(parameter, {})
        average, step = state.get(SENSITIVITY), state.get("step")
        if average is None:
            average = torch.zeros_like(
                parameter, dtype=state_dtype(parameter), memory_format=torch.contiguous_format
            )
        job = Job(
            parameter.detach(),
            grad,
            name,
            parameter.numel(),
            whole(parameter.numel()),
            noise,
            average,
            maximize=bool(group.get("maximize", False)),
            seed=noise.seed,
        )
        counted = None if step is None or _on_device(step) else float(step)
        return _Item(group, parameter, job, counted, fused=False)

    def job_of(self, parameter: Tensor) -> Job | None:
        """The job of a parameter at this step; None out of scope."""
        item = self._items.get(id(parameter))
        return None if item is None else item.job

    def fused_job_of(self, parameter: Tensor) -> Job | None:
        """The job of a parameter whose base update its path does; None for any other."""
        item = self._items.get(id(parameter))
        return item.job if item is not None and item.fused else None

    @torch.no_grad()
    def perturb(self, others: Iterable[Job] = ()) -> None:
        """Second half: Eq. 4-5 on the updated parameters, after the base update of the fused jobs.

        Args:
            others: Jobs without noise whose base update is done in the same call.
        """
        for item in self._items.values():
            state = self._optimizer.state[item.parameter]
            state.setdefault(SENSITIVITY, item.job.average)
            if not item.fused:
                item.job.step = self._count(item, state)
                item.job.lr = item.group["lr"]
        together = batches(chain((item.job for item in self._items.values() if item.fused), others))
        for batch in together:
            batch.step()
        for batch in self._measured:
            batch.perturb()
        self._last = self._remember([*together, *self._measured])
        self._items, self._measured, self._samples = {}, [], {}

    def _count(self, item: _Item, state: dict[str, Any]) -> int | Tensor:
        """The counter of the noise: torch's own ``step``; ours where the base optimizer counts none."""
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
        if _on_device(state["step"]):
            counter: Tensor = state["step"]
            return counter
        if float(state["step"]) == (item.counted or 0.0):
            state["step"] += 1
        return int(state["step"])

    # Telemetry

    def _remember(self, done: list[Batch]) -> list[_Last]:
        by_job = {id(item.job): item for item in self._items.values()}
        last = []
        for batch in done:
            items = [by_job[id(job)] for job in batch.jobs if id(job) in by_job]
            if not items:
                continue
            assert batch.sums is not None
            rows = [i for i, job in enumerate(batch.jobs) if id(job) in by_job]
            names = tuple(item.job.name for item in items)
            spoilt = batch.sums[rows, 1] > 0
            before = self._skipped.get(names)
            self._skipped[names] = spoilt.long() if before is None else before + spoilt
            updates = None
            if not items[0].fused:
                before_update = [self._samples[id(item.parameter)] for item in items]
                changes = torch._foreach_sub([_sample(item.parameter) for item in items], before_update)
                updates = [*torch._foreach_norm([_wide(change) for change in changes])]
            last.append(_Last(items, batch, updates))
        return last

    def stats(self) -> dict[str, dict[str, float]]:
        """Telemetry of every perturbed matrix by name; see ``pats.Perturbation.stats``."""
        skipped: dict[str, int] = {}
        for names, counts in self._skipped.items():
            for name, count in zip(names, counts.tolist(), strict=True):
                skipped[name] = skipped.get(name, 0) + count
        found = {}
        for last in self._last:
            assert last.batch.tally is not None
            tally = dict(zip((id(job) for job in last.batch.jobs), last.batch.tally.tolist(), strict=True))
            for i, item in enumerate(last.items):
                gated, zero, square, sigma_max, update_square, observed = tally[id(item.job)]
                if last.updates is not None:
                    update_square = float(last.updates[i]) ** 2
                    observed = min(item.parameter.numel(), _SAMPLE)
                found[item.job.name] = _stats(
                    item.parameter, gated, zero, square, sigma_max, _ratio(update_square, observed)
                ) | {"skipped": skipped[item.job.name]}
        return {name: found[name] for name in skipped if name in found}

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


def _on_device(step: object) -> bool:
    """Whether reading the counter would make the host wait for an accelerator."""
    return isinstance(step, Tensor) and step.device.type != "cpu"


def _samples(items: Iterable[_Item]) -> dict[int, Tensor]:
    """Copies of what ``_sample`` shows, by the parameter's identity, in one call."""
    parameters = [item.parameter for item in items]
    if not parameters:
        return {}
    copies = torch._foreach_add([_sample(parameter) for parameter in parameters], 0.0)
    return {id(parameter): copy for parameter, copy in zip(parameters, copies, strict=True)}


def _sample(parameter: Tensor) -> Tensor:
    """View of evenly spaced entries, at most ``_SAMPLE``, in the order in which they lie in memory."""
    flat = parameter.detach()
    if flat.is_contiguous():
        flat = flat.view(-1)
    elif flat.t().is_contiguous() if flat.ndim == 2 else False:
        flat = flat.t().view(-1)
    else:
        flat = flat.reshape(-1)
    return flat[:: max(1, flat.numel() // _SAMPLE)][:_SAMPLE]


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _stats(
    parameter: Tensor, gated: float, zero: float, square: float, sigma_max: float, update_square: float
) -> dict[str, float]:
    numel = parameter.numel()
    noise = math.sqrt(square / numel) if numel else 0.0
    update = math.sqrt(update_square)
    spread = float(parameter.detach().double().std()) if numel > 1 else 0.0
    return {
        "noise_rms": noise,
        "update_rms": update,
        "noise_over_update": _ratio(noise, update),
        "noise_over_weight": _ratio(noise, spread),
        "gated": _ratio(gated, numel),
        "zero": _ratio(zero, gated),
        "sigma_max": sigma_max,
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
