"""Many runs: a ``Study``, the store of its results, and who places its runs."""

import importlib
from typing import TYPE_CHECKING, Any

from pats.study.spec import Cell, Study

if TYPE_CHECKING:
    from pats.study._compare import StudyResult, compare

__all__ = ["Cell", "Study", "StudyResult", "compare"]


def __getattr__(name: str) -> Any:
    # Imported when first used, so that a worker starts without what draws tables.
    if name not in ("StudyResult", "compare"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("pats.study._compare"), name)
