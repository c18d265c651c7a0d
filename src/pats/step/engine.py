"""PATS around one optimizer step: measure before the base update, perturb after it.

``pats.perturb`` drives it from torch's step hooks, ``pats.optim`` from its own ``step``. Everything a
checkpoint needs stands in the optimizer: s̄ in ``state[p]["sensitivity"]``, the counter of the noise in
``state[p]["step"]``, the settings in the groups under ``noise_*``.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._compile import _disable_dynamo  # as torch.optim: the public one imports dynamo at once
from torch.optim import Optimizer

from pats._budget import variance_sum
from pats._errors import InputError
from pats._noise import Noise, state_dtype
from pats.kernels import MatrixBatch, MatrixJob, batches
from pats.kernels.job import SUMS
from pats.step import shard
from pats.step.ledger import Ledger
from pats.step.state import SENSITIVITY, Names, check_step, counted, on_device
from pats.step.telemetry import SAMPLE, Last, Totals, changes_since, ratio, samples, stats_of, too_much

_NO_GRADIENT = torch.empty(0)

Target = tuple[dict[str, Any], Tensor, str]  # group, parameter, canonical name


@dataclass
class _Item:
    """What one matrix carries from the first to the second half of a step."""

    group: dict[str, Any]
    parameter: Tensor
    job: MatrixJob
    average: Tensor  # as the state holds it: a DTensor where the parameter is one
    counted: float | None  # the optimizer's counter before the update, where it can be read without waiting
    fused: bool
    sharded: bool


class Engine:
    """Measures and perturbs the targets of one optimizer.

    Args:
        optimizer: The optimizer whose state and groups hold everything.
        targets: Yields (group, parameter, canonical name) of every in-scope parameter, looked up anew
            at every step, since wrappers replace parameters.
        replicas: The process group whose ranks hold replicas of the parameters, where that is known.
        names: Names of parameters whose groups have none.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        targets: Callable[[], Iterable[Target]],
        replicas: "dist.ProcessGroup | None" = None,
        names: Names = dict,
    ) -> None:
        self._optimizer, self._replicas = optimizer, replicas
        self._targets, self._names = targets, names
        self._ledger = Ledger(optimizer)
        self._items: dict[int, _Item] = {}
        self._jobs: dict[int, MatrixJob] = {}  # of the last step, to be used again
        self._done: tuple[list[MatrixBatch], dict[int, _Item]] = ([], {})
        self._measured: list[MatrixBatch] = []
        self._samples: dict[int, Tensor] = {}
        self._last: list[Last] = []
        self._totals = Totals()
        self._seen, self._alarmed = 0, False
        self._warned = self._compared = False

    @_disable_dynamo
    @torch.no_grad()
    def measure(self, fused: Callable[[dict[str, Any], MatrixJob], bool] = lambda group, job: False) -> None:
        """First half: Eq. 1-3 from the gradients and the parameters before the update.

        Args:
            fused: Whether a job's base update will be done by its execution path: it is then measured
                together with the update.

        Raises:
            RuntimeError: A gradient or a state does not fit its parameter; nothing has been changed.
        """
        self._items, self._measured, self._samples = {}, [], {}
        found_inf = getattr(self._optimizer, "found_inf", None)
        if found_inf is not None and bool(torch.as_tensor(found_inf).any()):
            return  # the base optimizer skips this step, so nothing is measured, drawn or counted
        check_step(self._optimizer, self._names)
        grad_scale = getattr(self._optimizer, "grad_scale", None)
        settings: dict[int, Noise] = {}
        found = [*self._targets()]
        for group, _, _ in found:
            settings.setdefault(id(group), Noise.from_group(group))
        targets = [(parameter, name, settings[id(group)]) for group, parameter, name in found]
        self._ledger.open(
            [
                (parameter, name)
                for parameter, name, noise in targets
                if noise.scale == "budget" and (parameter.grad is not None or shard.is_sharded(parameter))
            ]
        )
        for group, parameter, name in found:
            noise = settings[id(group)]
            if parameter.grad is None:
                continue
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
        items = self._items.values()
        separate = [item for item in items if not item.fused]
        # A sharded matrix is updated by its path, too, but not before its mean is known.
        sharded = [item for item in items if item.fused and item.sharded]
        self._measured = [batch for part in (separate, sharded) for batch in batches(i.job for i in part)]
        for batch in self._measured:
            batch.measure(1.0 if grad_scale is None else float(grad_scale))
        self._reduce(targets)
        thetas = {id(item.parameter): item.job.theta for item in separate}
        self._samples = dict(zip(thetas, samples([*thetas.values()]), strict=True))

    def _reduce(self, targets: Sequence[tuple[Tensor, str, Noise]]) -> None:
        """Add up the sums of sharded matrices over ranks; the ranks compare seeds and names once."""
        compare, self._compared = not self._compared, True
        if not compare and not any(shard.is_sharded(parameter) for parameter, _, _ in targets):
            return
        rows = {
            id(job): row
            for batch in self._measured
            if batch.sums is not None
            for job, row in zip(batch.jobs, batch.sums, strict=True)
        }
        slots = []
        for parameter, name, noise in targets:
            if compare:
                shard.refuse_flat(parameter, name)
            item = self._items.get(id(parameter))
            row = None if item is None else rows.get(id(item.job))
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
        if noise.scale == "budget":
            sums[2] = variance_sum(held, self._ledger.row(parameter), parameter.numel(), noise)
        return sums

    def _item(self, group: dict[str, Any], parameter: Tensor, name: str, noise: Noise) -> _Item:
        assert parameter.grad is not None
        if parameter.grad.is_sparse:
            raise RuntimeError(f"PATS does not support the sparse gradient of {name!r}")
        state = self._optimizer.state.get(parameter, {})
        average = state.get(SENSITIVITY)
        if average is not None and not shard.local(average).is_contiguous():
            average = state[SENSITIVITY] = average.contiguous()
        if average is None:
            if _capturing(parameter):
                raise RuntimeError(
                    f"{name!r} has no state yet, and a CUDA graph would make it anew at every replay: take a "
                    "few steps before the capture"
                )
            average = torch.zeros_like(
                parameter, dtype=state_dtype(parameter), memory_format=torch.contiguous_format
            )
        job = self.new_job(parameter, name)
        job.noise, job.average, job.seed = noise, shard.local(average), noise.seed
        job.budget = self._ledger.row(parameter) if noise.scale == "budget" else None
        job.maximize = bool(group.get("maximize", False))
        return _Item(group, parameter, job, average, counted(state), False, shard.is_sharded(parameter))

    def new_job(self, parameter: Tensor, name: str) -> MatrixJob:
        """A job without noise on this rank's part of a parameter, with its gradient of this step."""
        grad = shard.local_grad(parameter)
        job = self._jobs.get(id(parameter))
        if job is None or job.theta is not parameter or job.name != name or job.numel != parameter.numel():
            return job_for(parameter, grad, name)
        job.grad, job.noise, job.average, job.rule, job.path = grad, None, None, None, None
        job.budget = None
        return job

    def job_of(self, parameter: Tensor) -> MatrixJob | None:
        """The job of a parameter at this step; None out of scope."""
        item = self._items.get(id(parameter))
        return None if item is None else item.job

    def fused_job_of(self, parameter: Tensor) -> MatrixJob | None:
        """The job of a parameter whose base update its path does; None for any other."""
        item = self._items.get(id(parameter))
        return item.job if item is not None and item.fused else None

    @_disable_dynamo
    @torch.no_grad()
    def perturb(self, others: Iterable[MatrixJob] = ()) -> None:
        """Second half: Eq. 4-5 on the updated parameters, after the base update of the fused jobs.

        Args:
            others: Jobs without noise whose base update is done in the same call.
        """
        updates = self._updates()
        for item in self._items.values():
            state = self._optimizer.state[item.parameter]
            state.setdefault(SENSITIVITY, item.average)
            if item.job.budget is not None:
                self._ledger.keep(item.parameter)
            if not item.fused:
                item.job.step = self._count(item, state)
                item.job.lr = item.group["lr"]
        fused = (item.job for item in self._items.values() if item.fused and not item.sharded)
        together = batches(chain(fused, others))
        for batch in together:
            batch.step()
        for batch in self._measured:
            batch.perturb()
        done = [*together, *self._measured]
        self._done = done, self._items
        self._last = self._remember(done, updates)
        self._items, self._measured, self._samples = {}, [], {}
        self._jobs = {id(job.theta): job for batch in done for job in batch.jobs}
        self._let_go()
        self._watch()

    def _let_go(self) -> None:
        """Hold no gradient of the step that has been done: it would stay alive."""
        for job in self._jobs.values():
            job.grad = _NO_GRADIENT

    def all_done(self) -> MatrixBatch | None:
        """What the last step did, where that was update and noise of all its parameters in one call."""
        batches, items = self._done
        together = len(batches) == 1 and all(item.fused and not item.sharded for item in items.values())
        together = together and self._ledger.settled
        return batches[0] if together else None

    @_disable_dynamo
    @torch.no_grad()
    def repeat(self) -> None:
        """Do again what ``all_done`` shows, whose jobs have been renewed."""
        (batch,), _ = self._done
        batch.step()
        assert batch.sums is not None
        assert batch.tally is not None
        for last in self._last:
            last.tally = batch.tally
            self._totals.add(last.names, batch.sums, batch.tally)
        self._let_go()
        self._watch()

    def _watch(self) -> None:
        """Warn once of noise that no budget bounds, looking now and then, and never at an accelerator."""
        self._seen += 1
        if self._alarmed or self._seen < 16 or self._seen & (self._seen - 1):
            return
        for last in self._last:
            if last.tally.device.type == "cpu" and (told := too_much(last, self._totals, self._seen)):
                self._alarmed = True
                warnings.warn(told, stacklevel=5)
                return

    def _count(self, item: _Item, state: dict[str, Any]) -> int | Tensor:
        """The counter of the noise: torch's own ``step``; ours where the base optimizer counts none."""
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
        if on_device(state["step"]):
            counter: Tensor = state["step"]
            return counter
        if _capturing(item.job.theta):
            raise RuntimeError(
                f"the steps of {item.job.name!r} are counted on the host, and every replay of a CUDA graph "
                "would draw the same noise: use an optimizer with capturable=True"
            )
        if float(state["step"]) == (item.counted or 0.0):
            state["step"] += 1
        return int(state["step"])

    # Telemetry

    def _updates(self) -> dict[int, Tensor]:
        """Norms of the observed base updates, by the job's identity, taken before there is noise."""
        items = [item for item in self._items.values() if id(item.parameter) in self._samples]
        if not items:
            return {}
        before = [self._samples[id(item.parameter)] for item in items]
        norms = changes_since(before, [item.job.theta for item in items])
        return {id(item.job): norm for item, norm in zip(items, norms, strict=True)}

    def _remember(self, done: list[MatrixBatch], updates: dict[int, Tensor]) -> list[Last]:
        by_job = {id(item.job): item for item in self._items.values()}
        last = []
        for batch in done:
            items = [by_job[id(job)] for job in batch.jobs if id(job) in by_job]
            if not items:
                continue
            assert batch.sums is not None
            assert batch.tally is not None
            names = tuple(item.job.name for item in items)
            self._totals.add(names, batch.sums, batch.tally)
            observed = None if items[0].fused else [updates[id(item.job)] for item in items]
            thetas, accounts = [i.job.theta for i in items], [i.job.budget for i in items]
            last.append(Last(names, thetas, accounts, batch.tally, observed))
        return last

    def stats(self) -> dict[str, dict[str, float]]:
        """Telemetry of every perturbed matrix by name; see ``pats.Perturbation.stats``."""
        totals = self._totals.read()
        found = {}
        for last in self._last:
            rows = last.tally.tolist()  # those of jobs without noise come last
            for i, (name, theta) in enumerate(zip(last.names, last.thetas, strict=True)):
                gated, zero, square, sigma_max, update_square, observed = rows[i]
                if last.updates is not None:
                    update_square = float(last.updates[i]) ** 2
                    observed = min(theta.numel(), SAMPLE)
                skipped, total = totals[name]
                update = ratio(update_square, observed)
                found[name] = stats_of(theta, gated, zero, square, sigma_max, update, total, last.accounts[i])
                found[name]["skipped"] = skipped
        return {name: found[name] for name in totals if name in found}

    def fill(self, groups: Iterable[dict[str, Any]], noise: Noise) -> None:
        """Write the settings into groups that do not carry them yet."""
        for group in groups:
            for key, value in noise.to_group().items():
                group.setdefault(key, value)


def _capturing(tensor: Tensor) -> bool:
    """Whether what is done with the tensor now goes into a CUDA graph."""
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def job_for(parameter: Tensor, grad: Tensor, name: str) -> MatrixJob:
    """A job without noise on this rank's part of a parameter.

    Args:
        parameter: The parameter, whole or a DTensor.
        grad: This rank's part of its gradient.
        name: Its canonical name.
    """
    return MatrixJob(
        shard.local(parameter), grad, name, parameter.numel(), shard.pieces(parameter), None, None
    )


def iterate(
    groups: Iterable[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], Tensor, str | None]]:
    """Every parameter of the groups, with its name where the groups have names."""
    for group in groups:
        names = group.get("param_names") or [None] * len(group["params"])
        if len(names) != len(group["params"]):
            raise InputError(
                f"a parameter group has {len(names)} names for {len(group['params'])} tensors, as when "
                "DeepSpeed ZeRO has flattened them: PATS needs whole matrices, use FSDP2 or DDP"
            )
        for parameter, name in zip(group["params"], names, strict=True):
            yield group, parameter, name
