"""Which values of tensors a training reads on the host: on an accelerator each read waits for the device."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from pats.run.losses import Reading
from pats.run.model import masks
from pats.run.trainer import RunTrainer


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells of every read (``item``, ``bool``, ``float``, ``if``) and where it was made."""

    def __init__(self, found: Callable[[torch.Tensor, str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            own = [frame for frame in traceback.extract_stack() if "/torch/" not in frame.filename][-2]
            self._found(args[0], f"{own.filename}:{own.lineno}")
        return func(*args, **(kwargs or {}))


def watch_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of the trainings to come: the steps that begin (``step 3``), losses read (``loss 2``), and other reads.

    Other reads count from the fourth step on: before, tables are made, also of what is constant until the
    first update. Counters of steps do not count: torch keeps them on the host. Nor does what is asked of a
    batch before it goes to the device.
    """
    events: list[str] = []
    training_step, run_epoch, value, padded = (
        RunTrainer.training_step,
        RunTrainer._run_epoch,
        Reading.value,
        masks.padded,
    )

    def step(self: RunTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        events.append(f"step {self.state.global_step + 1}")
        return training_step(self, *args, **kwargs)

    def loss(self: Reading) -> float:
        events.append(f"loss {self.step}")
        with _disable_current_modes():
            return value(self)

    def asked(batch: Any) -> bool | None:
        with _disable_current_modes():
            return padded(batch)

    def epoch(self: RunTrainer, *args: Any, **kwargs: Any) -> None:
        def found(tensor: torch.Tensor, where: str) -> None:
            optimizer: Any = getattr(self.optimizer, "optimizer", self.optimizer)
            counters = [
                state["step"] for state in optimizer.state.values() if torch.is_tensor(state.get("step"))
            ]
            if self.state.global_step > 2 and tensor.data_ptr() not in {one.data_ptr() for one in counters}:
                events.append(where)

        with _Reads(found):
            run_epoch(self, *args, **kwargs)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(RunTrainer, "training_step", step)
    monkeypatch.setattr(RunTrainer, "_run_epoch", epoch)
    monkeypatch.setattr(Reading, "value", loss)
    monkeypatch.setattr(masks, "padded", asked)
    return events
