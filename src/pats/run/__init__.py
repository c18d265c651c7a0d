"""One run: ``Run`` → data → model → ``transformers.Trainer`` with a method → ``Result``."""

from typing import TYPE_CHECKING, Any

from pats._imports import try_import
from pats.run.result import Epoch, Result
from pats.run.spec import Run
from pats.run.stopping import Stopped

if TYPE_CHECKING:
    from pats.run.session import finetune

__all__ = ["Epoch", "Result", "Run", "Stopped", "finetune"]


def __getattr__(name: str) -> Any:
    # Imported at first use, because it needs transformers: making a Run stays fast.
    if name != "finetune":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try_import("transformers", "run")
    from pats.run.session import finetune

    return finetune
