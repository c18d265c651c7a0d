"""SAM: the gradient of a step is that of the worst weights near by.

Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021:

    g = ∇L(θ);   ε = ρ·g/‖g‖₂;   the gradient is ∇L(θ + ε), and the optimizer updates θ with it

‖·‖ is over all parameters in scope together. Kwon et al., "ASAM: Adaptive Sharpness-Aware Minimization for
Scale-Invariant Learning of Deep Neural Networks", ICML 2021, measures distances by the weights themselves:

    ε = ρ·T²g/‖T g‖₂,      T_j = |θ_j| + η of a weight, 1 of a bias

L is the loss of one micro-batch on one process, as in the paper, which lets every accelerator climb by
itself: under gradient accumulation each micro-batch has its own ε, and the step takes the mean of their
gradients.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pats._scope import named_parameters
from pats._scope import scope as names_in
from pats.methods import _options
from pats.methods._batch import MicroBatch
from pats.methods._method import Method
from pats.methods._passes import in_training, loss_at
from pats.step.displaced import refuse_sharded

_LEAST = 1e-12  # the smallest norm that a gradient is divided by


@dataclass(frozen=True)
class SamOptions:
    """Options of SAM.

    Args:
        rho: ρ ≥ 0, length of the ascent.
        adaptive: ASAM's T; it wants a ρ about ten times larger.
        eta: η ≥ 0 of T.
        dropout: ``"shared"`` uses the first pass's masks in the second, as the authors' code: the ascent then
            is in the loss of one network; ``"fresh"`` draws others, as most programs in torch do.
        scope: Parameters that climb, as in ``pats.scope``; all get the gradient of the second pass.
    """

    rho: float = _options.number(0.05, source="the paper; for T5 Bahri et al. 2022 took 0.15")
    adaptive: bool = False
    eta: float = _options.number(0.01, source="ASAM's code")
    dropout: str = _options.choice("shared", "fresh", source="authors' code")
    scope: str = _options.scope("all", source="the paper: all parameters")


class Sam(Method[SamOptions]):
    """Two passes a micro-batch: one to climb, one for the gradient; its loss is that of the second."""

    name = "sam"
    summary = "the gradient is taken at the worst weights near by"
    sentence = "SAM (sharpness-aware minimization, Foret et al. 2021)"
    source = "Foret et al., ICLR 2021; ASAM: Kwon et al., ICML 2021"
    changes = ("loss",)
    cost = "2 forward and 2 backward passes; three float32 a parameter while they last"
    Options = SamOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._found: tuple[nn.Module, dict[str, nn.Parameter], list[str]] | None = None

    def loss(self, batch: MicroBatch) -> Tensor:
        """The loss at θ + ε; in ``eval()`` that at θ."""
        if not in_training(batch):
            return super().loss(batch)
        named, inside = self._parameters(batch.model)
        loss = batch.forward(final=False).loss
        climbing = [named[name] for name in inside]
        gradients = torch.autograd.grad(loss, climbing, allow_unused=True)
        found = {name: g for name, g in zip(inside, gradients, strict=True) if g is not None}
        return loss_at(batch, [*named.values()], self._ascent(named, found), self.options.dropout)

    def _parameters(self, model: nn.Module) -> tuple[dict[str, nn.Parameter], list[str]]:
        """All that train by name, and the names in scope."""
        if self._found is None or self._found[0] is not model:
            named = named_parameters(model)
            refuse_sharded(named.values(), self.name)
            self._found = model, named, names_in(model, self.options.scope)
        return self._found[1:]

    def _ascent(
        self, named: dict[str, nn.Parameter], gradients: dict[str, Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every parameter's ε; 0 where a gradient is not finite, so that the second pass shows it."""
        measures = {name: self._measure(name, named[name]) for name in gradients}
        norms = [torch.linalg.vector_norm(_wide(g) * measures[name]) for name, g in gradients.items()]
        norm = torch.linalg.vector_norm(torch.stack([one.to(norms[0].device) for one in norms]))
        size = self.options.rho / norm.clamp(min=_LEAST)
        for name, gradient in gradients.items():
            step = _wide(gradient) * measures[name] ** 2 * size.to(gradient.device)
            yield named[name], torch.where(torch.isfinite(norm).to(step.device), step, 0.0)

    def _measure(self, name: str, parameter: Tensor) -> Tensor | float:
        """T of a parameter."""
        if not self.options.adaptive or name.rpartition(".")[2] == "bias":
            return 1.0
        return _wide(parameter.detach()).abs() + self.options.eta


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
