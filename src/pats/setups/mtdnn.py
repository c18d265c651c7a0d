"""MT-DNN's training set-up (namisan/mt-dnn). The PATS paper says that it was built on this code.

The repository has two eras, divided by a commit of 25 February 2022; the paper does not say which it used.
Era B is preset ``mtdnn``, era A's optimizer and schedule are in ``mtdnn-a``:

    optimizer  pats.optim.MTDNNAdamax
    schedule   x = k/T for the k-th step, from 0
               a:  x/w while x < w, then 1 - x: it falls from about 1 to 1 - w where warm-up ends
               b:  x/w, then (1 - x)/(1 - w); the warm-up wT is not rounded to whole steps
    decay      0.01 on all but biases and norms
    clipping   1.0, of the global norm
    head       dropout .1, a new layer, dropout, a new layer, on h[CLS]; all drawn by PyTorch's
               default. The second dropout is .1, on CoLA .05. The pretrained pooler is not used.
               No tanh: module/common.py asks for "nn.tanh" without nn, and falls back on the identity.
    batches    consecutive rows; their order is shuffled once and is the same in every epoch
    length     512 tokens; era B's shipped settings drop no example at that length

Batch size, epochs and warm-up are the PATS paper's: 32, 10, 0.1.

Transformers' classes have a tanh between the two layers, which a saved model brings with it. Here it acts
on SMALL times its input, and what comes out is divided by SMALL: tanh(SMALL·x)/SMALL is x to the rounding
of float32 where |x| is about 1, and to 1e-6 of x where it is 7. ``plain_head`` does this around a model,
``folded`` puts it into the weights of one that is exported.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT
from torch.utils.data import Sampler

from pats._errors import InputError
from pats._noise import Noise
from pats.optim import MTDNNAdamax
from pats.setups._optimizer import BaseOptimizer, Rates
from pats.setups._schedule import Schedule
from pats.setups._setup import Preset, Setup

DROPOUT, COLA_DROPOUT = 0.1, 0.05
SMALL = 2.0**-12  # a power of two, so that no bit is lost

# Inner layer, outer layer, and the model's own dropout, by model type.
_BERT = ("bert.pooler.dense", "classifier", "dropout")
_ROBERTA = ("classifier.dense", "classifier.out_proj", "classifier.dropout")
_HEADS = {"bert": _BERT} | dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), _ROBERTA)


def _preset(era: str) -> dict[str, Any]:
    return {"setup": "mtdnn", "weight_decay": 0.01, "max_length": 512, "optimizer": era, "schedule": era}


class MTDNN(Setup):
    """Head, dropout and batches as MT-DNN's code."""

    name = "mtdnn"
    presets: ClassVar = {
        "mtdnn": Preset("the set-up of MT-DNN's code, on which PATS was built", _preset("mtdnn-b")),
        "mtdnn-a": Preset("with the optimizer and schedule from before February 2022", _preset("mtdnn-a")),
    }

    def draw_(self, model: nn.Module, seed: int) -> frozenset[str]:
        """Both layers of the head."""
        return draw_head_(model, seed)

    def batches(self, rows: int, size: int, seed: int) -> Sampler[list[int]]:
        """The same in every epoch."""
        return FixedBatches(rows, size, seed)

    def attached(self, model: nn.Module, task: str | None) -> AbstractContextManager[None]:
        """No tanh, and dropout of its own."""
        return plain_head(model, task)

    def exported(self, model: nn.Module, weights: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """Those of a head whose tanh does nothing."""
        return folded(model, weights)


class _Adamax(BaseOptimizer):
    family = "adamax"
    era: ClassVar[str]

    def build(
        self, groups: ParamsT, rates: Rates, noise: Noise | None = None, foreach: bool | None = None
    ) -> Optimizer:
        """With the era's own ε; one parameter after the other, without noise."""
        own = {name: value for name, value in rates._asdict().items() if name != "eps"}
        return MTDNNAdamax(groups, era=self.era, **own)


class AdamaxA(_Adamax):
    """MT-DNN's Adamax until February 2022."""

    name, era = "mtdnn-a", "a"


class AdamaxB(_Adamax):
    """MT-DNN's Adamax since then."""

    name, era = "mtdnn-b", "b"


class ScheduleA(Schedule):
    """MT-DNN's schedule until February 2022: x/w while x < w, then 1 - x."""

    name = "mtdnn-a"

    def factor(self, warmup: float, steps: int) -> Callable[[int], float]:
        """Where warm-up ends, it falls from about 1 to 1 - w."""

        def at(k: int) -> float:
            x = k / steps
            return x / warmup if x < warmup else max(0.0, 1 - x)

        return at


class ScheduleB(Schedule):
    """MT-DNN's schedule since then: x/w while x < w, then (1 - x)/(1 - w)."""

    name = "mtdnn-b"

    def factor(self, warmup: float, steps: int) -> Callable[[int], float]:
        """The warm-up wT is not rounded to whole steps."""

        def at(k: int) -> float:
            x = k / steps
            return k / max(1.0, warmup * steps) if x < warmup else max(0.0, (1 - x) / (1 - warmup))

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


def draw_head_(model: nn.Module, seed: int) -> frozenset[str]:
    """Draw both layers of a model's head at random, by PyTorch's default.

    Torch's global generators are not touched.

    Returns:
        The names of the weights that were drawn.

    Raises:
        InputError: The model's head has another form.
    """
    inner, outer, _ = _head(model)
    names = [f"{name}.{part}" for name in (inner, outer) for part in ("weight", "bias")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in (inner, outer):
            layer: Any = model.get_submodule(name)
            layer.reset_parameters()
    return frozenset(names)


@contextmanager
def plain_head(model: nn.Module, task: str | None) -> Iterator[None]:
    """Within, the head's layers have no tanh between them, and in training dropout before both alone."""
    inner, outer, own = _head(model)
    first, second = model.get_submodule(inner), model.get_submodule(outer)
    rate = COLA_DROPOUT if task == "cola" else DROPOUT
    handles = [
        first.register_forward_pre_hook(
            lambda layer, args: functional.dropout(args[0], DROPOUT, layer.training)
        ),
        first.register_forward_hook(lambda layer, args, output: output * SMALL),
        second.register_forward_pre_hook(
            lambda layer, args: functional.dropout(args[0] / SMALL, rate, layer.training)
        ),
    ]
    dropout: Any = model.get_submodule(own)
    before, dropout.p = dropout.p, 0.0
    try:
        yield
    finally:
        dropout.p = before
        for handle in handles:
            handle.remove()


def folded(model: nn.Module, weights: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Weights with which the model computes by itself what it computes within ``plain_head``.

    Args:
        model: The model.
        weights: Its weights; None takes its own.
    """
    inner, outer, _ = _head(model)
    scales = {f"{inner}.weight": SMALL, f"{inner}.bias": SMALL, f"{outer}.weight": 1 / SMALL}
    given = model.state_dict() if weights is None else weights
    return {name: weight * scales[name] if name in scales else weight for name, weight in given.items()}


def _head(model: nn.Module) -> tuple[str, str, str]:
    kind = str(getattr(model.config, "model_type", "none"))
    if kind not in _HEADS:
        raise InputError(
            f"the set-up of MT-DNN needs a head of two layers, as BERT's, which {kind!r} has not: choose a "
            f"model of type {', '.join(_HEADS)}, or --setup plain"
        )
    return _HEADS[kind]
