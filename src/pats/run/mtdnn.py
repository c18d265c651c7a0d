"""MT-DNN's training set-up (namisan/mt-dnn), on which the PATS paper says that it was built.

The repository has two eras, divided by a commit of 25 February 2022; the paper does not say which it used.
Era B is preset ``mtdnn``, era A's optimizer and schedule are in ``mtdnn-a``:

    optimizer  pats.optim.MTDNNAdamax
    schedule   x = k/T for the k-th step, from 0
               a:  x/w while x < w, then 1 - x: it falls from about 1 to 1 - w where warm-up ends
               b:  x/w, then (1 - x)/(1 - w); the warm-up wT is not rounded to whole steps
    decay      0.01 on all but biases and norms
    clipping   1.0, of the global norm
    head       dropout .1, a new layer with tanh, dropout, a new layer, on h[CLS]; all drawn by PyTorch's
               default. The second dropout is .1, on CoLA .05. The pretrained pooler is not used.
    batches    consecutive rows; their order is shuffled once and is the same in every epoch
    length     512 tokens; era B's shipped settings drop no example at that length

Batch size, epochs and warm-up are the PATS paper's: 32, 10, 0.1.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Sampler

from pats._errors import InputError
from pats.run.model import Loaded

SCHEDULES = ("mtdnn-a", "mtdnn-b")
DROPOUT, COLA_DROPOUT = 0.1, 0.05

# Inner layer with tanh behind it, outer layer, and the model's own dropout, by model type.
_BERT = ("bert.pooler.dense", "classifier", "dropout")
_ROBERTA = ("classifier.dense", "classifier.out_proj", "classifier.dropout")
_HEADS = {"bert": _BERT} | dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), _ROBERTA)


def factor(schedule: str, warmup: float, steps: int) -> Callable[[int], float]:
    """The learning rate's multiplier at step k, counted from 0.

    Args:
        schedule: ``"mtdnn-a"`` or ``"mtdnn-b"``.
        warmup: w, share of the steps.
        steps: T.
    """

    def at(k: int) -> float:
        x = k / steps
        if x < warmup:
            return x / warmup if schedule == "mtdnn-a" else k / max(1.0, warmup * steps)
        return max(0.0, 1 - x if schedule == "mtdnn-a" else (1 - x) / (1 - warmup))

    return at


class FixedBatches(Sampler[list[int]]):
    """Consecutive rows as batches, in one random order, the same in every epoch.

    Args:
        rows: Number of rows; the last batch may be smaller.
        size: Rows a batch.
        seed: Seed of the order of the batches.
    """

    def __init__(self, rows: int, size: int, seed: int) -> None:
        starts = torch.arange(0, rows, size)
        order = torch.randperm(len(starts), generator=torch.Generator().manual_seed(seed))
        self._batches = [list(range(start, min(start + size, rows))) for start in starts[order].tolist()]

    def __iter__(self) -> Iterator[list[int]]:
        yield from self._batches

    def __len__(self) -> int:
        return len(self._batches)


def with_head(loaded: Loaded, seed: int) -> Loaded:
    """The model with both layers of its head drawn anew, by PyTorch's default.

    Torch's global generators are not touched.

    Raises:
        InputError: The model's head has another form.
    """
    inner, outer, _ = _head(loaded.model)
    names = [f"{name}.{part}" for name in (inner, outer) for part in ("weight", "bias")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in (inner, outer):
            layer: Any = loaded.model.get_submodule(name)
            layer.reset_parameters()
    return replace(loaded, fresh=loaded.fresh | set(names))


@contextmanager
def head_dropout(model: nn.Module, task: str | None) -> Iterator[None]:
    """Within, dropout stands before both layers of the head in training, and nowhere else in it."""
    inner, outer, own = _head(model)
    rates = {inner: DROPOUT, outer: COLA_DROPOUT if task == "cola" else DROPOUT}
    handles = [
        model.get_submodule(name).register_forward_pre_hook(_dropped(rate)) for name, rate in rates.items()
    ]
    dropout: Any = model.get_submodule(own)
    before, dropout.p = dropout.p, 0.0
    try:
        yield
    finally:
        dropout.p = before
        for handle in handles:
            handle.remove()


def _dropped(rate: float) -> Callable[[nn.Module, tuple[Tensor, ...]], Tensor]:
    return lambda layer, args: functional.dropout(args[0], rate, layer.training)


def _head(model: nn.Module) -> tuple[str, str, str]:
    kind = str(getattr(model.config, "model_type", "none"))
    if kind not in _HEADS:
        raise InputError(
            f"the set-up of MT-DNN needs a head of two layers with tanh between them, which {kind!r} has "
            f"not: choose a model of type {', '.join(_HEADS)}, or --setup plain"
        )
    return _HEADS[kind]
