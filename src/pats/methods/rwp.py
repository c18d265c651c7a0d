"""RWP: every training pass sees the weights with noise, and the update goes to the weights without it.

Bisla et al., "Low-Pass Filtering SGD for Recovering Flat Optima in the Deep Learning Optimization Landscape",
AISTATS 2022 (LPF-SGD); Li et al., "Efficient Generalization Improvement Guided by Random Weight
Perturbation", 2022, and "Revisiting Random Weight Perturbation for Efficiently Improving Generalization",
TMLR 2024 (RWP):

    g = λ·∇L(w + n) + (1-λ)·∇L(w),      n_j ~ N(0, (σ_t·s_j)²)
    s_j = 1 (isotropic), or the norm of j's filter, the row of a matrix, and of a vector as a whole
    σ_t = σ·( 1 + growth·½·(1 - cos(π·(t-1)/T)) )   at step t of T

λ = 1 is LPF-SGD with one draw a micro-batch.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from pats import philox
from pats._errors import InputError
from pats._scope import named_parameters
from pats._scope import scope as names_in
from pats.kernels import draws
from pats.methods import _options
from pats.methods._batch import SUBSTREAM, MicroBatch, PassClock
from pats.methods._method import Method, Training
from pats.step import shard

Noised = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class RWPOptions:
    """Options of RWP.

    Args:
        sigma: σ ≥ 0.
        scale: ``"filter"`` measures σ by the norm of each filter, as both papers' code; ``"none"`` is
            isotropic noise of standard deviation σ.
        growth: How many times σ is added to itself until the end of the run, along half a cosine, in [0, ∞).
        mix: λ, weight of the loss with noise, in [0, 1]; below 1 a clean pass goes first.
        scope: Which weights get noise, as in ``pats.scope``.
    """

    sigma: float = _options.number(5e-4, source="LPF-SGD's code for translation; RWP's: 0.01, for images")
    scale: str = _options.choice("filter", "none", source="authors' code")
    growth: float = _options.number(0.0, source="ours; LPF-SGD's code for translation: 14")
    mix: float = _options.number(1.0, 0, 1, source="LPF-SGD; RWP: 0.5")
    scope: str = _options.scope("all", source="authors' code")


class RWP(Method[RWPOptions]):
    """Noise of purpose 7 of the stream on the weights, for the time of a pass and its backward pass.

    The weights themselves are never touched: a pass computes with w + n, whose gradient is that of w. So the
    model is clean whenever it is looked at or saved, and after an exception.
    """

    name = "rwp"
    summary = "every training pass sees the weights with noise, which the update does not keep"
    sentence = "RWP (random weight perturbation, Bisla et al. 2022, Li et al. 2022)"
    source = "Bisla et al., AISTATS 2022; Li et al., 2022"
    changes = ("forward", "loss")
    cost = "one draw a weight and one noised copy of the weights a pass; with mix below 1, 2 passes"
    Options = RWPOptions

    @contextmanager
    def attached(self, model: nn.Module, training: Training, clock: PassClock) -> Iterator[None]:
        """Let training passes see noised weights."""
        names = names_in(model, self.options.scope)
        named = named_parameters(model)
        places = {id(named[name]): name for name in names}
        self._swap = _Swap(model, places, self._noised(training.seed, clock), clock)
        with self._swap.hooked():
            yield

    def loss(self, batch: MicroBatch) -> Tensor:
        """The loss with noise, or a mean of that and of the clean one."""
        if any(map(shard.is_sharded, batch.model.parameters())):
            raise InputError(
                "rwp computes with noised copies of whole weights, which it cannot shard: train on replicas "
                "(torchrun, or Accelerate without FSDP), or take another method"
            )
        mix = self.options.mix
        if mix == 1:
            return batch.forward().loss  # type: ignore[no-any-return]
        self._swap.clean = batch.clock.count + 1
        clean = batch.forward(final=False)
        noised = batch.forward(dropout="fresh")
        loss: Tensor = (1 - mix) * clean.loss + mix * noised.loss
        return loss

    def _noised(self, seed: int, clock: PassClock) -> Noised:
        """What makes w + n of a name and its w, in the pass that runs now."""
        options = self.options

        def noised(name: str, weight: Tensor) -> Tensor:
            along = (1 - math.cos(math.pi * (clock.step - 1) / clock.steps)) / 2 if clock.steps else 0.0
            size = options.sigma * (1 + options.growth * along)
            dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
            key, start = philox.key(seed, name), clock.current << SUBSTREAM
            noise = draws.normal(key, clock.step, start, weight.shape, philox.WEIGHT, dtype, weight.device)
            scale = _norms(weight.detach()) if options.scale == "filter" else 1.0
            return weight + (noise * (size * scale)).to(weight.dtype)

        return noised


def _norms(weight: Tensor) -> Tensor:
    """The norm of each row, whatever its dimensions; of a vector as a whole."""
    dims = tuple(range(1, weight.ndim)) or None
    norms: Tensor = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
    return norms


class _Swap:
    """Puts other tensors in the places of a model's weights while a training pass with gradients runs.

    All of them while the model runs; where gradient checkpointing runs a part of it again, those of each
    module while that runs.

    Args:
        model: The model.
        names: Of the weights that are replaced, by their identity.
        noised: Makes the tensor that replaces a weight.
        clock: The training's clock.
    """

    def __init__(self, model: nn.Module, names: Mapping[int, str], noised: Noised, clock: PassClock) -> None:
        self._model, self._noised, self._clock = model, noised, clock
        self._places = {
            module: held
            for module in model.modules()
            if (held := {key: names[id(p)] for key, p in module._parameters.items() if id(p) in names})
        }
        self._own: dict[nn.Module, dict[str, nn.Parameter | None]] = {}  # what has been replaced
        self.clean: int | None = None  # number of a pass that sees the weights as they are

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Within, passes are watched."""
        with ExitStack() as stack:
            stack.callback(self._restore, self._places)  # an interrupt runs no hooks
            for module in dict.fromkeys([self._model, *self._places]):
                stack.callback(module.register_forward_pre_hook(self._before).remove)
                stack.callback(module.register_forward_hook(self._after, always_call=True).remove)
            yield

    def _before(self, module: nn.Module, args: Any) -> None:
        noisy = module.training and torch.is_grad_enabled() and self._clock.current != self.clean
        if not noisy or self._model in self._own:
            return
        modules = self._places if module is self._model else [module]
        made: dict[str, Tensor] = {}
        for place in modules:
            for key, name in self._places[place].items():
                if name not in made:
                    made[name] = self._noised(name, cast(Tensor, place._parameters[key]))
        self._own.setdefault(module, {})
        for place in modules:
            held = self._places[place]
            self._own[place] = {key: place._parameters[key] for key in held}
            place._parameters.update({key: cast(Any, made[name]) for key, name in held.items()})

    def _after(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is self._model:
            self._restore([self._model, *self._places])
        elif self._model not in self._own:
            self._restore([module])

    def _restore(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            module._parameters.update(self._own.pop(module, {}))
