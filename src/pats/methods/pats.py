"""PATS: noise at every step, larger where a parameter is less sensitive than its matrix's average."""

from dataclasses import Field, dataclass, fields
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer

from pats._noise import Noise
from pats._perturb import perturb
from pats.methods._method import MTDNN, Method, Training, base_optimizer
from pats.optim import Adamax


@dataclass(frozen=True)
class PatsOptions(Noise):
    """Options of PATS: the settings of ``pats.Noise`` (its seed excepted), and the scope.

    The defaults are ``Noise.paper()``: Eq. 4 with an absolute ε of 1e-8.

    Args:
        scope: Parameters that get noise, as in ``pats.scope``.
    """

    eps: float = 1e-8
    eps_mode: str = "absolute"
    scope: str = "encoder"

    def noise(self, seed: int) -> Noise:
        """The settings with the run's seed."""
        values = {f.name: getattr(self, f.name) for f in fields(Noise)}
        return Noise(**(values | {"seed": seed}))


class Pats(Method[PatsOptions]):
    """The base optimizer's update, then sensitivity-aware noise (Algorithm 1)."""

    name = "pats"
    summary = "noise at every step, larger where a parameter is less sensitive"
    source = "Zhang et al., 2022"
    changes = ("optimizer",)
    cost = "one float32 a parameter in scope, one pass over the parameters a step"
    Options = PatsOptions

    @classmethod
    def option_fields(cls) -> tuple[Field[Any], ...]:
        """All but the seed, which is the run's own setting."""
        return tuple(f for f in fields(cls.Options) if f.name != "seed")

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The training's optimizer with noise."""
        noise, scope = self.options.noise(training.seed), self.options.scope
        if training.optimizer in MTDNN:
            plain = base_optimizer(model, training, scope=scope)
            self._stats = perturb(plain, model, noise, scope).stats
            return plain
        optimizer = base_optimizer(model, training, noise, scope)
        self._stats = cast(Adamax, optimizer).stats
        return optimizer

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """How much noise the last step added, by parameter."""
        return self._stats()
