"""What a model learns of a table's scores: the scores as they are, or with mean 0 and spread 1.

The outputs of a fresh head are about 0, and a step of Adam's kind moves each weight by about the learning
rate, whatever the loss. Scores about 70 are out of its reach, and so are differences of 0.01 among scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from pats.run.model import exported
from pats.run.model.classifier import Loaded
from pats.run.model.head import is_fresh, output_layer, start_at_
from pats.run.spec import STANDARDIZED, Run
from pats.tasks import Split, TaskData


@dataclass(frozen=True)
class Targets:
    """The model learns (score - mean) / spread; all that leaves it is in the unit of the scores.

    Args:
        mean: In the unit of the scores.
        spread: The same, above 0.
    """

    mean: float = 0.0
    spread: float = 1.0

    @property
    def raw(self) -> bool:
        """The model learns the scores as they are."""
        return self == Targets()

    def learned(self, split: Split) -> Split:
        """The split with what the model learns of its scores."""
        if self.raw or split.label is None:
            return split
        return replace(split, label=tuple((score - self.mean) / self.spread for score in split.label))

    def restored(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """A model's outputs in the unit of the scores."""
        if self.raw:
            return outputs
        return np.asarray(self.mean + self.spread * outputs.astype(np.float64), np.float32)

    @torch.no_grad()
    def out_of_(self, model: PreTrainedModel) -> None:
        """Let a model that gives the scores give what was learned of them."""
        found = None if self.raw else output_layer(model)
        if found is None:
            return
        layer = found[1]
        layer.weight.div_(self.spread)
        if layer.bias is not None:
            layer.bias.sub_(self.mean).div_(self.spread)

    def exported(self, model: PreTrainedModel, weights: dict[str, Any] | None) -> dict[str, Any] | None:
        """Weights with which a model that gives what was learned gives the scores.

        Args:
            model: The model; it stays as it is.
            weights: Its weights, none of them on a process that does not write; None takes its own.
        """
        found = None if self.raw else output_layer(model)
        if found is None:
            return weights
        given = dict(model.state_dict() if weights is None else weights)
        for name, shift in ((f"{found[0]}.weight", 0.0), (f"{found[0]}.bias", self.mean)):
            if name in given:
                given[name] = given[name] * self.spread + shift
        return given


def of(scores: Sequence[float], centred: bool = True) -> Targets:
    """With mean 0 and spread 1, or, where the mean has to stay, with a mean square of 1.

    Args:
        scores: Those of the training examples; of equal ones the spread counts as 1.
        centred: Take the mean off.
    """
    values = np.asarray(scores, np.float64)
    if centred and values.min() == values.max():
        return Targets(float(values[0]))
    mean = float(values.mean()) if centred else 0.0
    return Targets(mean, float(np.sqrt(np.mean((values - mean) ** 2))) or 1.0)


def of_model(mark: Mapping[str, Any] | None) -> Targets:
    """What an exported model had learned of the scores, as the file beside its weights says."""
    told = (mark or {}).get("targets")
    return Targets(**told) if isinstance(told, dict) else Targets()


def begin_(run: Run, data: TaskData, loaded: Loaded, train: Split) -> Targets:
    """Start the last layer where it has least to learn, and tell what the model learns of the scores.

    A fresh head for several labels starts at their shares. A head that a run of PATS trained on standardized
    scores starts with what it had learned, whatever its unit was. Without a bias in its last layer a model
    cannot add the mean, which therefore stays. A head of another form learns the scores as they are.

    Args:
        run: Its settings.
        data: Its task.
        loaded: The model; its last layer may be changed in place.
        train: The examples that it trains on.
    """
    found = output_layer(loaded.model)
    if found is None:
        return Targets()
    layer = found[1]
    fresh = is_fresh(loaded.model, layer, loaded.fresh)
    if data.multilabel and fresh:
        marks = data.marks(train.label or ())
        start_at_(layer, (marks.sum(axis=0) + 0.5) / (len(marks) + 1))
    if run.targets != STANDARDIZED:
        return Targets()
    if not fresh:
        of_model(exported.read_mark(Path(run.model))).out_of_(loaded.model)
    return of(train.label or (), layer.bias is not None)


@contextmanager
def begun(run: Run, data: TaskData, loaded: Loaded, train: Split) -> Iterator[Targets]:
    """What ``begin_`` gives; afterwards the model is as it was."""
    found = output_layer(loaded.model)
    kept = None if found is None else deepcopy(found[1].state_dict())
    try:
        yield begin_(run, data, loaded, train)
    finally:
        if found is not None and kept is not None:
            found[1].load_state_dict(kept)
