"""PATS around the steps of one optimizer: what lasts from step to step, and how a step begins.

``pats.perturb`` drives it from torch's step hooks, ``pats.optim`` from its own ``step``. Everything a
checkpoint needs is in the optimizer: s̄ in ``state[p]["sensitivity"]``, the counter of the noise in
``state[p]["step"]``, the settings in the groups under ``noise_*``.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._compile import _disable_dynamo  # as torch.optim: the public one imports dynamo at once
from torch.optim import Optimizer

from pats._budget import variance_sum
from pats._last import KEY, nothing
from pats._noise import Noise, state_dtype
from pats._scope import canonical_name
from pats.kernels import MatrixJob, Plans, forced
from pats.kernels.job import SUMS, capturing
from pats.step import shard
from pats.step.ledger import Ledger
from pats.step.matrices import Target, job_for
from pats.step.on_device import Halves
from pats.step.plan import Candidate, Plan, Wish, plan
from pats.step.replay import Replay
from pats.step.state import SENSITIVITY, Names, check_step, counted, on_device
from pats.step.step import Noisy, Step
from pats.step.telemetry import Telemetry

Aimed = tuple[Tensor, str, Noise]  # a parameter in scope, its name and its settings


def _nothing(group: dict[str, Any]) -> Wish | None:
    return None


class Stepper:
    """Measures and perturbs the targets of one optimizer.

    Args:
        optimizer: The optimizer whose state and groups hold everything.
        targets: Yields (group, parameter, canonical name) of every in-scope parameter, looked up again
            at every step, since wrappers replace parameters; None where no noise is added.
        replicas: The process group whose ranks hold replicas of the parameters, where that is known.
        names: Names of parameters whose groups have none.
        wish_of: What the optimizer asks for a group.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        targets: Callable[[], Iterable[Target]] | None,
        replicas: "dist.ProcessGroup | None" = None,
        names: Names = dict,
        wish_of: Callable[[dict[str, Any]], Wish | None] = _nothing,
    ) -> None:
        self.ledger, self.telemetry = Ledger(optimizer), Telemetry()
        self._optimizer, self._targets, self._replicas = optimizer, targets, replicas
        self._names, self._wish_of = names, wish_of
        self._plan: Plan | None = None
        self._plans = Plans()
        self.replay = Replay(optimizer, self.ledger, self.telemetry)
        self._warned = self._compared = False

    @_disable_dynamo
    @torch.no_grad()
    def measure(self) -> Step | Halves:
        """Begin a step: Eq. 1-3 from the gradients and the parameters before the update.

        Raises:
            RuntimeError: A gradient or a state does not fit its parameter; nothing has been changed.
            InputError: A kernel is required that cannot be had; nothing has been changed.
        """
        if (again := self.replay.begin()) is not None:
            return again
        optimizer, targets = self._optimizer, self._targets
        found_inf, grad_scale = scaling(optimizer)
        if targets is not None and _skipped(found_inf):
            targets = None
        else:
            check_step(optimizer, self._names)
        in_scope = [] if targets is None else [*targets()]
        settings: dict[int, Noise] = {}
        for group, _, _ in in_scope:
            if id(group) not in settings:
                settings[id(group)] = Noise.from_group(group)
                settings[id(group)].refuse_unready()
        aimed = [(parameter, name, settings[id(group)]) for group, parameter, name in in_scope]
        self._open_budgets(aimed)
        noisy = [
            self._noisy(group, parameter, name, settings[id(group)])
            for group, parameter, name in in_scope
            if parameter.grad is not None
        ]
        step = self._planned(noisy)
        if targets is None:
            return step
        if isinstance(found_inf, Tensor) and not step.stays_on_device:
            if bool(found_inf.any()):
                return self._planned([])
            found_inf = None
        if not noisy:
            self._warn()
        sums = step.measure(grad_scale, found_inf if isinstance(found_inf, Tensor) else None)
        self._reduce(aimed, {id(item.parameter): sums.get(id(item.job)) for item in noisy})
        return step

    @_disable_dynamo
    @torch.no_grad()
    def perturb(self, step: Step | Halves) -> None:
        """End a step: Eq. 4-5 on the updated parameters."""
        step.perturb(self.ledger, self.telemetry)
        if isinstance(step, Step):
            self.replay.record(step)

    def _open_budgets(self, aimed: Sequence[Aimed]) -> None:
        self.ledger.open(
            [
                (parameter, name if noise.scale == "budget" else "")
                for parameter, name, noise in aimed
                if noise.accounted and (parameter.grad is not None or shard.is_sharded(parameter))
            ]
        )

    def _noisy(self, group: dict[str, Any], parameter: Tensor, name: str, noise: Noise) -> Noisy:
        assert parameter.grad is not None
        if parameter.grad.is_sparse:
            raise RuntimeError(f"PATS does not support the sparse gradient of {name!r}")
        state = self._optimizer.state.get(parameter, {})
        average = state.get(SENSITIVITY)
        if average is not None and not shard.local(average).is_contiguous():
            average = state[SENSITIVITY] = average.contiguous()
        if average is None:
            if capturing(parameter.device):
                raise RuntimeError(
                    f"{name!r} has no state yet, and a CUDA graph would make it again at every replay: take "
                    "a few steps before the capture"
                )
            average = torch.zeros_like(
                parameter, dtype=state_dtype(parameter), memory_format=torch.contiguous_format
            )
        job = job_for(parameter, shard.local_grad(parameter), name)
        job.noise, job.average, job.seed = noise, shard.local(average), noise.seed
        job.budget = self.ledger.row(parameter) if noise.accounted else None
        job.maximize = bool(group.get("maximize", False))
        job.last = _last(state, noise)
        if job.last is not None and capturing(parameter.device):
            raise RuntimeError(
                f"the noise of {name!r} does not stay in the weights, and the host draws it once more, which "
                "no CUDA graph can replay: use keep='walk', or step outside of the graph"
            )
        count, counter = counted(state), state.get("step")
        counter = (id(counter), counter._version) if isinstance(counter, Tensor) else None
        return Noisy(group, parameter, job, average, count, counter)

    def _planned(self, noisy: Sequence[Noisy]) -> Step:
        """The step, with every matrix that a path may update, by the last plan where it holds."""
        groups = self._optimizer.param_groups
        wishes = {id(group): self._wish_of(group) for group in groups}
        candidates = [
            Candidate(item.job, wishes[id(item.group)], shard.is_sharded(item.parameter)) for item in noisy
        ]
        known, others = {id(item.parameter) for item in noisy}, []
        for group in groups:
            wish = wishes[id(group)]
            for parameter, job in _without_noise(group, known) if wish is not None else ():
                others.append((parameter, job))
                candidates.append(Candidate(job, wish, shard.is_sharded(parameter)))
        self._plan = plan(candidates, forced(), self._plan)
        return Step(self._optimizer, self._plan, noisy, others, self._plans)

    def _reduce(self, aimed: Sequence[Aimed], own: dict[int, Tensor | None]) -> None:
        """Add up the sums of sharded matrices over ranks; the ranks compare seeds and names once.

        Args:
            aimed: All parameters in scope.
            own: The sums that have been measured here, by the parameter's identity.
        """
        compare, self._compared = not self._compared, True
        if not compare and not any(shard.is_sharded(parameter) for parameter, _, _ in aimed):
            return
        slots = []
        for parameter, name, noise in aimed:
            if compare:
                shard.refuse_flat(parameter, name)
            row = own.get(id(parameter))
            sums = self._kept(parameter, noise) if row is None else row
            slots.append(shard.Slot(parameter, name, noise.seed, sums))
        if compare:
            shard.check_replicas(slots, self._replicas)
        shard.reduce_(slots, compare)

    def _kept(self, parameter: Tensor, noise: Noise) -> Tensor:
        """The sums of a matrix without a gradient on this rank: its s̄_j stay as they are."""
        sums = torch.zeros(len(SUMS), dtype=torch.float64, device=parameter.device)
        average = self._optimizer.state.get(parameter, {}).get(SENSITIVITY)
        if average is None or not shard.is_sharded(parameter):
            return sums
        held = shard.local(average).view(-1)
        sums[0] = held.sum(dtype=torch.float64)
        if noise.accounted:
            sums[2] = variance_sum(held, self.ledger.row(parameter), parameter.numel(), noise)
        return sums

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                "PATS found no gradient in any parameter in scope, so no noise was added: call "
                "backward() before step(), and attach PATS after the model is wrapped",
                stacklevel=5,
            )


