"""SAGE: learning rates per parameter from the change of its sensitivity.

Liang et al., "No Parameters Left Behind: Sensitivity Guided Adaptive Learning Rate for Training Large
Transformer Models", ICLR 2022.
"""

from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from pats import optim, setups
from pats._scope import param_groups
from pats.methods import _options
from pats.methods._method import Method, Training


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

    beta3: float = _options.option(
        0.75, "at least 0 and below 1", lambda value: 0 <= value < 1, source="authors' code; 0.6 to 0.9"
    )
    eps: float = _options.number(1e-6, above=True, source="authors' code")
    eps_mode: str = _options.choice("code", "paper", source="authors' code")
    scope: str = _options.scope("encoder", source="authors' code: attention and feed-forward layers")


class Sage(Method[SageOptions]):
    """Adamax or AdamW whose steps are scaled by R = |I - Ī|/Ī, elementwise."""

    name = "sage"
    summary = "learning rates scaled by the change of each parameter's sensitivity"
    sentence = "SAGE (learning rates according to sensitivity, Liang et al. 2022)"
    source = "Liang et al., ICLR 2022"
    changes = ("optimizer",)
    cost = "one float32 a parameter in scope"
    Options = SageOptions

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """SAGEAdamW for AdamW, else SAGEAdamax, whose base is MT-DNN's era-A Adamax."""
        adamw = setups.optimizers()[training.optimizer].family == "adamw"
        base = optim.SAGEAdamW if adamw else optim.SAGEAdamax
        return base(
            param_groups(model, self.options.scope, training.weight_decay or None),
            lr=training.lr,
            betas=training.betas,
            beta3=self.options.beta3,
            eps=self.options.eps,
            weight_decay=training.weight_decay,
            eps_mode=self.options.eps_mode,
        )
