"""One step's values, from the gradients to the noise.

    Stepper.measure   looks the matrices up, plans, and does Eq. 1-3 before the base update: now it is a Step
    the optimizer     updates what no path does, and sets ``job.rule`` of what ``fused_job_of`` gives it
    Stepper.perturb   does Eq. 4-5, with the base update of the rest: the step is over

There is no other order: a step that exists has been measured, and one that has been perturbed is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._last import KEY
from pats.kernels import DeviceBatch, MatrixBatch, MatrixJob, Plans, batched
from pats.kernels.job import capturing
from pats.step.ledger import Ledger
from pats.step.plan import Plan
from pats.step.state import SENSITIVITY, on_device
from pats.step.telemetry import BatchTelemetry, Fleeting, Telemetry, changes_since, samples


@dataclass(frozen=True)
class Noisy:
    """A matrix that gets noise at this step.

    Args:
        group: Its group.
        parameter: The parameter, whole or a DTensor.
        job: Its job.
        average: s̄ as the state holds it: a DTensor where the parameter is one.
        counted: The optimizer's counter before the update, where it can be read without waiting.
        counter: Its identity and its version, which grows when it is counted; None where it is no tensor.
    """

    group: dict[str, Any]
    parameter: Tensor
    job: MatrixJob
    average: Tensor
    counted: float | None
    counter: tuple[int, int] | None


class Step:
    """The values of one step, which end with it.

    Args:
        optimizer: The optimizer.
        plan: Which path does what; its positions are those of ``noisy``, then of ``others``.
        noisy: The matrices that get noise.
        others: Parameters and jobs of what a path updates without noise.
        plans: What the Triton kernels keep from step to step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        plan: Plan,
        noisy: Sequence[Noisy],
        others: Sequence[tuple[Tensor, MatrixJob]],
        plans: Plans,
    ) -> None:
        self.plan = plan
        self._optimizer, self._noisy = optimizer, noisy
        every = [*((item.parameter, item.job) for item in noisy), *others]
        jobs = [job for _, job in every]
        rows = zip(every, plan.decisions, strict=True)
        self._fused = {id(parameter): job for (parameter, job), decision in rows if decision.fused}
        self._at_once, self._apart = batched(jobs, plan.at_once, plans), batched(jobs, plan.apart, plans)
        self._sums: list[Tensor] = []
        self._found_inf: Tensor | None = None
        self._samples: dict[int, Tensor] = {}
        self._over = self._counts_there = False

    @property
    def stays_on_device(self) -> bool:
        """Whether what is measured before the base update is read by no host."""
        return all(isinstance(batch, DeviceBatch) for batch in self._apart)

    def measure(self, grad_scale: float | Tensor = 1.0, found_inf: Tensor | None = None) -> dict[int, Tensor]:
        """Eq. 1-3 of what is measured before the base update.

        Args:
            grad_scale: The gradients are divided by it.
            found_inf: Where it is not zero, nothing is done: a number of a device, which is read there.

        Returns:
            The sums of each job by its identity, to be added up over the ranks in place.
        """
        self._found_inf = found_inf
        self._sums = []
        observed = set()
        for batch in self._apart:
            if isinstance(batch, DeviceBatch):
                self._sums.append(batch.measure(grad_scale, found_inf))
                observed |= {id(job) for job in batch.jobs} if batch.observes else set()
            else:
                self._sums.append(batch.measure(float(grad_scale)))
        jobs = [item.job for item in self._noisy if id(item.parameter) not in self._fused]
        jobs = [job for job in jobs if id(job) not in observed]
        thetas = {id(job): job.theta for job in jobs}
        self._samples = dict(zip(thetas, samples([*thetas.values()]), strict=True))
        rows = zip(self._apart, self._sums, strict=True)
        return {id(job): row for batch, sums in rows for job, row in zip(batch.jobs, sums, strict=True)}

    def fused_job_of(self, parameter: Tensor) -> MatrixJob | None:
        """The job of a parameter whose base update its path does; None for any other."""
        return self._fused.get(id(parameter))

    def perturb(self, ledger: Ledger, telemetry: Telemetry) -> None:
        """Eq. 4-5 on the updated parameters, after the base update of the fused jobs; ends the step.

        Args:
            ledger: The budgets, which the state then holds.
            telemetry: Takes in what has been done.

        Raises:
            RuntimeError: It has been called before.
        """
        if self._over:
            raise RuntimeError("a step is measured once and perturbed once: this one is over")
        self._over = True
        updates = self._updates()
        ours: list[Tensor] = []
        for item in self._noisy:
            state = self._optimizer.state[item.parameter]
            state.setdefault(SENSITIVITY, item.average)
            if item.job.budget is not None:
                ledger.keep(item.parameter)
            keep_last(state, item.job)
            if id(item.parameter) not in self._fused:
                item.job.step, item.job.lr = self._counted(item, state, ours), item.group["lr"]
        self._counts_there = bool(ours)
        if ours:
            made = torch.ones((), device=ours[0].device)
            made = made if self._found_inf is None else made - self._found_inf.to(ours[0].device)
            torch._foreach_add_(ours, made)
        noisy = {id(item.job) for item in self._noisy}
        done: list[tuple[MatrixBatch, Tensor, Tensor]] = []
        for batch in self._at_once:
            if isinstance(batch, DeviceBatch):
                done.append((batch, *batch.step(self._counts(batch, telemetry))))
            else:
                done.append((batch, *batch.step()))
        for batch, sums in zip(self._apart, self._sums, strict=True):
            if isinstance(batch, DeviceBatch):
                counts = self._counts(batch, telemetry)
                done.append((batch, sums, batch.perturb(sums, self._found_inf, counts)))
            else:
                done.append((batch, sums, batch.perturb(sums)))
        reports = (self._report(batch, sums, tally, noisy, updates) for batch, sums, tally in done)
        telemetry.step([report for report in reports if report.names])

    def alone(self) -> MatrixBatch | None:
        """What the step did, where that was one batch, and nothing is left to do for each of its matrices."""
        done = [*self._at_once, *self._apart]
        if len(done) != 1 or self._counts_there or any(job.last is not None for job in done[0].jobs):
            return None
        return done[0] if self.whole or not (self._fused or self._samples) else None

    @property
    def whole(self) -> bool:
        """Whether all of it was update and noise in one call."""
        return not self._apart

    def names_in(self, batch: MatrixBatch) -> tuple[str, ...]:
        """Names of a batch's matrices with noise, which come first."""
        noisy = {id(item.job) for item in self._noisy}
        return tuple(job.name for job in batch.jobs if id(job) in noisy)

    def _updates(self) -> dict[int, Tensor]:
        """Norms of the observed base updates, by the job's identity, taken before there is noise."""
        if not self._samples:
            return {}
        thetas = [item.job.theta for item in self._noisy if id(item.job) in self._samples]
        return dict(zip(self._samples, changes_since([*self._samples.values()], thetas), strict=True))

    def _report(
        self, batch: MatrixBatch, sums: Tensor, tally: Tensor, noisy: set[int], updates: dict[int, Tensor]
    ) -> BatchTelemetry:
        """What a batch reports of its matrices with noise, which come first."""
        jobs = [job for job in batch.jobs if id(job) in noisy]
        observed = [updates[id(job)] for job in jobs if id(job) in updates]
        names = tuple(job.name for job in jobs)
        accounts = [job.budget for job in jobs]
        bounded = [job.noise is not None and job.noise.scale == "budget" for job in jobs]
        thetas = [job.theta for job in jobs]
        counted = isinstance(batch, DeviceBatch)
        fleeting = tuple(map(_fleeting, jobs)) if any(map(_fleeting, jobs)) else ()
        return BatchTelemetry(
            names, thetas, accounts, bounded, sums, tally, observed or None, counted, fleeting
        )

    def _counts(self, batch: MatrixBatch, telemetry: Telemetry) -> Tensor:
        """Where the kernels count the steps of a batch's matrices with noise."""
        return telemetry.counts(self.names_in(batch), batch.jobs[0].theta.device)

    def _counted(self, item: Noisy, state: dict[str, Any], ours: list[Tensor]) -> int | Tensor:
        """The counter of the noise: torch's own ``step``; ours where the base optimizer counts none.

        One that is read on the device, and that we have to count, is added to ``ours``.
        """
        deferred = self._found_inf is not None  # whether the step counts is known on the device alone
        counter = state.get("step")
        if not on_device(counter) and not deferred:
            return _count(item, state)
        device = item.job.theta.device
        if not isinstance(counter, Tensor) or counter.device != device:
            start = 0.0 if counter is None else float(counter)
            counter = state["step"] = torch.full((), start, device=device)
            if start == (item.counted or 0.0):
                ours.append(counter)
        elif item.counter is not None and item.counter == (id(counter), counter._version):
            ours.append(counter)
        return counter


def _fleeting(job: MatrixJob) -> Fleeting | None:
    if job.last is None or job.average is None or job.noise is None or job.noise.keep == "walk":
        return None
    return Fleeting(job.last, job.average, job.pieces, tallied=job.noise.keep != "transient")


def keep_last(state: dict[str, Any], job: MatrixJob) -> None:
    """Have the state hold the row of noise that does not stay in the weights."""
    if job.last is not None and job.noise is not None and job.noise.keep != "walk":
        state[KEY] = job.last
    else:
        state.pop(KEY, None)


def _count(item: Noisy, state: dict[str, Any]) -> int:
    """The counter on the host."""
    if "step" not in state:
        state["step"] = torch.zeros((), dtype=torch.float32)
    if capturing(item.job.theta.device):
        raise RuntimeError(
            f"the steps of {item.job.name!r} are counted on the host, and every replay of a CUDA graph "
            "would draw the same noise: use an optimizer with capturable=True"
        )
    if float(state["step"]) == (item.counted or 0.0):
        state["step"] += 1
    return int(state["step"])
