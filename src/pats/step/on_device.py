"""Steps on a device that were recorded: whole ones of ``pats.optim``, and the halves around a base update.

Beside the jobs' gradients, learning rates and counters nothing is new, so that the plan of the kernels is
used as it is: the host looks whether that holds (``pats.step.again``), sends one buffer and launches.
"""

from itertools import repeat
from operator import attrgetter, is_

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim import Optimizer

from pats.kernels import DeviceBatch
from pats.kernels.job import MatrixJob, capturing
from pats.kernels.triton import head_of
from pats.kernels.triton.moving import Words
from pats.kernels.triton.plan import Plan, stream_of, word
from pats.step.again import Around, Counters, Tensors
from pats.step.ledger import Ledger
from pats.step.state import SENSITIVITY, on_device
from pats.step.telemetry import Telemetry

_NO_GRADIENT = torch.empty(0)
_grad = attrgetter("grad")


class _Recorded:
    """What both kinds of step have in common.

    Args:
        optimizer: The optimizer.
        batch: The jobs that the kernels do.
        plan: Their plan.
        names: Of the jobs with noise, which come first.
    """

    def __init__(self, optimizer: Optimizer, batch: DeviceBatch, plan: Plan, names: tuple[str, ...]) -> None:
        self._optimizer, self._batch, self._plan, self._names = optimizer, batch, plan, names
        self._device = batch.jobs[0].theta.device
        self._stream = stream_of(self._device)
        self._around = Around(optimizer)
        jobs = {id(job.theta): job for job in batch.jobs}
        others = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in jobs]
        self._idle = [parameter for parameter in others if parameter.grad is None]
        stepped = [job.theta for job in batch.jobs]
        stepped += [parameter for parameter in others if parameter.grad is not None]
        place = {
            id(parameter): number
            for number, group in enumerate(optimizer.param_groups)
            for parameter in group["params"]
        }
        self._group_of = torch.tensor([place[id(job.theta)] for job in batch.jobs])
        counters = [optimizer.state[job.theta]["step"] for job in batch.jobs]
        self._counters = Counters(counters) if Counters.fit(counters) else None
        self._words = Words(len(counters))
        self._tensors = Tensors(optimizer, stepped, self._words.grads, plan.low)
        self._read_there = counters if self._counters is None else []
        # Their places are compared at every step (``Tensors``), so the addresses hold as long as the rest.
        words = [word(counter, self._device) for counter in self._read_there] or [(0.0, 0)] * len(counters)
        self._words.steps.copy_(torch.tensor([step for step, _ in words], dtype=torch.float64))
        self._step_width = 16 * words[0][1]
        self._rates: list[tuple[float, int]] = []
        self._thetas = [job.theta for job in batch.jobs]
        self.let_go()

    def let_go(self) -> None:
        """Hold no gradient of the step that has been done: it would stay alive."""
        for job in self._batch.jobs:
            job.grad = _NO_GRADIENT

    def _take(self) -> bool:
        """Take the addresses of this step's gradients; False where anything else is new."""
        if capturing(self._device) or stream_of(self._device) != self._stream or not self._around.holds():
            return False
        if not all(map(is_, map(_grad, self._idle), repeat(None))):
            return False
        return self._tensors.take_grads()

    def _take_rates(self) -> bool:
        """Take the learning rates; False where they are those that were taken last."""
        rates = [word(group["lr"], self._device) for group in self._optimizer.param_groups]
        if rates == self._rates:
            return False
        self._rates = rates
        lrs, widths = torch.tensor(rates, dtype=torch.float64).T[:, self._group_of]
        self._words.lrs.copy_(lrs)
        self._words.widths.copy_(widths + self._step_width)
        return True

    def _counts(self, telemetry: Telemetry) -> Tensor:
        return telemetry.counts(self._names, self._device)


class Whole(_Recorded):
    """Update and noise of every parameter with a gradient, in one go."""

    def renew(self) -> bool:
        """Take this step's gradients, rates and numbers.

        Returns:
            False where anything else is new; no tensor is changed.
        """
        optimizer = self._optimizer
        if any(getattr(optimizer, name, None) is not None for name in ("grad_scale", "found_inf")):
            return False
        if not self._take():
            return False
        if self._counters is not None and not self._counters.read(self._words.steps, 1.0):
            return False
        self._take_rates()
        return True

    def run(self, telemetry: Telemetry) -> None:
        """Do the step."""
        if self._counters is None:
            torch._foreach_add_(self._read_there, 1)
        self._plan.send(self._words)
        sums = self._plan.measure(total=False)
        tally = self._plan.update(None, self._counts(telemetry))
        if self._counters is not None:
            self._counters.count()
        increment_version(self._thetas)  # of nothing else: autograd saves no state of an optimizer
        telemetry.again(sums, tally)


