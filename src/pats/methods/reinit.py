"""Re-init: the top blocks and the pooler are drawn at random again before fine-tuning.

Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021: the top blocks of BERT are specialised in
its pretraining, and a bad start for another task.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from pats import philox
from pats._errors import InputError
from pats._scope import canonical_name
from pats.methods import _options
from pats.methods._blocks import blocks
from pats.methods._method import Method, Training
from pats.step.shard import is_sharded

_DRAWN = "_is_hf_initialized"  # by which transformers knows what its initialisation must leave alone


@dataclass(frozen=True)
class ReinitOptions:
    """Options of Re-init.

    Args:
        layers: L ≥ 0: blocks to draw again, from the top; not more than the model has.
        pooler: Draw the pooler, too, where the base model has one.
    """

    layers: int = _options.option(
        2, "a whole number from 0", lambda value: value >= 0, source="ours; the authors' scripts: 5 of 24"
    )
    pooler: bool = _options.option(True, "true or false", lambda value: True, source="authors' script")


class Reinit(Method[ReinitOptions]):
    """Top blocks and pooler as the model's class draws them, from the run's init seed; then plain training.

    Every module is drawn from a seed of its own, made of the run's init seed and the module's name: a block
    is drawn alike however many there are, and not as the head. What the checkpoint lacks is new already and
    stays as it was drawn.
    """

    name = "reinit"
    summary = "draws the top blocks and the pooler at random again, before training"
    sentence = "Re-init (top blocks drawn again before fine-tuning, Zhang et al. 2021)"
    source = "Zhang et al., ICLR 2021"
    changes = ("weights",)
    redraws = True
    Options = ReinitOptions

    def prepare_(self, model: nn.Module, training: Training) -> None:
        """Draw them."""
        stack, count = blocks(model, self.name), self.options.layers
        if count > len(stack):
            raise InputError(
                f"reinit's layers is {count}, but {type(model).__name__} has {len(stack)} blocks: draw at "
                "most as many"
            )
        if any(map(is_sharded, model.parameters())):
            raise InputError("reinit draws whole matrices: call it before the model is sharded")
        chosen = [*reversed(stack.values())][:count]
        if self.options.pooler:
            chosen += [
                module for name, module in model.named_modules() if name.rpartition(".")[2] == "pooler"
            ]
        wanted = {id(inner) for module in chosen for inner in module.modules()}
        fresh = training.fresh
        for name, module, draw in _drawing(model):
            own = [f"{name}.{key}" for key, _ in module.named_parameters(recurse=False)]
            if id(module) in wanted and not (own and fresh.issuperset(own)):
                with _seeded(training.init_seed, name, module):
                    draw(module)


def _drawing(model: nn.Module) -> Iterator[tuple[str, nn.Module, Any]]:
    """Every module by canonical name, inner ones first, and what draws it: the nearest model's own."""
    drawers: dict[str, Any] = {}
    found: list[tuple[str, nn.Module, Any]] = []
    for raw, module in model.named_modules():
        above = drawers.get(raw.rpartition(".")[0], _by_itself)
        drawers[raw] = cast(Any, module)._init_weights if hasattr(type(module), "_init_weights") else above
        found.append((canonical_name(raw), module, drawers[raw]))
    return iter(found[::-1])


def _by_itself(module: nn.Module) -> None:
    """How a module outside transformers draws itself."""
    reset = getattr(module, "reset_parameters", None)
    if reset is not None:
        reset()


@contextmanager
def _seeded(seed: int, name: str, module: nn.Module) -> Iterator[None]:
    """Within, the global generators are seeded, and transformers draws this module's own tensors again."""
    low, high = philox.key(seed, f"reinit:{name}")
    own: list[Tensor] = [*module.parameters(), *module.buffers()]
    devices = sorted({tensor.device.index or 0 for tensor in own if tensor.device.type == "cuda"})
    marked = {id(tensor): tensor for tensor in own if getattr(tensor, _DRAWN, False)}
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.default_generator.manual_seed(high << 32 | low)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(high << 32 | low)
        for tensor in marked.values():
            delattr(tensor, _DRAWN)
        try:
            yield
        finally:
            for tensor in marked.values():
                setattr(tensor, _DRAWN, True)
