"""From texts to batches: subset, tokens, padding, and a model's scores."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from pats.run import ranks
from pats.run.model import masks
from pats.tasks import Split, TaskData

Feature = dict[str, Any]
Collate = Callable[[list[Feature]], dict[str, Tensor]]


def subset(split: Split, fraction: float, seed: int, regression: bool) -> Split:
    """A share of the examples, in their order; a smaller share is part of a larger one.

    Classes keep their shares: of every class the first ⌈fraction·n⌉ of one random order are taken.
    Scores are drawn without strata.

    Args:
        split: Labelled examples.
        fraction: Share in (0, 1]; 1 gives all.
        seed: Seed of the order.
        regression: The labels are scores.
    """
    if fraction == 1:
        return split
    order = np.random.default_rng(seed).permutation(len(split)).tolist()
    labels = split.label or ()
    strata: dict[float, list[int]] = {}
    for row in order:
        strata.setdefault(0.0 if regression else labels[row], []).append(row)
    # The small subtraction keeps 0.1·30 from counting as 3.0000000000000004.
    taken = (rows[: int(np.ceil(fraction * len(rows) - 1e-9))] for rows in strata.values())
    return split.take(sorted(row for rows in taken for row in rows))


def encode(
    tokenizer: PreTrainedTokenizerBase,
    split: Split,
    max_length: int,
    regression: bool,
    marks: NDArray[np.float32] | None = None,
) -> list[Feature]:
    """Tokens of every example, with ``labels`` where the split has them.

    The longer of two texts is truncated first. Nothing is padded here.

    Args:
        tokenizer: The model's.
        split: The examples.
        max_length: Longest input in tokens.
        regression: The labels are scores.
        marks: Where a text may have several labels, 0 and 1 for each, a row an example.
    """
    pair = list(split.text_pair) if split.text_pair is not None else None
    encoded = tokenizer(
        list(split.text), pair, truncation="longest_first", max_length=max_length, padding=False
    )
    features = [{key: values[row] for key, values in encoded.items()} for row in range(len(split))]
    if marks is not None:
        for feature, own in zip(features, marks.tolist(), strict=True):
            feature["labels"] = own
    elif split.label is not None:
        for feature, label in zip(features, split.label, strict=True):
            feature["labels"] = float(label) if regression else int(label)
    return features


def encode_of(
    tokenizer: PreTrainedTokenizerBase, data: TaskData, split: Split, max_length: int
) -> list[Feature]:
    """What ``encode`` gives of a split of a task, with the labels that its kind has."""
    marks = data.marks(split.label) if data.multilabel and split.label is not None else None
    return encode(tokenizer, split, max_length, data.regression, marks)


def collator(tokenizer: PreTrainedTokenizerBase) -> Collate:
    """Pads examples to the longest of their batch."""
    collate: Collate = DataCollatorWithPadding(tokenizer)
    return collate


def shuffled(
    features: Sequence[Feature], collate: Collate, batch_size: int, seed: int
) -> Iterator[dict[str, Tensor]]:
    """All examples once, in batches of one random order.

    Args:
        features: Encoded examples.
        collate: Pads a batch.
        batch_size: Examples a batch.
        seed: Seed of the order.
    """
    order = np.random.default_rng(seed).permutation(len(features)).tolist()
    for start in range(0, len(order), batch_size):
        yield collate([dict(features[row]) for row in order[start : start + batch_size]])


@torch.no_grad()
def scores(
    model: nn.Module,
    features: Sequence[Feature],
    collate: Collate,
    batch_size: int,
    in_bf16: bool = False,
) -> NDArray[np.float32]:
    """The model's outputs for every example, in the examples' order.

    Dropout is off; no random generator is used. Batches are made of examples of similar length. Several
    processes divide the batches among them, each with the same number of forward passes, since a sharded
    model computes on all of them together.

    Args:
        model: A sequence classifier; its mode is restored.
        features: Encoded examples; labels are ignored.
        collate: Pads a batch.
        batch_size: Examples a batch.
        in_bf16: Compute under bf16 autocast.

    Returns:
        float32 of shape (examples, outputs): logits, or the score for regression.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(features)), key=lambda row: -len(features[row]["input_ids"]))
    starts = list(range(0, len(order), batch_size))
    rounds = -(-len(starts) // ranks.count())
    own = [starts[(i * ranks.count() + ranks.rank()) % len(starts)] for i in range(rounds)]
    parts: dict[int, Tensor] = {}
    training = model.training
    model.eval()
    for start in own:
        rows = [dict(features[row]) for row in order[start : start + batch_size]]
        for row in rows:
            row.pop("labels", None)
        padded = collate(rows)
        batch = {key: _sent(value, device) for key, value in padded.items()}
        with masks.known(masks.padded(padded)), torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
            parts[start] = model(**batch).logits.float()
    model.train(training)
    parts = {start: part.cpu() for start, part in parts.items()}  # only now is the device waited for
    outputs = {start: part for each in ranks.every(parts) for start, part in each.items()}
    out = np.empty((len(order), outputs[0].shape[1]), np.float32)
    out[order] = torch.cat([outputs[start] for start in starts]).numpy()
    return out


def _sent(value: Tensor, device: torch.device) -> Tensor:
    """On the device; an accelerator goes on meanwhile with what it has to do."""
    return value if device.type == "cpu" else value.pin_memory().to(device, non_blocking=True)


def predictions(outputs: NDArray[np.float32], regression: bool) -> NDArray[Any]:
    """Class indices, or scores for regression, from a model's outputs."""
    return outputs[:, 0] if regression else outputs.argmax(axis=1)


def probabilities(outputs: NDArray[np.float32], several: bool = False) -> NDArray[np.float64]:
    """Softmax over the classes, or the sigmoid of each label where a text may have several; in float64."""
    if several:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * outputs.astype(np.float64))))
    shifted = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
    ratio: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return ratio
