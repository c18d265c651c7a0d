"""SAGE: learning rates per parameter from the change of its sensitivity.

Liang et al., "No Parameters Left Behind: Sensitivity Guided Adaptive Learning Rate for Training Large
Transformer Models", ICLR 2022.
"""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from pats import optim
from pats._scope import param_groups
from pats.methods._method import Method, Training, require


@dataclass(frozen=True)
class SageOptions:
    """Options of SAGE.

    Args:
        beta3: Decay of the moving average of the sensitivity, in [0, 1).
        eps: The optimizer's ε > 0. SAGE's rule was tuned with 1e-6, so it has its own.
        eps_mode: ``"code"`` (R = U/(E + ε²), the authors' program) or ``"paper"``
            (R = (U + ε)/(E + ε)).
        scope: Parameters whose step SAGE scales, as in ``pats.scope``; the others are updated plainly.
    """

    beta3: float = 0.75
    eps: float = 1e-6
    eps_mode: str = "code"
    scope: str = "encoder"

    def __post_init__(self) -> None:
        require("beta3", self.beta3, 0 <= self.beta3 < 1, "at least 0 and below 1")
        require("eps", self.eps, 0 < self.eps < float("inf"), "a number above 0")
        fine = self.eps_mode in ("code", "paper")
        require("eps_mode", self.eps_mode, fine, "one of: code, paper")


class Sage(Method[SageOptions]):
    """Adamax or AdamW whose steps are scaled by R = |I - Ī|/Ī, elementwise."""

    name = "sage"
    summary = "learning rates scaled by the change of each parameter's sensitivity"
    Options = SageOptions

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """SAGEAdamax or SAGEAdamW."""
        classes: dict[str, type[optim.SAGEAdamax] | type[optim.SAGEAdamW]] = {
            "adamax": optim.SAGEAdamax,
            "adamw": optim.SAGEAdamW,
        }
        return classes[training.optimizer](
            param_groups(model, self.options.scope, training.weight_decay or None),
            lr=training.lr,
            betas=training.betas,
            beta3=self.options.beta3,
            eps=self.options.eps,
            weight_decay=training.weight_decay,
            eps_mode=self.options.eps_mode,
        )
