"""What a set-up is: everything about how a run trains that is neither its method nor a plain setting."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from torch.utils.data import Sampler

# What a setting that is given takes the place of: a search of rates, bounds on the steps of an epoch, and
# an end before all seeds.
_REPLACED: Mapping[str, tuple[str, ...]] = {
    "lr": ("lr_grid", "halving"),
    "lr_grid": ("lr_grid", "halving"),
    "epochs": ("min_steps", "max_steps"),
    "seeds": ("all_seeds",),
}


class Preset(NamedTuple):
    """Settings of a run under one name.

    Args:
        summary: What they are, in a few words.
        settings: Values by the names of ``Run``'s fields.
        study: Values of a comparison, by the names of ``Study``'s fields and ``compare``'s arguments.
    """

    summary: str
    settings: Mapping[str, Any]
    study: Mapping[str, Any] = MappingProxyType({})

    def beside(self, given: Collection[str]) -> "Preset":
        """What is left of it beside settings that are given: rates and epochs are in place of its own.

        Args:
            given: Names of the settings.
        """
        gone = {name for one, names in _REPLACED.items() if one in given for name in names}
        settings, study = (
            {name: value for name, value in own.items() if name not in gone}
            for own in (self.settings, self.study)
        )
        return self._replace(settings=settings, study=study)


class Setup:
    """How a run trains. This class leaves everything to the model and to Trainer.

    A subclass in a module of ``pats.setups`` is found by its ``name``.

    Attributes:
        name: What it is called.
        presets: The presets that it brings, by name.
    """

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType({})

    def draw_(self, model: nn.Module, seed: int) -> frozenset[str]:
        """Draw weights of a loaded model at random, in place; by default none.

        Torch's global generators must not be touched.

        Returns:
            The names of the weights that were drawn.

        Raises:
            InputError: The model is not one for this set-up.
        """
        return frozenset()

    def batches(self, rows: int, size: int, seed: int) -> Sampler[list[int]] | None:
        """The batches of every epoch, as indices of rows; None, the default, leaves them to Trainer.

        Args:
            rows: Number of training examples.
            size: Examples a batch.
            seed: Seed of the order.
        """
        return None

    def attached(self, model: nn.Module, task: str | None) -> AbstractContextManager[None]:
        """A context of the whole training in which the model's forward pass is changed; by default not."""
        return nullcontext()

    def exported(self, model: nn.Module, weights: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
        """Weights with which a model computes outside ``attached`` what it does inside; by default its own.

        Args:
            model: The model.
            weights: Its weights by name; None takes its own.
        """
        return weights
