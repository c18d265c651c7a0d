"""A trained model to use: what it reads, what it answers, and its scores.

``predict``, ``serve``, ``explain`` and ``export-onnx`` all load a model here, so they cannot disagree about
its columns, its longest input or its temperature.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pats._errors import InputError
from pats.run import batches, environment
from pats.run.folder.files import MARK, MODEL
from pats.run.model import classifier, exported, simple
from pats.tasks import Split, multilabel
from pats.tasks.columns import Text, text_of

MAX_LENGTH = 128  # of a model that was not exported by PATS

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """What the training stored about a model.

    Args:
        name: The model as the user named it, for messages.
        labels: The classes, in the order of the scores; empty for regression.
        columns: The training's text columns by ``"text"`` and ``"text_pair"``; those that are not known are
            not there.
        pair: Whether it reads two texts; None where nothing says so.
        max_length: Longest input in tokens.
        temperature: What the outputs are divided by before they become probabilities.
        about: All of ``pats.json``; empty for a model that PATS did not export.
        thresholds: Where a text may have several labels, from which probability on it gets each; else empty.
    """

    name: str
    labels: tuple[str, ...]
    columns: Mapping[str, Text]
    pair: bool | None
    max_length: int
    temperature: float
    about: Mapping[str, Any]
    thresholds: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """One of ``pats.tasks.labels.KINDS``."""
        if self.thresholds:
            return multilabel.KIND
        return "classification" if self.labels else "regression"

    @property
    def title(self) -> str:
        """The model's name without the path to it."""
        return title_of(self.name)


class Trained(Protocol):
    """A model that answers."""

    @property
    def facts(self) -> Facts:
        """What is known about it."""

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, batch_size: int = 32
    ) -> Scores:
        """Scores of shape (texts, classes): probabilities; for regression (texts, 1)."""


@dataclass(frozen=True)
class Encoder:
    """A fine-tuned sequence classifier of transformers."""

    facts: Facts
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, batch_size: int = 32
    ) -> Scores:
        """Scores of texts; the batch size does not change them beyond rounding."""
        if not texts:
            return np.empty((0, len(self.facts.labels) or 1))
        split = Split(tuple(texts), None if pairs is None else tuple(pairs))
        features = batches.encode(self.tokenizer, split, self.facts.max_length, regression=False)
        module: nn.Module = self.model
        outputs = batches.scores(module, features, batches.collator(self.tokenizer), batch_size)
        if not self.facts.labels:
            return outputs.astype(np.float64)
        scaled = outputs / np.float32(self.facts.temperature)
        return batches.probabilities(scaled, bool(self.facts.thresholds))


@dataclass(frozen=True)
class SimpleModel:
    """A model that is no network, such as TF-IDF with logistic regression."""

    facts: Facts
    model: simple.Simple

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, batch_size: int = 32
    ) -> Scores:
        """Scores of texts, which are taken all at once."""
        if not texts:
            return np.empty((0, len(self.facts.labels) or 1))
        return self.model.predict(texts, pairs)[0]


def load_model(folder: str | Path) -> Trained:
    """Load a model to use.

    Args:
        folder: What ``pats run`` or ``pats compare`` exported, or the folder of such a run or comparison on
            one task; or another fine-tuned sequence classifier.

    Raises:
        InputError: There is no trained model, or what is stored about it does not make sense.
    """
    name = _chosen(folder)
    if not simple.is_simple(name):
        return load_encoder(name)
    model = simple.load_simple(name)
    about = exported.read_mark(Path(name)) or {}
    facts = replace(
        _facts(name, model.labels, about, sys.maxsize),
        temperature=model.temperature,
        pair=model.pair,
        thresholds=model.thresholds,
    )
    return SimpleModel(facts, model)


def load_encoder(folder: str | Path) -> Encoder:
    """Load a fine-tuned sequence classifier, onto this machine's device.

    Raises:
        InputError: As ``load_model``; or the model is no network.
    """
    name = _chosen(folder)
    if simple.is_simple(name):
        raise InputError(
            f"the model {name!r} is a simple one and no network, so it has neither gradients nor a graph to "
            "export: use pats predict or pats serve, which read it as any other"
        )
    loaded = classifier.load_trained(name)
    about = exported.read_mark(Path(name)) or {}
    labels = classifier.labels_of(loaded.model)
    if len(set(labels)) < len(labels):
        raise InputError(f"config.json of the model {name!r} names two classes alike: give each its own name")
    facts = _facts(name, labels, about, loaded.max_length)
    if loaded.model.config.problem_type == classifier.SEVERAL:
        facts = replace(facts, thresholds=thresholds(name, about, len(labels)))
    module: nn.Module = loaded.model
    module.to(environment.device()).eval()
    return Encoder(facts, loaded.model, loaded.tokenizer)


def title_of(folder: str) -> str:
    """A model's name: its folder's, or that of the run which holds a folder ``model``."""
    path = Path(folder)
    return path.parent.name if path.name == MODEL and path.parent.name else path.name


def _chosen(folder: str | Path) -> str:
    """A model's folder: of a run or a comparison, that of the model it exported."""
    inner = Path(folder) / MODEL
    return str(inner if (inner / MARK).is_file() else folder)


def _facts(name: str, labels: tuple[str, ...], about: Mapping[str, Any], longest: int) -> Facts:
    stored = about.get("max_length", MAX_LENGTH)
    if type(stored) is not int or stored < 1:
        raise _senseless(name, "max_length", stored, "a whole number from 1")
    pair = about.get("pair")
    if pair is not None and not isinstance(pair, bool):
        raise _senseless(name, "pair", pair, "true or false")
    columns = {
        key: _column(name, key, about[key]) for key in ("text", "text_pair") if about.get(key) is not None
    }
    return Facts(name, labels, columns, pair, min(stored, longest), temperature(name, about), about)


def _column(name: str, key: str, stored: Any) -> Text:
    """A column, or several that are joined; another one would give wrong answers without a word."""
    if stored and isinstance(stored, str | list) and all(isinstance(one, str) for one in stored):
        return text_of(stored)
    raise _senseless(name, key, stored, "the name of a column, or several")


def temperature(name: str, about: Mapping[str, Any]) -> float:
    """The temperature that is stored with a model; 1 where none is.

    Raises:
        InputError: It is no number above 0.
    """
    stored = about.get("temperature", 1.0)
    if isinstance(stored, bool) or not isinstance(stored, int | float) or not 1e-3 <= stored <= 1e3:
        raise _senseless(name, "temperature", stored, "a number from 0.001 to 1000")
    return float(stored)


def thresholds(name: str, about: Mapping[str, Any], labels: int) -> tuple[float, ...]:
    """The thresholds that are stored with a model of several labels; 0.5 for each where none are.

    Raises:
        InputError: They are no probabilities, one for each label.
    """
    stored = about.get("thresholds", [0.5] * labels)
    fine = isinstance(stored, list) and len(stored) == labels
    if not fine or not all(isinstance(one, float) and 0 < one < 1 for one in stored):
        raise _senseless(name, "thresholds", stored, "a number between 0 and 1 for every label")
    return tuple(stored)


def _senseless(name: str, key: str, value: Any, allowed: str) -> InputError:
    return InputError(
        f"pats.json of the model {name!r} says {key} = {value!r:.40}, but that must be {allowed}: export the "
        "model again"
    )
