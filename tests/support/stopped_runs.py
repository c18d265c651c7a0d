"""Runs that are stopped at a moment of one's choice, and what two runs must have in common."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pats.run.result import Result


class Stop(Exception):
    pass


def lasting_content(result: Result) -> dict[str, Any]:
    """A result without what may differ between two runs of the same settings."""
    values = json.loads(result.to_json())
    return {k: v for k, v in values.items() if k not in ("timings", "environment")}


def weights_digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def stop_at(kind: str, count: int) -> Callable[[dict[str, Any]], None]:
    seen = []

    def listener(event: dict[str, Any]) -> None:
        seen.append(event["event"])
        if seen.count(kind) == count and event["event"] == kind:
            raise Stop

    return listener
