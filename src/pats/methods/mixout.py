"""Mixout: every training pass puts some pretrained weights back.

Lee et al., "Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models", ICLR
2020. With the pretrained weight u, the current weight w and M ~ Bernoulli(1-p),

    W̃ = [ (1-M) ⊙ u + M ⊙ w - p·u ] / (1-p)   =   u + M ⊙ (w - u)/(1-p),      E[W̃] = w

and y = x·W̃ᵀ + b; the bias is never mixed. As in the authors' code one row of the mask is drawn and
repeated over all outputs: whole input columns are swapped, for all examples of a batch alike.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pats import philox
from pats._errors import InputError
from pats._scope import named_parameters
from pats._scope import scope as names_in
from pats.methods import _options
from pats.methods._batch import PassClock
from pats.methods._dropout import without_dropout
from pats.methods._method import Method, Training

_TRANSPOSED = "Conv1D"  # GPT-2's linear layer, whose weight is (inputs, outputs)


@dataclass(frozen=True)
class MixoutOptions:
    """Options of Mixout.

    Args:
        p: Probability that a column is put back, in [0, 1].
        grad: ``"exact"`` is the derivative G ⊙ M/(1-p), ``"reference"`` the authors' backward pass,
            G ⊙ M, smaller by (1-p). Adam hardly sees the difference; clipping by the global norm, SGD
            and sensitivities do, so the default is exact.
        dropout: ``"keep"`` leaves the model's own dropout alone, so that p = 0 is plain fine-tuning and
            one thing differs; ``"replace"`` switches it off in training, as the authors do: Mixout was
            made to replace dropout.
        scope: Which weights of linear layers are mixed, as in ``pats.scope``. ``"all"`` is the authors'
            example, with pooler and head; a weight that the checkpoint lacks is mixed with what it was
            drawn as. Embeddings and norms are never mixed.
    """

    p: float = _options.number(0.9, 0, 1, source="authors' example; the paper: 0.7 to 0.9")
    grad: str = _options.choice("exact", "reference", source="ours; the authors' is reference")
    dropout: str = _options.choice("keep", "replace", source="ours; the authors' is replace")
    scope: str = _options.scope("all", source="authors' example")


class Mixout(Method[MixoutOptions]):
    """Linear layers compute with W̃ in training, and with w in ``eval()``.

    Masks come from the noise stream (purpose 3): a function of seed, parameter name, step and forward
    pass. They are the same on every data-parallel replica, after a resume, and when gradient
    checkpointing runs a pass again. A layer that is used several times in a pass (ALBERT) keeps its
    mask. The model is not rebuilt: parameters, their names and ``state_dict`` stay as they are.
    """

    name = "mixout"
    summary = "every training pass puts random pretrained columns back"
    sentence = "Mixout (pretrained columns put back at random, Lee et al. 2020)"
    source = "Lee et al., ICLR 2020"
    changes = ("forward",)
    cost = "one float32 a parameter, one mixed copy of the weights a pass"
    anchored = True
    Options = MixoutOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.anchors: dict[str, Tensor] = {}

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Let the linear layers in scope mix, and put everything back afterwards."""
        layers = self._layers(model)
        inputs = {name: _inputs(layer) for layer, name in layers.items()}
        masks = _Masks(inputs, 1 - self.options.p, training.seed, clock)
        self.anchors = {
            name: training.anchors[name].to(weight.device) if name in training.anchors else weight.clone()
            for name, weight in ((name, _weight(layer)) for layer, name in layers.items())
        }
        for layer, name in layers.items():
            layer.forward = self._forward(layer, name, masks)
        try:
            with without_dropout(model) if self.options.dropout == "replace" else nullcontext():
                yield
        finally:
            for layer in layers:
                del layer.forward

    def state(self) -> dict[str, Tensor]:
        """The pretrained weights: a resumed run must not mistake the weights of its checkpoint for them."""
        return self.anchors

    def load_state(self, state: Any) -> None:
        """Take the anchors of the checkpoint."""
        for name, anchor in self.anchors.items():
            anchor.copy_(state[name])

    def _layers(self, model: nn.Module) -> dict[nn.Module, str]:
        """Linear layers in scope, with the canonical names of their weights."""
        named = named_parameters(model)
        inside = {id(named[name]): name for name in names_in(model, self.options.scope)}
        layers = {
            module: inside[id(module.weight)]
            for module in model.modules()
            if (isinstance(module, nn.Linear) or type(module).__name__ == _TRANSPOSED)
            and id(module.weight) in inside
        }
        if not layers:
            raise InputError(
                f"mixout's scope {self.options.scope!r} holds no weight of a linear layer of "
                f"{type(model).__name__}: pass all, encoder, or a regular expression that finds some"
            )
        return layers

    def _forward(self, layer: nn.Module, name: str, masks: "_Masks") -> Callable[[Tensor], Tensor]:
        weight_of, anchor, options = layer._parameters, self.anchors[name], self.options
        plain = type(layer).forward
        transposed = type(layer).__name__ == _TRANSPOSED

        def forward(x: Tensor) -> Tensor:
            if not layer.training:
                return plain(layer, x)  # type: ignore[no-any-return]
            weight, bias = weight_of["weight"], weight_of["bias"]
            assert weight is not None
            mask = masks.of(name, weight.device)
            mask = mask.unsqueeze(1) if transposed else mask
            mixed = cast(Any, _Mix).apply(weight, anchor, mask, options.p, options.grad == "exact")
            return functional.linear(x, mixed.t() if transposed else mixed, bias)

        return forward


