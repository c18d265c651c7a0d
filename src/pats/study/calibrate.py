"""Seconds of a training step of one row of a study, measured on a model that is thrown away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from pats import methods
from pats.run import batches
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
    """Seconds of a step on one batch; the model's weights change.

    Args:
        run: The settings of the training.
        loaded: The model.
        method: The row's method.
        training: What the method may know.
        sample: Rows of the batch.
        threads: torch's threads; None leaves them.
        data: The task of the rows, which knows whether one may have several labels.
    """
    marks = data.marks(sample.label) if data is not None and data.multilabel and sample.label else None
    features = batches.encode(loaded.tokenizer, sample, loaded.max_length, training.regression, marks)
    inputs = batches.collator(loaded.tokenizer)(features[: run.batch_size])
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
            torch.autograd.backward(method.loss(batch))
            optimizer.step()
            method.stepped(loaded.model)
            optimizer.zero_grad()

        with method.attached(loaded.model, training, clock):
            return timed(step)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
