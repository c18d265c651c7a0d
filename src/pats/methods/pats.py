"""PATS: noise at every step, larger where a parameter is less sensitive than its matrix's average.

``pats`` bounds the noise of a run by a budget; ``pats-paper`` is the paper's literal reading.
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, cast

from torch import nn
from torch.optim import Optimizer

from pats import paper, setups
from pats._noise import SIZES, Noise
from pats._perturb import perturb
from pats._scope import Scope
from pats.methods._method import Method, Training, base_optimizer
from pats.methods._options import Value
from pats.optim import Adamax

# What a sweep searches: Table 3 of the paper, and for a budget powers of two around its default.
SEARCHED: Mapping[str, tuple[Value, ...]] = {**paper.RANGES, "budget": (0.01, 0.02, 0.04, 0.08, 0.16)}


@dataclass(frozen=True)
class PatsOptions(Noise):
    """Options of PATS: the settings of ``pats.Noise``, and the scope.

    Seed, steps and examples are the run's own settings.

    Args:
        scope: Parameters that get noise, as in ``pats.scope``.
    """

    scope: str = "encoder"

    def noise(self, seed: int, steps: int = 0, examples: int = 0) -> Noise:
        """The settings with the run's seed and, where they use them, its steps and its training examples.

        Args:
            seed: Seed of the noise.
            steps: Optimizer steps of the whole run; 0 where unknown.
            examples: Training examples of the run; 0 where unknown.
        """
        values = {f.name: getattr(self, f.name) for f in fields(Noise)}
        return Noise(**(values | {"seed": seed})).for_run(steps, examples)


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
    sentence = "PATS (noise according to sensitivity within a budget, after Zhang et al. 2022)"
    cost = "one float32 a parameter in scope, one pass over the parameters a step"
    noisy = True
    Options: ClassVar[type[Any]] = PatsOptions

    @classmethod
    def option_fields(cls) -> tuple[Field[Any], ...]:
        """All but seed, steps and examples, which are the run's own settings."""
        return tuple(f for f in fields(cls.Options) if f.name not in ("seed", "steps", "examples"))

    @classmethod
    def search(cls, fixed: Mapping[str, Value]) -> dict[str, tuple[Value, ...]]:
        """What sizes the noise at its scale, then γ and β."""
        size, _ = SIZES.get(str(fixed.get("scale", cls.Options().scale)), ("", ""))
        return {name: SEARCHED[name] for name in (size, "gamma", "beta") if name in SEARCHED}

    def noise(self, seed: int, steps: int = 0, examples: int = 0) -> tuple[Noise, Scope]:
        """That of its options."""
        return self.options.noise(seed, steps, examples), self.options.scope

    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The training's optimizer with noise."""
        noise, scope = self.noise(training.seed, training.steps, training.examples)
        if setups.optimizers()[training.optimizer].joins_noise and noise.keep != "transient":
            optimizer = base_optimizer(model, training, noise, scope)
            self._stats = cast(Adamax, optimizer).stats
        else:
            optimizer = base_optimizer(model, training, scope=scope)
            self._stats = perturb(optimizer, model, noise, scope).stats
        return optimizer

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """How much noise the last step added, by parameter."""
        return self._stats()


class PatsPaper(Pats):
    """The base optimizer's update, then sensitivity-aware noise of constant size (Algorithm 1)."""

    name = "pats-paper"
    summary = "noise at every step, larger where a parameter is less sensitive, as the paper has it"
    sentence = "PATS as published (noise according to sensitivity, Zhang et al. 2022)"
    source = "Zhang et al., 2022"
    Options = PaperOptions
