"""``measure``: how the sensitivities of a fine-tuned model are distributed over its training data."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pats._errors import InputError
from pats.measure.distribution import Distribution
from pats.measure.sensitivity import sensitivity
from pats.measure.trained import MAX_LENGTH, title_of
from pats.run import batches, environment, targets
from pats.run.model import classifier, exported
from pats.run.outcome import kind
from pats.tasks import TaskData


@dataclass(frozen=True)
class Sensitivities:
    """What was measured of one model.

    Args:
        label: Its name in tables and figures.
        task: Name of the task.
        reduce: ``"batch"`` or ``"gradient"``, as in ``pats.sensitivity``.
        batches: Batches that were measured.
        batch_size: Examples a batch.
        scope: Which parameters.
        whole: Over all parameters in scope.
        by_layer: By number of the layer.
        by_kind: By kind of matrix, the number of the layer replaced by ``*``.
        environment: Versions and hardware.
    """

    label: str
    task: str
    reduce: str
    batches: int
    batch_size: int
    scope: str
    whole: Distribution
    by_layer: dict[str, Distribution]
    by_kind: dict[str, Distribution]
    environment: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the whole with its bins, layers and kinds with their summaries."""
        return {
            "label": self.label,
            "task": self.task,
            "reduce": self.reduce,
            "batches": self.batches,
            "batch_size": self.batch_size,
            "scope": self.scope,
            "whole": self.whole.to_dict(),
            "by_layer": {name: part.summary() for name, part in self.by_layer.items()},
            "by_kind": {name: part.summary() for name, part in self.by_kind.items()},
            "environment": self.environment,
        }


def measure(
    name: str,
    data: TaskData,
    *,
    label: str | None = None,
    count: int | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
    reduce: str = "batch",
    scope: str = "encoder",
    precision: str = "auto",
    seed: int = 0,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivities:
    """Measure Eq. 1 over the training set of a task, dropout off.

    The training set is taken in one random order that ``seed`` gives, in full batches; an incomplete last
    batch is left out where there is a full one, since a mean over batches would overrate its examples.
    Memory is the model, one tensor of the scope's size for the sums and one for the gradients, however
    many batches there are; the sums are then binned matrix by matrix.

    Args:
        name: A folder that ``pats run`` or ``pats compare`` exported, or any fine-tuned classifier.
        data: The task.
        label: Name of the model in figures; None is the folder's.
        count: Batches; None is the whole training set.
        batch_size: Examples a batch. With ``reduce="batch"`` the sensitivities depend on it.
        max_length: Longest input in tokens; None is what the model was trained with, else 128.
        reduce: As in ``pats.sensitivity``.
        scope: As in ``pats.scope``.
        precision: As in ``pats.Run``.
        seed: Seed of the order.
        on_batch: Called with the batches done and their number.

    Raises:
        InputError: The model cannot be loaded, was trained for other labels, or a number is out of range.
    """
    for what, number in (("batches", count), ("batch_size", batch_size), ("max_length", max_length)):
        if number is not None and number < 1:
            raise InputError(f"{what} is {number!r}, but must be a whole number from 1")
    loaded = classifier.load_trained(name)
    trained = classifier.labels_of(loaded.model)
    if trained != data.labels:
        raise InputError(
            f"the model {name!r} was trained for {_classes(trained)}, but the task {data.name!r} has "
            f"{_classes(data.labels)}: name the task that it was trained on"
        )
    mark = exported.read_mark(Path(name)) or {}
    length = min(max_length or int(mark.get("max_length", MAX_LENGTH)), loaded.max_length)
    train = data.splits["train"]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).tolist()
    full = max(len(train) // batch_size, 1)
    total = min(count or full, full)
    rows = train.take(order[: total * batch_size])
    learned = targets.of_model(mark)
    learned.out_of_(loaded.model)  # the loss is that of its training, whatever the unit of the scores
    features = batches.encode_of(loaded.tokenizer, data, learned.learned(rows), length)
    collate = batches.collator(loaded.tokenizer)
    device = environment.device()
    in_bf16 = environment.bf16(precision, device)
    network: nn.Module = loaded.model
    network.to(device).eval()

    def pieces() -> Iterator[dict[str, Tensor]]:
        for number in range(total):
            batch = collate(features[number * batch_size : (number + 1) * batch_size])
            yield {key: value.to(device) for key, value in batch.items()}
            on_batch(number + 1, total)

    def loss(module: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
            mean: Tensor = module(**batch).loss
        return mean

    sensitivities = sensitivity(network, pieces(), loss, reduce, scope)
    whole = Distribution()
    by_layer: dict[str, Distribution] = {}
    by_kind: dict[str, Distribution] = {}
    while sensitivities:
        parameter, values = sensitivities.popitem()
        part = Distribution()
        part.add(values)
        whole += part
        for groups, key in ((by_layer, _layer(parameter)), (by_kind, kind(parameter))):
            if key is not None:
                groups.setdefault(key, Distribution()).__iadd__(part)
    return Sensitivities(
        label or title_of(name),
        data.name,
        reduce,
        total,
        batch_size,
        scope,
        whole,
        dict(sorted(by_layer.items(), key=lambda item: int(item[0]))),
        dict(reversed(by_kind.items())),
        environment.describe(device, in_bf16),
    )


def _layer(name: str) -> str | None:
    """The first number in a parameter's name: its layer."""
    number = re.search(r"(?<=\.)\d+(?=\.)", name)
    return number and number.group()


def _classes(labels: tuple[str, ...]) -> str:
    return f"the classes {', '.join(labels)}" if labels else "a score"