class Halves(_Recorded):
    """Sensitivities before the base update, and noise after it: in the place of a ``Step``."""

    def __init__(self, optimizer: Optimizer, batch: DeviceBatch, plan: Plan, names: tuple[str, ...]) -> None:
        super().__init__(optimizer, batch, plan, names)
        self._states = [optimizer.state[job.theta] for job in batch.jobs]
        self._after = torch.empty_like(self._words.steps)
        self._measured = False

    def renew(self) -> bool:
        """Whether the first half can be done, and do it.

        Returns:
            False where it has to be looked up; no tensor is changed.
        """
        optimizer = self._optimizer
        self._found_inf = getattr(optimizer, "found_inf", None)
        scale = getattr(optimizer, "grad_scale", None)
        if self._found_inf is not None and (self._counters is not None or not on_device(self._found_inf)):
            return False
        if not self._take():
            return False
        # The noise's step is the next one, whether the base optimizer counts or not.
        if self._counters is not None and not self._counters.read(self._words.steps, 1.0):
            return False
        self._held: list[Tensor] = []  # what the launches read until the step is over
        self._words.begin(head_of(1.0 if scale is None else scale, self._found_inf, self._held))
        self._take_rates()
        self._plan.send(self._words)
        self._sums = self._plan.measure(total=True)
        self._measured = True
        return True

    def fused_job_of(self, parameter: Tensor) -> MatrixJob | None:
        """The job of a parameter whose base update its path does: there is none."""
        return None

    def perturb(self, ledger: Ledger, telemetry: Telemetry) -> None:
        """Do the second half; see ``pats.step.step.Step``."""
        if not self._measured:
            raise RuntimeError("a step is measured once and perturbed once: this one is over")
        self._measured = False
        counts, counted = self._counts(telemetry), self._count()
        if counted is not None and self._tensors.hold_after():
            if self._take_rates() or not counted or self._plan.sent is not self._words:
                self._plan.send(self._words)
            tally = self._plan.update(self._sums, counts)
            increment_version(self._thetas)
        else:
            tally = self._looked_up(counts)
        self._held.clear()
        telemetry.again(self._sums, tally)

    def _count(self) -> bool | None:
        """Count where the base optimizer did not.

        Returns:
            Whether the steps are those that were sent; None where they have to be looked up.
        """
        if self._counters is None:
            return True
        sent = self._words.steps
        if not self._counters.read(self._after):
            return None
        if torch.equal(self._after, sent):
            return True
        ours = torch.eq(self._after, sent - 1.0).double()
        if ours.any():
            self._counters.count(ours)
        self._after += ours
        as_sent = torch.equal(self._after, sent)
        sent.copy_(self._after)
        return as_sent

    def _looked_up(self, counts: Tensor) -> Tensor:
        """The second half where the base optimizer has replaced tensors."""
        for job, state in zip(self._batch.jobs, self._states, strict=True):
            assert job.theta.grad is not None
            counter = state["step"]
            job.grad, job.average = job.theta.grad, state[SENSITIVITY]
            job.step = counter if on_device(counter) else int(counter)
        for job, group in zip(self._batch.jobs, self._group_of.tolist(), strict=True):
            job.lr = self._optimizer.param_groups[group]["lr"]
        tally = self._batch.perturb(self._sums, self._found_inf, counts)
        self.let_go()
        return tally


def on_device_of(
    optimizer: Optimizer, batch: DeviceBatch, names: tuple[str, ...], whole: bool
) -> Whole | Halves | None:
    """A recording of a step that has been done; None where the next one has to be looked up.

    Args:
        optimizer: The optimizer.
        batch: All that the kernels did.
        names: Of the jobs with noise, which come first.
        whole: Whether that was the base update, too.
    """
    plan = batch.plans.last
    parameters = {id(p): p for group in optimizer.param_groups for p in group["params"]}
    if plan is None or not plan.kept or capturing(batch.jobs[0].theta.device):
        return None
    if not all(job.grad.is_contiguous() for job in batch.jobs):
        return None  # they were worked on in copies
    if not all(is_(parameters.get(id(job.theta)), job.theta) for job in batch.jobs):
        return None  # shards
    states = [optimizer.state[job.theta] for job in batch.jobs]
    counters = [state.get("step") for state in states]
    if not Counters.fit(counters) and not all(map(on_device, counters)):
        return None
    if whole:
        done = {id(job.theta) for job in batch.jobs}
        if any(p.grad is not None and key not in done for key, p in parameters.items()):
            return None
    return (Whole if whole else Halves)(optimizer, batch, plan, names)
