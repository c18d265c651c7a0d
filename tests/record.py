"""Writes what a long test found to ``benchmarks/results``, with the machine and the date."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

SETTINGS = ("PATS_", "RAY_worker")  # variables that change what a long test does


def record(name, command, found, packages=("torch", "transformers")):
    """``benchmarks/results/<name>.json``."""
    from pats.run.environment import cpu_model

    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=RESULTS, capture_output=True, text=True)
    settings = [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith(SETTINGS)]
    content = {
        "command": " ".join([*settings, command]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "packages": {package: version(package) for package in packages},
        **found,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
