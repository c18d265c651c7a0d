"""One run: ``Run`` → data → model → ``transformers.Trainer`` with a method → ``Result``."""

import importlib
from typing import TYPE_CHECKING, Any

from pats.run.result import Epoch, Result
from pats.run.spec import Run

if TYPE_CHECKING:
    from pats.measure.bench import Bench, bench
    from pats.measure.check import Check, check
    from pats.measure.distribution import Sensitivities, measure
    from pats.measure.predict import Prediction, predict
    from pats.run.session import finetune

__all__ = [
    "Bench",
    "Check",
    "Epoch",
    "Prediction",
    "Result",
    "Run",
    "Sensitivities",
    "bench",
    "check",
    "finetune",
    "measure",
    "predict",
]

# What needs transformers is imported when it is first used, so that a Run can be made quickly.
_LAZY = {
    "Bench": "_bench",
    "bench": "_bench",
    "Check": "_check",
    "check": "_check",
    "finetune": "_finetune",
    "Prediction": "_predict",
    "predict": "_predict",
    "Sensitivities": "_sensitivity",
    "measure": "_sensitivity",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pats._imports import try_import

    try_import("transformers", "run")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
