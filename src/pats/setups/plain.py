"""The plain set-up: the model's own head, Trainer's batches, the usual optimizers and schedules."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from pats import _preset, optim
from pats._imports import try_import
from pats._noise import Noise
from pats.setups._optimizer import BaseOptimizer, Rates
from pats.setups._schedule import Schedule
from pats.setups._setup import Preset, Setup

_TABLE = {
    "epochs": _preset.EPOCHS,
    "min_steps": _preset.LEAST,
    "max_steps": _preset.MOST,
    "batch_size": _preset.BATCH,
    "evaluations": 6,
}
# The rates are of the paper's Table 3, from its middle up.
_COMPARED = {
    "lr_grid": (5e-5, 2e-4, 5e-4),
    "halving": 3,
    "control": False,
    "time_limit": 1200.0,
    "all_seeds": False,
}


class Plain(Setup):
    """Nothing is added. Its preset ``paper`` is the defaults of ``Run``; ``table`` is for few rows."""

    name = "plain"
    presets: ClassVar = {
        "paper": Preset("the paper's settings, the default for tasks", {}),
        "table": Preset(
            "150 to 1,500 steps, the default for a table; compare then also tunes the learning rate of each "
            "method in short trials, and takes at most 20 minutes",
            _TABLE,
            _COMPARED,
        ),
    }


class _Ours(BaseOptimizer):
    joins_noise = True
    cls: ClassVar[Callable[..., Optimizer]]

    def build(
        self, groups: ParamsT, rates: Rates, noise: Noise | None = None, foreach: bool | None = None
    ) -> Optimizer:
        """With the noise in the same step."""
        return type(self).cls(groups, **rates._asdict(), noise=noise, foreach=foreach)


class Adamax(_Ours):
    """torch's Adamax, the paper's optimizer."""

    name, family, cls = "adamax", "adamax", optim.Adamax


class AdamW(_Ours):
    """torch's AdamW."""

    name, family, cls = "adamw", "adamw", optim.AdamW


class _OfTrainer(Schedule):
    def factor(self, warmup: float, steps: int) -> Callable[[int], float]:
        """That of the scheduler which Trainer makes."""
        transformers: Any = try_import("transformers", "run")
        dummy = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        made = transformers.get_scheduler(self.of_trainer, dummy, math.ceil(steps * warmup), steps)
        factor: Callable[[int], float] = made.lr_lambdas[0]
        return factor


class Linear(_OfTrainer):
    """Up while warm-up lasts, then down to 0."""

    name, of_trainer = "linear", "linear"


class Constant(_OfTrainer):
    """Up while warm-up lasts, then level."""

    name, of_trainer = "constant", "constant_with_warmup"


class Cosine(_OfTrainer):
    """Up while warm-up lasts, then down to 0 along half a cosine."""

    name, of_trainer = "cosine", "cosine"