def _weight(layer: nn.Module) -> Tensor:
    weight: Any = layer.weight
    return weight.detach()  # type: ignore[no-any-return]


def _inputs(layer: nn.Module) -> int:
    """Inputs of a linear layer."""
    return _weight(layer).shape[0 if type(layer).__name__ == _TRANSPOSED else 1]


class _Mix(torch.autograd.Function):
    """W̃ of w, and one of its two backward passes."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, u: Tensor, mask: Tensor, p: float, exact: bool) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = 1 / (1 - p) if exact and p < 1 else 1.0
        if p == 1:
            return u.clone()
        # This form, not u + M(w-u)/(1-p), gives w to the bit where p is 0.
        return torch.where(mask, w, u).sub_(u, alpha=p).div_(1 - p)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (mask,) = ctx.saved_tensors
        grad = grads[0] * mask
        return (grad if ctx.scale == 1 else grad * ctx.scale), None, None, None, None


class _Masks:
    """Masks of all layers for the clock's current pass, drawn in one go.

    Entry i of a layer is kept iff word i of the counter (⌊i/4⌋, pass, step, 3) is below (1-p)·2³².
    """

    def __init__(self, inputs: dict[str, int], keep: float, seed: int, clock: PassClock) -> None:
        self._inputs, self._threshold, self._clock = inputs, round(keep * 2**32), clock
        blocks = [-(-count // 4) for count in inputs.values()]
        keys = [philox.key(seed, name) for name in inputs]
        self._sizes = [4 * count for count in blocks]
        self._block = torch.cat([torch.arange(count) for count in blocks])
        self._keys = torch.tensor(keys).repeat_interleave(torch.tensor(blocks), 0).unbind(1)
        self._at: tuple[int, int] | None = None
        self._drawn: dict[str, Tensor] = {}

    def of(self, name: str, device: torch.device) -> Tensor:
        """Which inputs keep their weights: bool of shape (inputs,)."""
        at = (self._clock.step, self._clock.current)
        if at != self._at:
            self._drawn, self._at = self._draw(*at, device), at
        return self._drawn[name]

    def _draw(self, step: int, number: int, device: torch.device) -> dict[str, Tensor]:
        if self._block.device != device:
            self._block = self._block.to(device)
            self._keys = tuple(key.to(device) for key in self._keys)
        block = self._block.clone()
        rest = (torch.full_like(block, value) for value in (number, step, philox.MIXOUT))
        key0, key1 = self._keys
        words = torch.stack(philox.philox4x32((block, *rest), (key0, key1)), 1).view(-1)  # type: ignore[arg-type]
        kept = torch.split(words < self._threshold, self._sizes)
        return {n: k[:count] for (n, count), k in zip(self._inputs.items(), kept, strict=True)}
