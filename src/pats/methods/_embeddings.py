"""Noise on the word embeddings, or after the embedding block, on any architecture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pats import philox
from pats._errors import InputError
from pats._scope import canonical_name, repeated_blocks
from pats.methods._batch import MicroBatch, PassClock, Stream

_TIME_FIRST = ("xlnet",)  # model types that look words up in the order (length, batch)

Change = Callable[[Tensor], Tensor]


class Embeddings:
    """The output of the word table, which a method may change.

    It is changed by a hook on ``get_input_embeddings()``, before positions, segments and norms. Passing
    ``inputs_embeds`` instead would hide the tokens from models that look for the last word (GPT-2,
    Llama) or number positions by them (RoBERTa).

    Args:
        model: A transformers model.
        seed: Seed of the noise.
        clock: The training's clock.
        place: ``"words"``, or ``"block"``: the output of the embedding block is changed instead, behind
            positions, segments, norm and dropout.

    Raises:
        InputError: The model has no word embeddings, or no embedding block.
    """

    def __init__(self, model: nn.Module, seed: int, clock: PassClock, place: str = "words") -> None:
        table = getattr(model, "get_input_embeddings", lambda: None)()
        if not isinstance(table, nn.Module):
            raise InputError(f"{type(model).__name__} has no word embeddings: this method needs them")
        self._table, self.clock = table, clock
        names = (name for name, module in model.named_modules() if module is table)
        name = next(names)
        self._stream = Stream(seed, canonical_name(f"{name}.weight"), philox.EMBEDDING)
        self._changed = table if place == "words" else _block_of(model, name)
        self._width: int = next(table.parameters()).shape[-1]  # a block may have another, a pass shows it
        self._time_first = getattr(getattr(model, "config", None), "model_type", None) in _TIME_FIRST
        wide = next(table.parameters()).dtype == torch.float64
        self.dtype = torch.float64 if wide else torch.float32  # of noise, also for half precision
        self._change: Change | None = None

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Within, ``changed`` has its effect; where the table is in ``eval()``, never."""
        handle = self._changed.register_forward_hook(self._hook)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def changed(self, change: Change) -> Iterator[None]:
        """Within, a training pass sees ``change`` of the embeddings (batch, length, width)."""
        self._change = change
        try:
            yield
        finally:
            self._change = None

    def _hook(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        self._width = output.shape[-1]
        if self._change is None or not module.training:
            return None
        if self._time_first:
            return self._change(output.transpose(0, 1)).transpose(0, 1)
        return self._change(output)

    def require_float32(self, size: float) -> None:
        """Refuse half-precision tables, in which noise of this size is rounded away."""
        dtype = next(self._table.parameters()).dtype
        if dtype in (torch.bfloat16, torch.float16):
            raise InputError(
                f"the word embeddings are {dtype}, in which noise of {size:g} would be rounded away: keep "
                "the weights in float32 and use autocast"
            )

    def shape(self, batch: MicroBatch) -> tuple[int, int, int]:
        """Batch, length and width of the embeddings of a batch, of which a pass was made."""
        rows, length = batch.inputs["input_ids"].shape
        return rows, length, self._width

    def uniform(self, shape: tuple[int, ...], number: int, device: torch.device) -> Tensor:
        """U(-1, 1) for the pass of this number, the same on every device."""
        return self.clock.uniform(self._stream, shape, number, device).to(self.dtype)

    def normal(self, shape: tuple[int, ...], number: int, device: torch.device) -> Tensor:
        """N(0, 1) for the pass of this number."""
        return self.clock.normal(self._stream, shape, number, device).to(self.dtype)


def _block_of(model: nn.Module, table: str) -> nn.Module:
    """The largest module around the word table that holds none of the repeated blocks."""
    parts, blocks = table.split("."), repeated_blocks(model)
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        if not any(block == name or block.startswith(f"{name}.") for block in blocks):
            return model.get_submodule(name)
    raise InputError(
        f"{type(model).__name__} has no embedding block, a module around its word embeddings alone: put the "
        'noise on the words (place="words")'
    )


def lengths(mask: Tensor | None, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """The mask of real tokens (batch, length, 1) and their number (batch, 1, 1), in float64."""
    ones = torch.ones(shape[:2], device=device) if mask is None else mask.to(device)
    real = ones.double()
    return real.unsqueeze(-1), real.sum(1).clamp(min=1).view(-1, 1, 1)
