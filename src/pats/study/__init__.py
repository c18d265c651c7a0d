"""Many runs: a ``Study`` or a ``Sweep``, the store of its results, and who places its runs."""

import importlib
from typing import TYPE_CHECKING, Any

from pats.study.spec import Cell, Study

if TYPE_CHECKING:
    from pats.study._compare import compare
    from pats.study._sweep import Sweep, SweepResult, sweep
    from pats.study.job import StudyResult

__all__ = ["Cell", "Study", "StudyResult", "Sweep", "SweepResult", "compare", "sweep"]

# Imported when first used, so that a worker starts without what draws tables.
_LAZY = {
    "StudyResult": "pats.study.job",
    "compare": "pats.study._compare",
    "Sweep": "pats.study._sweep",
    "SweepResult": "pats.study._sweep",
    "sweep": "pats.study._sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
