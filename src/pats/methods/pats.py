"""PATS: noise at every step, larger where a parameter is less sensitive than its matrix's average.

``pats`` sizes the noise by a budget that does no harm; ``pats-paper`` is the paper's literal reading.
"""

from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, cast

from torch import nn
from torch.optim import Optimizer

from pats._noise import Noise
from pats._perturb import perturb
from pats.methods._method import MTDNN, Method, Training, base_optimizer
from pats.optim import Adamax


@dataclass(frozen=True)
class PatsOptions(Noise):
    """Options of PATS: the settings of ``pats.Noise``, and the scope.

    Seed and steps are the run's own settings.

    Args:
        scope: Parameters that get noise, as in ``pats.scope``.
    """

    scope: str = "encoder"

    def noise(self, seed: int, steps: int = 0) -> Noise:
        """The settings with the run's seed and, where a budget is spread over them, its steps.

        Args:
            seed: Seed of the noise.
            steps: Optimizer steps of the whole run; 0 where unknown.
        """
        values = {f.name: getattr(self, f.name) for f in fields(Noise)}
        planned = {"steps": steps} if steps and self.scale == "budget" else {}
        return Noise(**(values | {"seed": seed} | planned))


@dataclass(frozen=True)
class PaperOptions(PatsOptions):
    """Options of PATS as the paper has it: those of ``pats``, with the defaults of ``Noise.paper()``."""

    eps: float = 1e-8
    eps_mode: str = "absolute"
    scale: str = "constant"


class Pats(Method[PatsOptions]):
    """The base optimizer's update, then sensitivity-aware noise that accumulates to a budget."""

    name = "pats"
    summary = "noise at every step, larger where a parameter is less sensitive, within a budget"
    source = "Zhang et al., 2022; the budget is ours"
    changes = ("optimizer",)
    cost = "one float32 a parameter in scope, one pass over the parameters a step"
    Options: ClassVar[type[Any]] = PatsOptions

    @classmethod
    def option_fields(cls) -> tuple[Field[Any], ...]:
        """All but seed and steps, which are the run's own settings."""
        return tuple(f for f in fields(cls.Options) if f.name not in ("seed", "steps"))

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The training's optimizer with noise."""
        noise, scope = self.options.noise(training.seed, training.steps), self.options.scope
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


class PatsPaper(Pats):
    """The base optimizer's update, then sensitivity-aware noise of constant size (Algorithm 1)."""

    name = "pats-paper"
    summary = "noise at every step, larger where a parameter is less sensitive, as the paper has it"
    source = "Zhang et al., 2022"
    Options = PaperOptions
