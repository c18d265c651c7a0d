"""A run of seconds on a tiny model and a table."""

from pathlib import Path
from typing import Any

from pats.run import Run


def small_run(model: Path, data: Path, **changes: Any) -> Run:
    """Two epochs with PATS, in float32 on any machine; ``changes`` are other settings."""
    settings: dict[str, Any] = {
        "method": "pats",
        "lr": 3e-3,
        "epochs": 2,
        "batch_size": 16,
        "precision": "fp32",
        "max_length": 32,
    }
    return Run(model=str(model), data=str(data), **(settings | changes))
