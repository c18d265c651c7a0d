"""What a training's optimizer is, by the name that ``Run.optimizer`` has for it."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from pats._noise import Noise


class Rates(NamedTuple):
    """The settings that every optimizer of a run has."""

    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float


class BaseOptimizer(ABC):
    """An optimizer of a run, which a method may add to or replace.

    A subclass in a module of ``pats.setups`` is found by its ``name``.

    Attributes:
        name: What it is called.
        family: ``"adamax"`` or ``"adamw"``: whose learning rates it takes, and which of SAGE's two variants.
        joins_noise: ``build`` takes noise, and adds it in the step itself; else ``pats.perturb`` is attached.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    joins_noise: ClassVar[bool] = False

    @abstractmethod
    def build(
        self, groups: ParamsT, rates: Rates, noise: Noise | None = None, foreach: bool | None = None
    ) -> Optimizer:
        """The optimizer.

        Args:
            groups: Parameter groups, as ``pats.param_groups`` makes them.
            rates: The run's settings.
            noise: The noise of PATS, where it is joined.
            foreach: As torch.
        """