def _last(state: dict[str, Any], noise: Noise) -> Tensor | None:
    """The row of noise that does not stay in the weights: that of the state, or a new one."""
    row = state.get(KEY)
    return nothing() if row is None and noise.keep != "walk" else row


def scaling(optimizer: Optimizer) -> tuple[object, float | Tensor]:
    """What torch's AMP has left for a step: found_inf, or None, and what the gradients are divided by."""
    scale = getattr(optimizer, "grad_scale", None)
    if scale is not None and not isinstance(scale, Tensor):
        scale = float(scale)
    return getattr(optimizer, "found_inf", None), 1.0 if scale is None else scale


def _skipped(found_inf: object) -> bool:
    """Whether the base optimizer skips this step, so that nothing is measured, drawn or counted.

    A number on a device is not read here: that would make the host wait.
    """
    if found_inf is None or on_device(found_inf) or forced() == "triton":
        return False
    return bool(torch.as_tensor(found_inf).any())


def _without_noise(group: dict[str, Any], known: set[int]) -> Iterable[tuple[Tensor, MatrixJob]]:
    """Other parameters of a group that have a gradient, and their jobs; torch itself refuses sparse ones."""
    names = dict(zip(map(id, group["params"]), group.get("param_names") or (), strict=False))
    for parameter in group["params"]:
        if parameter.grad is None or parameter.grad.is_sparse or id(parameter) in known:
            continue
        name = canonical_name(names.get(id(parameter), ""))
        job = job_for(parameter, shard.local_grad(parameter), name)
        job.maximize, job.seed = bool(group.get("maximize", False)), group.get("noise_seed", 0)
        yield parameter, job
