"""Runs that are stopped at a moment of one's choice, and what two runs must have in common."""

import hashlib
import json


class Stop(Exception):
    pass


def lasting_content(result):
    """A result without what may differ between two runs of the same settings."""
    values = json.loads(result.to_json())
    return {k: v for k, v in values.items() if k not in ("timings", "environment")}


def weights_digest(folder):
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def stop_at(kind, count):
    seen = []

    def listener(event):
        seen.append(event["event"])
        if seen.count(kind) == count and event["event"] == kind:
            raise Stop

    return listener
