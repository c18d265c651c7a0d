"""HyPe: noise on what every layer of the encoder is given, in every training pass.

Yuan et al., "HyPe: Better Pre-trained Language Model Fine-tuning with Hidden Representation Perturbation",
ACL 2023. With the layers f₁ … f_n and the output h₀ of the embedding block,

    h_i = f_i( h_{i-1} + ε_i ),   ε_i ~ N(0, σ²) or U(-σ, σ), for every entry, pads too

in training; h_n itself gets none.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pats import philox
from pats._errors import InputError
from pats._scope import canonical_name, repeated_blocks
from pats.methods import _options
from pats.methods._batch import PassClock, Stream
from pats.methods._dropout import without_dropout
from pats.methods._method import Method, Training

_HALVES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class HyPeOptions:
    """Options of HyPe.

    Args:
        sigma: σ ≥ 0.
        noise: ``"normal"``; ``"uniform"`` from -σ to σ; or ``"positive"``, uniform from 0 to σ, which is what
            the authors' code draws for uniform noise.
        dropout: ``"keep"`` leaves the model's own dropout alone, so that σ = 0 is plain fine-tuning and one
            thing differs; ``"replace"`` switches it off in training, as the authors' command does.
    """

    sigma: float = _options.number(1e-5, source="authors' code")
    noise: str = _options.choice("normal", "uniform", "positive", source="authors' code, which has both")
    dropout: str = _options.choice("keep", "replace", source="ours; the authors' is replace")


class HyPe(Method[HyPeOptions]):
    """Noise before every repeated block, of purpose 5 of the stream.

    A block that is used several times in a pass (ALBERT) gets the same noise each time.
    """

    name = "hype"
    summary = "noise on the hidden states between layers in every training pass"
    sentence = "HyPe (noise on the hidden states, Yuan et al. 2023)"
    source = "Yuan et al., ACL 2023"
    changes = ("forward",)
    cost = "one draw an entry of the hidden states"
    Options = HyPeOptions

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Noise what the blocks are given."""
        blocks = _blocks(model)
        self._require_float32(blocks)
        with ExitStack() as stack:
            if self.options.dropout == "replace":
                stack.enter_context(without_dropout(model))
            for name, block in blocks.items():
                noised = _Noised(self.options, Stream(training.seed, name, philox.HIDDEN), clock)
                handle = block.register_forward_pre_hook(noised, with_kwargs=True)
                stack.callback(handle.remove)
            yield

    def _require_float32(self, blocks: dict[str, nn.Module]) -> None:
        dtypes = {parameter.dtype for block in blocks.values() for parameter in block.parameters()}
        for dtype in dtypes & set(_HALVES):
            raise InputError(
                f"the layers are {dtype}, in which noise of {self.options.sigma:g} would be rounded away: "
                "keep the weights in float32 and use autocast"
            )


def _blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The repeated blocks by name, without the lists that hold them."""
    blocks: dict[str, nn.Module] = {}
    waiting = [(canonical_name(name), model.get_submodule(name)) for name in repeated_blocks(model)]
    while waiting:
        prefix, container = waiting.pop(0)
        for key, child in container.named_children():
            name = f"{prefix}.{key}"
            if isinstance(child, nn.ModuleList):  # as in Funnel, whose blocks are lists of layers
                waiting.append((name, child))
            else:
                blocks[name] = child
    if not blocks:
        raise InputError(
            f"{type(model).__name__} has no repeated blocks, between which hype could add its noise: take "
            "another method"
        )
    return blocks


class _Noised:
    """Adds noise to the hidden states that a block is called with in training."""

    def __init__(self, options: HyPeOptions, stream: Stream, clock: PassClock) -> None:
        self._options, self._stream, self._clock = options, stream, clock

    def __call__(
        self, block: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if not block.training:
            return None
        if args:
            return (self._noise(args[0]), *args[1:]), named
        if "hidden_states" not in named:
            raise InputError(
                f"the layers of this model, {type(block).__name__}, are not called with hidden states, to "
                "which hype could add its noise: take another method"
            )
        return args, {**named, "hidden_states": self._noise(named["hidden_states"])}

    def _noise(self, hidden: Tensor) -> Tensor:
        at = (self._stream, hidden.shape, self._clock.current, hidden.device)
        if self._options.noise == "normal":
            noise = self._clock.normal(*at)
        else:
            noise = self._clock.uniform(*at)
            if self._options.noise == "positive":
                noise = (noise + 1) / 2
        return hidden + (noise * self._options.sigma).to(hidden.dtype)
