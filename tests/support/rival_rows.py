"""Rows as ``benchmarks/rivals.py`` measures them, with made-up scores."""

from collections.abc import Iterator, Sequence
from typing import Any


def rows(**found: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Rows of a table: of each system its scores by split, and what PATS recommended."""
    for system, values in found.items():
        for split, value in enumerate(values):
            advised, value = value if isinstance(value, tuple) else (system, value)
            yield {
                "table": "fruit",
                "split": split,
                "system": system,
                "metric": "accuracy",
                "rows": 900,
                "status": "done" if value is not None else "out of time",
                "recommended": advised,
                "scores": {} if value is None else {"accuracy": value},
                "seconds": 60.0 * (split + 1),
                "peak_gb": 1.5,
                "flags": [],
                "limit": 300.0,
                "told": f"first of {system}\n" + "line\n" * 8 + f"last of {split}, {'x' * 300}",
            }
