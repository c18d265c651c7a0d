"""What the files of figures look like that ``pats report`` reads: see ``pats._schema``."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class _Part(TypedDict):
    entries: int
    mean: float
    cv: float
    gini: float
    insensitive: float


class _Whole(TypedDict):
    first: int
    counts: list[int]
    sums: list[float]
    window: list[int]
    squares: float
    zeros: int
    below: int
    above: int
    not_finite: int


class _Model(TypedDict):
    label: str
    task: str
    reduce: str
    batches: int
    batch_size: int
    whole: _Whole
    by_layer: Mapping[str, _Part]
    by_kind: Mapping[str, _Part]


class _Sensitivity(TypedDict):
    models: list[_Model]


class _Point(TypedDict):
    method: str
    fraction: float
    examples: int
    seed: int
    score: float | None
    constant: NotRequired[bool]
    std: float | None
    cv: float | None
    gini: float | None
    insensitive: float | None


class _DataSize(TypedDict):
    task: str
    labels: list[str]
    points: list[_Point]


# What the files that ``pats sensitivity`` and ``pats data-size`` write look like.
SHAPES: Mapping[str, Any] = {"sensitivity": _Sensitivity, "data-size": _DataSize}
