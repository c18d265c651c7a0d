"""EMA: plain training, whose moving average of the weights is evaluated and exported.

Polyak & Juditsky 1992 average all iterates alike; deep learning takes an exponential average, after every
optimizer step t = 1, 2, ...:

    θ̄_t = θ̄_{t-1} + (1 - β_t)·(θ_t - θ̄_{t-1}),     θ̄_0 = θ_0

    warmup    β_t = min(β, (1 + t)/(10 + t))         TensorFlow's ExponentialMovingAverage with num_updates
    debias    β_t = β·(1 - β^{t-1})/(1 - β^t)        that of zeros, divided by 1 - β^t; θ_0 counts for nothing
    none      β_t = β                                torch.optim.swa_utils.get_ema_multi_avg_fn
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pats._noise import state_dtype
from pats._scope import named_parameters
from pats.methods import _options
from pats.methods._batch import PassClock
from pats.methods._method import Method, Training
from pats.methods._weights import swapped, trainable


@dataclass(frozen=True)
class EMAOptions:
    """Options of EMA.

    Args:
        decay: β in [0, 1): the average reaches back over about 1/(1 - β) steps; 0 is plain fine-tuning.
        correction: What keeps the start of the training from counting too much in a short run.
            ``"warmup"`` lets the average reach back over a ninth of the steps so far, as long as that is less
            than the decay says, so that one setting fits runs of any length. ``"debias"`` averages over all
            steps so far, with the weights that the decay gives them. ``"none"`` starts from the pretrained
            weights and moves away from them slowly.
    """

    decay: float = _options.option(
        0.999, "at least 0 and below 1", lambda value: 0 <= value < 1, source="torch's default"
    )
    correction: str = _options.choice("warmup", "debias", "none", source="ours; torch's is none")


class EMA(Method[EMAOptions]):
    """The optimizer's steps are plain fine-tuning's to the bit; dev scores are those of the average.

    The average is of the trainable parameters. Frozen ones and buffers are evaluated as they are.
    """

    name = "ema"
    summary = "evaluates and exports a moving average of the weights"
    sentence = "EMA (an exponential moving average of the weights, after Polyak & Juditsky 1992)"
    source = "Polyak & Juditsky, 1992"
    changes = ("evaluation",)
    cost = "one float32 a parameter, two while it is evaluated, one pass over the parameters a step"
    Options = EMAOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.average: dict[str, Tensor] = {}
        self._steps = 0

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Start from the weights as they are."""
        self._steps = 0
        self.average = {
            name: parameter.detach().to(state_dtype(parameter), copy=True)
            for name, parameter in named_parameters(model).items()
        }
        yield

    @torch.no_grad()
    def stepped(self, model: nn.Module) -> None:
        """Move the average towards the weights."""
        named = trainable(model, self.name)
        self._steps += 1
        averages = [self.average[name] for name in named]
        newest = [p.detach().to(average) for p, average in zip(named.values(), averages, strict=True)]
        torch._foreach_lerp_(averages, newest, share(self._steps, self.options))

    def evaluated(self, model: nn.Module) -> Any:
        """With the average in the weights' place."""
        return swapped(trainable(model, self.name), self.average)

    def state(self) -> dict[str, Tensor]:
        """The average, and how many steps are in it."""
        return {**self.average, ".steps": torch.tensor(self._steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the average of the checkpoint."""
        self._steps = int(state[".steps"])
        for name, average in self.average.items():
            average.copy_(state[name])


def share(t: int, options: EMAOptions) -> float:
    """1 - β_t, the share of the newest weights after ``t`` steps."""
    decay = options.decay
    if options.correction == "warmup":
        return 1 - min(decay, (1 + t) / (10 + t))
    if options.correction == "debias":
        return (1 - decay) / (1 - decay**t)
    return 1 - decay
