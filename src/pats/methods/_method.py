"""What a fine-tuning method is: it says what it changes, and leaves the rest to the run."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from types import UnionType
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_type_hints

from torch import nn
from torch.optim import Optimizer

from pats import optim
from pats._errors import InputError
from pats._noise import Noise
from pats._scope import Scope, param_groups

Value = int | float | bool | str | None
Options = TypeVar("Options")


@dataclass(frozen=True)
class Training:
    """What a method may know of the training that it serves.

    Args:
        optimizer: ``"adamax"`` or ``"adamw"``.
        lr: Peak learning rate.
        betas: Decay rates of the optimizer's moments.
        eps: The optimizer's ε.
        weight_decay: Weight decay of all but biases and norms.
        seed: Seed of the method's own randomness.
        fresh: Canonical names of the parameters that the checkpoint lacked, such as the head's.
    """

    optimizer: str = "adamax"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    seed: int = 0
    fresh: frozenset[str] = field(default=frozenset())


class Method(ABC, Generic[Options]):
    """A fine-tuning method with its options.

    A subclass in a module of ``pats.methods`` is found by its ``name``; its ``Options`` is a frozen
    dataclass whose fields are ``int``, ``float``, ``bool``, ``str``, or one of them ``| None``, each
    with a default, and whose ``__post_init__`` checks the ranges.

    Args:
        options: Values by name; missing ones take their defaults.

    Raises:
        InputError: An option is unknown, of another type, or out of its range.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[Any]]

    def __init__(self, options: Mapping[str, Value] | None = None) -> None:
        self.options: Options = self._parsed(options or {})

    @classmethod
    def option_fields(cls) -> tuple[Field[Any], ...]:
        """The fields of the options that a user may set."""
        return fields(cls.Options)

    @classmethod
    def _parsed(cls, values: Mapping[str, Value]) -> Any:
        known = {f.name for f in cls.option_fields()}
        hints = get_type_hints(cls.Options)
        for name, value in values.items():
            if name not in known:
                allowed = f"its options are: {', '.join(sorted(known))}" if known else "it has none"
                raise InputError(f"method {cls.name!r} has no option {name!r}; {allowed}")
            if not _fits(value, hints[name]):
                raise InputError(
                    f"option {name!r} of method {cls.name!r} is {value!r}, but must be "
                    f"{_in_words(hints[name])}"
                )
        return cls.Options(**values)

    def prepare_(self, model: nn.Module, training: Training) -> None:
        """Change the model in place before training; by default nothing.

        The global random generators must not be used: methods share order and dropout.
        """

    @abstractmethod
    def optimizer(self, model: nn.Module, training: Training) -> Optimizer:
        """The optimizer of the model's trainable parameters."""

    def telemetry(self, optimizer: Optimizer) -> dict[str, dict[str, float]]:
        """Measurements of the last step by parameter name; by default none."""
        return {}


@dataclass(frozen=True)
class NoOptions:
    """A method without options."""


def base_optimizer(
    model: nn.Module, training: Training, noise: Noise | None = None, scope: Scope = "all"
) -> Optimizer:
    """Adamax or AdamW of ``pats.optim`` with the training's settings."""
    classes: dict[str, type[optim.Adamax] | type[optim.AdamW]] = {
        "adamax": optim.Adamax,
        "adamw": optim.AdamW,
    }
    return classes[training.optimizer](
        param_groups(model, scope, training.weight_decay or None),
        lr=training.lr,
        betas=training.betas,
        eps=training.eps,
        weight_decay=training.weight_decay,
        noise=noise,
    )


def require(name: str, value: object, fine: bool, allowed: str) -> None:
    """Raise InputError about an option unless it is fine."""
    if not fine:
        raise InputError(f"{name} is {value!r}, but must be {allowed}")


def _fits(value: object, kind: Any) -> bool:
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, bool) or value is None:
        return type(value) in kinds
    if isinstance(value, int) and float in kinds:
        return True
    return isinstance(value, kinds) and not (isinstance(value, float) and math.isnan(value))


def _in_words(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return " or ".join(words.get(kind, "nothing") for kind in kinds)
