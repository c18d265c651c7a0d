"""Seconds of a training step of one row of a study, measured on a model that is thrown away."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice
from statistics import fmean
from typing import Any

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from pats import methods
from pats.run import batches, environment
from pats.run.batches import Feature
from pats.run.model.classifier import Loaded
from pats.run.seeds import own_generators
from pats.run.spec import Run
from pats.study.estimate import timed
from pats.tasks import Split, TaskData


def seconds_of(
    run: Run,
    loaded: Loaded,
    method: methods.Method[Any],
    training: methods.Training,
    sample: Split,
    threads: int | None = None,
    data: TaskData | None = None,
) -> float:
    """Seconds of a step on a batch of usual length; the model's weights change.

    Args:
        run: The settings of the training.
        loaded: The model.
        method: The row's method.
        training: What the method may know.
        sample: Rows that the batch is taken from.
        threads: torch's threads; None leaves them.
        data: The task of the rows, which knows whether one may have several labels.
    """
    marks = data.marks(sample.label) if data is not None and data.multilabel and sample.label else None
    features = batches.encode(loaded.tokenizer, sample, loaded.max_length, training.regression, marks)
    batch, tokens = usual(features, run.batch_size)
    inputs = loaded.tokenizer.pad(batch, padding="max_length", max_length=tokens, return_tensors="pt")
    device = loaded.model.device
    in_bf16 = environment.bf16(run.precision, device)  # as the training will compute
    anchors = methods.anchors(loaded.model) if method.anchored else {}
    training = replace(training, anchors=anchors, batches=lambda: [inputs])
    clock = methods.PassClock()
    with own_generators(), _threads(threads), clock.attached(loaded.model):
        method.prepare_(loaded.model, training)
        optimizer = method.optimizer(loaded.model, training)
        loaded.model.train()

        def step() -> None:
            clock.begin(clock.step + 1)
            batch = methods.MicroBatch(loaded.model, inputs, clock, training.seed, training.regression)
            with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
                loss = method.loss(batch)
            torch.autograd.backward(loss)
            optimizer.step()
            method.stepped(loaded.model)
            optimizer.zero_grad()

        with method.attached(loaded.model, training, clock):
            return timed(step)


def usual(features: Sequence[Feature], size: int) -> tuple[list[Feature], int]:
    """A batch, and the tokens to pad it to so that it takes as long as a training's mean batch.

    A training's batches are of examples of similar length, each as long as its longest example.

    Args:
        features: Encoded examples.
        size: Examples a batch; all are taken where there are fewer.
    """
    lengths = [len(one["input_ids"]) for one in features]
    chance = torch.Generator().manual_seed(0)
    order = get_length_grouped_indices(lengths, size, generator=chance)  # type: ignore[no-untyped-call]
    tokens = round(
        fmean(max(lengths[row] for row in order[at : at + size]) for at in range(0, len(order), size))
    )
    short = [one for one, length in zip(features, lengths, strict=True) if length <= tokens]
    return list(islice(cycle(short), min(size, len(features)))), tokens


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
