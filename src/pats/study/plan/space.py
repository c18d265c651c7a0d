"""What a sweep searches over: the paper's Table 3 unless another space is given."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pats import methods, paper
from pats._errors import InputError
from pats.run.spec import Run, Value, value_of

RATES = paper.RANGES["lr"]  # every method's, from the paper's Table 3; a method has its own for its options

# Settings of a run that may be searched; every other name is an option of the method.
OF_RUN = ("lr", "weight_decay", "warmup", "batch_size", "clip")

Params = dict[str, Value]


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``, on a logarithmic scale; on a linear one from 0 or below.

    Raises:
        InputError: The ends are not two finite numbers in rising order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"a range is {self.low}..{self.high}, but must rise from a number to another")

    @property
    def log(self) -> bool:
        """Whether the scale is logarithmic."""
        return self.low > 0


Dimension = tuple[Value, ...] | Range
Space = dict[str, Dimension]


def parse(name: str, text: str) -> Dimension:
    """The dimension that a text describes: ``"1e-5,3e-5,1e-4"``, or ``"1e-5..1e-3"`` for a range.

    Raises:
        InputError: It is neither, or names a value twice.
    """
    low, dots, high = text.partition("..")
    if dots:
        try:
            ends = float(low), float(high)
        except ValueError:
            raise InputError(f"the range {text!r} of {name} is not LOW..HIGH with two numbers") from None
        return Range(*ends)
    values = tuple(_value(part.strip()) for part in text.strip("[]() ").split(",") if part.strip())
    if not values or len(set(values)) < len(values):
        raise InputError(
            f"the space of {name} is {text!r}, but must be different values such as 1,2,3, or LOW..HIGH"
        )
    return values


def _value(text: str) -> Value:
    value = value_of(text)
    return value.strip("'\"") if isinstance(value, str) else value


def default(method: str, options: Mapping[str, Value], lr: float | None = None) -> Space:
    """Table 3 for a method, without what is fixed for it.

    Args:
        method: Name of the method.
        options: Its options that are fixed.
        lr: The learning rate, where it is fixed.
    """
    space: Space = {} if lr is not None else {"lr": RATES}
    for part in methods.parts(method):
        fixed = {name.removeprefix(f"{part}."): value for name, value in options.items()}
        searched = methods.find(part).search(fixed)
        space |= {name: values for name, values in searched.items() if name not in fixed}
    return space


def check_space(
    label: str, method: str, options: Mapping[str, Value], space: Mapping[str, Dimension]
) -> None:
    """Make sure that every value of every dimension is one that the method or a run takes.

    Raises:
        InputError: A name or a value is wrong, or nothing is left to search.
    """
    if not space:
        raise InputError(f"there is nothing to search for {label!r}: free its lr, or name a space for it")
    first = {name: _ends(dimension)[0] for name, dimension in space.items()}
    for name, dimension in space.items():
        for value in _ends(dimension):
            of_run, of_method = split(first | {name: value})
            Run(**of_run)  # type: ignore[arg-type]  # its own checks name what is wrong
            methods.create(method, {**options, **of_method})


def _ends(dimension: Dimension) -> Sequence[Value]:
    return (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension


def split(params: Mapping[str, Value]) -> tuple[Params, Params]:
    """Settings of the run, and options of the method."""
    of_run = {name: value for name, value in params.items() if name in OF_RUN}
    return of_run, {name: value for name, value in params.items() if name not in OF_RUN}


def size(space: Mapping[str, Dimension]) -> float:
    """Number of points; infinite with a range."""
    sizes = (math.inf if isinstance(values, Range) else len(values) for values in space.values())
    return math.prod(sizes)
