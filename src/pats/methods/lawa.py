"""LAWA: plain training, of which the mean of the weights at the last evaluations is evaluated and exported.

Kaddour, "Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging",
2022: at the end of every epoch, the mean of the weights at the ends of the last k epochs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pats.methods import _options
from pats.methods._batch import PassClock
from pats.methods._method import Method, Training
from pats.methods._weights import mean, swapped, trainable


@dataclass(frozen=True)
class LAWAOptions:
    """Options of LAWA.

    Args:
        last: k ≥ 1: how many of the last evaluations, by default one an epoch, are averaged; all of them
            while there are fewer. 1 is plain fine-tuning.
    """

    last: int = _options.option(3, "a whole number from 1", lambda value: value >= 1, source="ours")


class LAWA(Method[LAWAOptions]):
    """The optimizer's steps are plain fine-tuning's to the bit; dev scores are those of the mean.

    The mean is of the trainable parameters. Frozen ones and buffers are evaluated as they are.
    """

    name = "lawa"
    summary = "evaluates and exports the mean of the weights of the last epochs"
    sentence = "LAWA (the mean of the weights of the last epochs, Kaddour 2022)"
    source = "Kaddour, 2022"
    changes = ("evaluation",)
    cost = "none in training; k copies of the weights in the host's memory, and in each checkpoint"
    Options = LAWAOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._latest: list[dict[str, Tensor]] = []

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Start without any weights, and let go of them at the end."""
        self._latest = []
        yield
        self._latest = []

    def stepped(self, model: nn.Module) -> None:
        """Only look whether the model is one whose weights can be kept, before an epoch has gone by."""
        trainable(model, self.name)

    @contextmanager
    def evaluated(self, model: nn.Module) -> Iterator[None]:
        """With the mean of these weights and the latest ones in their place."""
        named = trainable(model, self.name)
        own = {name: parameter.detach().to("cpu", copy=True) for name, parameter in named.items()}
        self._latest = [*self._latest, own][-self.options.last :]
        with swapped(named, mean(self._latest)):
            yield

    def state(self) -> dict[str, Tensor]:
        """The latest weights, numbered from the oldest."""
        return {f"{number}/{name}": w for number, own in enumerate(self._latest) for name, w in own.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the latest weights of the checkpoint."""
        by_number: dict[int, dict[str, Tensor]] = {}
        for key, weight in state.items():
            number, _, name = key.partition("/")
            by_number.setdefault(int(number), {})[name] = weight
        self._latest = [by_number[number] for number in sorted(by_number)]
