"""UPGD: useful weights are protected, useless ones perturbed; see ``pats.optim.UPGD``.

Elsayed & Mahmood, "Addressing Loss of Plasticity and Catastrophic Forgetting in Continual Learning", ICLR
2024.
"""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from pats import optim
from pats.methods import _options
from pats.methods._method import Method, Training, base_optimizer


@dataclass(frozen=True)
class UpgdOptions:
    """Options of UPGD.

    Args:
        beta: β of the utility's moving average, in [0, 1).
        sigma: σ ≥ 0; the noise of a step has standard deviation lr·σ before the gate.
        utility: ``"global"`` compares a weight's utility with the largest of all, ``"local"`` with the norm
            of its row.
        gate: ``"all"`` gates update and noise; ``"noise"`` the noise alone, the authors' non-protecting
            variant; ``"off"`` nothing.
        factor: f > 0, of the gated step. With 2, a weight of no utility is updated as without UPGD.
        scope: Parameters that are gated and perturbed, as in ``pats.scope``; the others are updated plainly.
    """

    beta: float = _options.option(
        0.999, "at least 0 and below 1", lambda value: 0 <= value < 1, source="authors' README"
    )
    sigma: float = _options.number(1e-3, source="authors' README")
    utility: str = _options.choice("global", "local", source="authors' README")
    gate: str = _options.choice("all", "noise", "off", source="the paper")
    factor: float = _options.number(2.0, above=True, source="authors' README; the paper's code has 1")
    scope: str = _options.scope("all", source="authors' code")


class Upgd(Method[UpgdOptions]):
    """The training's optimizer, whose update and a little noise go to the weights that matter least."""

    name = "upgd"
    summary = "updates and noise held back where a weight is useful"
    sentence = "UPGD (utility-based perturbed gradient descent, Elsayed and Mahmood 2024)"
    source = "Elsayed & Mahmood, ICLR 2024"
    changes = ("optimizer",)
    cost = "one float32 a parameter in scope, another and one draw within a step"
    Options = UpgdOptions

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The training's optimizer in the hands of ``pats.optim.UPGD``."""
        options = self.options
        optimizer = base_optimizer(model, training, scope=options.scope)
        optim.UPGD(
            optimizer,
            beta=options.beta,
            sigma=options.sigma,
            utility=options.utility,
            gate=options.gate,
            factor=options.factor,
            seed=training.seed,
        )
        return optimizer
