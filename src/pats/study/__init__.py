"""Many runs: a ``Study`` or a ``Sweep``, the store of its results, and who places its runs."""

import importlib
from typing import TYPE_CHECKING, Any

from pats.study.plan.grid import Cell, Study

if TYPE_CHECKING:
    from pats.study.compare import compare
    from pats.study.study_run import StudyResult
    from pats.study.sweep import Sweep, SweepResult, sweep

__all__ = ["Cell", "Study", "StudyResult", "Sweep", "SweepResult", "compare", "sweep"]

# Imported when first used, so that a worker starts without what draws tables.
_LAZY = {
    "StudyResult": "pats.study.study_run",
    "compare": "pats.study.compare",
    "Sweep": "pats.study.sweep",
    "SweepResult": "pats.study.sweep",
    "sweep": "pats.study.sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
