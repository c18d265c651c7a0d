"""The last step of ``pats.optim`` once more, where only gradients, learning rates and counters are new.

Looking every parameter up again takes time that small models notice. A ``Recording`` holds the jobs of a
step, and all that made them what they are. ``Replay`` takes it up again, and records ever more seldom where
that is of no use.
"""

from dataclasses import dataclass
from operator import is_
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pats._budget import KEYS
from pats.kernels import DeviceBatch, MatrixBatch, MatrixJob
from pats.step.again import Around, settings
from pats.step.ledger import Ledger
from pats.step.on_device import Halves, Whole, on_device_of
from pats.step.state import is_exact
from pats.step.step import Step
from pats.step.telemetry import Telemetry

_MOST_MISSES = 7  # the longest pause is 63 steps
_NO_GRADIENT = torch.empty(0)


class Replay:
    """The steps of one optimizer that need no looking up.

    Args:
        optimizer: The optimizer.
        ledger: The budgets of its matrices.
        telemetry: Takes in what is done.
    """

    def __init__(self, optimizer: Optimizer, ledger: Ledger, telemetry: Telemetry) -> None:
        self._optimizer, self._ledger, self._telemetry = optimizer, ledger, telemetry
        self._recording: Recording | Whole | Halves | None = None
        self._misses, self._pause = 0, 0  # how often in a row it was of no use; steps to go without

    @torch.no_grad()
    def step(self) -> bool:
        """Do the last step again, base update and all.

        Returns:
            False where it has to be looked up; nothing has been changed.
        """
        recording = self._recording
        if recording is None or isinstance(recording, Halves) or not self._renewed(recording):
            return False
        recording.run(self._telemetry)
        return True

    @torch.no_grad()
    def begin(self) -> Halves | None:
        """Do the first half of the last step again; None where it has to be looked up."""
        recording = self._recording
        return recording if isinstance(recording, Halves) and self._renewed(recording) else None

    def record(self, step: Step) -> None:
        """Keep what a step has looked up, for the next one."""
        # Where something is new at every step, as under a schedule of β, looking out for it is work in vain.
        batch = step.alone() if self._ledger.settled and not self._pause else None
        self._recording = None if batch is None else recorded(self._optimizer, batch, step)
        self._pause = max(self._pause - 1, 0)

    def forget(self) -> None:
        """Have the next step looked up."""
        self._recording = None

    def _renewed(self, recording: "Recording | Whole | Halves") -> bool:
        if recording.renew():
            self._misses = 0
            return True
        self._misses = min(self._misses + 1, _MOST_MISSES)
        self._pause = 2 ** (self._misses - 1) - 1
        return False


@dataclass(frozen=True)
class _Entry:
    """A parameter that the step updates; what chose its path, and the state that its job holds."""

    group: dict[str, Any]
    job: MatrixJob
    kind: tuple[Any, ...]
    state: dict[str, Any]
    names: tuple[str, ...]
    held: tuple[Tensor, ...]
    counter: Tensor


class Recording:
    """What a step has looked up, for the next one. Only the jobs' gradients, rates and counters change.

    Args:
        optimizer: The optimizer.
        batch: All that the step did, on the CPU: update and noise of every parameter with a gradient.
    """

    def __init__(self, optimizer: Optimizer, batch: MatrixBatch) -> None:
        self.batch = batch
        self._optimizer, self._around = optimizer, Around(optimizer)
        self._entries: list[_Entry] = []
        self._idle: list[Tensor] = []
        jobs = {id(job.theta): job for job in batch.jobs}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                job = jobs.get(id(parameter))
                if job is None:
                    self._idle.append(parameter)
                    continue
                assert job.rule is not None
                state = optimizer.state[parameter]
                used = {id(tensor) for tensor in (job.rule.first, job.rule.second, job.average)}
                # The numbers of a budget are views of one row.
                used |= {id(state[key]) for key in KEYS if job.budget is not None}
                names, held = zip(*((k, v) for k, v in state.items() if id(v) in used), strict=True)
                kind = _kind(parameter, parameter.grad)
                self._entries.append(_Entry(group, job, kind, state, names, held, state["step"]))
        self._counters = [entry.counter for entry in self._entries]
        self._one = torch.ones(())
        self.let_go()

    def renew(self) -> bool:
        """Give the jobs this step's gradients, rates and numbers.

        Returns:
            False where anything else is new; no tensor is changed.
        """
        if not self._fits():
            return False
        for entry in self._entries:
            job, state = entry.job, entry.state
            theta = job.theta
            grad = theta.grad
            if grad is None or _kind(theta, grad) != entry.kind or state["step"] is not entry.counter:
                return False
            if not all(map(is_, map(state.get, entry.names), entry.held)):
                return False
            if job.average is not None and not job.average.is_contiguous():
                return False
            step = int(entry.counter) + 1
            if not is_exact(entry.counter, step):
                return False
            job.grad, job.lr, job.step = grad, entry.group["lr"], step
        return True

    def run(self, telemetry: Telemetry) -> None:
        """Do the step."""
        sums, tally = self.batch.step()
        self.let_go()
        self.count()
        telemetry.again(sums, tally)

    def let_go(self) -> None:
        """Hold no gradient of the step that has been done: it would stay alive."""
        for entry in self._entries:
            entry.job.grad = _NO_GRADIENT

    def count(self) -> None:
        """Count the step, once it has been done."""
        # As torch does: a number would be wrapped into a tensor for every counter.
        torch._foreach_add_(self._counters, self._one, alpha=1.0)

    def _fits(self) -> bool:
        """Whether groups, settings and everything around the step are as they were."""
        optimizer = self._optimizer
        if any(getattr(optimizer, name, None) is not None for name in ("grad_scale", "found_inf")):
            return False
        return self._around.holds() and all(parameter.grad is None for parameter in self._idle)


def recorded(optimizer: Optimizer, batch: MatrixBatch, step: Step) -> "Recording | Whole | Halves | None":
    """A recording of a step; None where the next one has to be looked up.

    On the CPU that is where torch has updated other parameters.

    Args:
        optimizer: The optimizer.
        batch: All that the step's kernels did.
        step: The step.
    """
    if any(isinstance(value, Tensor) for values in settings(optimizer) for value in values):
        return None
    if isinstance(batch, DeviceBatch):
        return on_device_of(optimizer, batch, step.names_in(batch), step.whole)
    if not step.whole:
        return None
    done = {id(job.theta) for job in batch.jobs if job.theta.device.type == "cpu"}
    everything = (parameter for group in optimizer.param_groups for parameter in group["params"])
    whole = all(parameter.grad is None or id(parameter) in done for parameter in everything)
    return Recording(optimizer, batch) if whole else None


def _kind(parameter: Tensor, grad: Tensor | None) -> tuple[Any, ...]:
    """What the path of a job is chosen by, and the gradient's class, which may be a DTensor."""
    layout = None if grad is None else (type(grad), grad.dtype, grad.layout)
    return parameter.shape, parameter.dtype, parameter.device, layout
