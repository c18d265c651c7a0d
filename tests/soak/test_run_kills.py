"""50 kills of a real run; what they showed is written to ``benchmarks/results/kills.json``."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from pats.run import environment
from support.killed_runs import SETTINGS, ended, finish, kill_once, start

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "kills.json"


@pytest.mark.minilm
@pytest.mark.soak
def test_fifty_kills_at_random_moments(minilm, tmp_path):
    """``PATS_KILLS`` sets another number."""
    finish(start(tmp_path / "alone"))
    alone = ended(tmp_path / "alone")
    rows = []
    for kill in range(int(os.environ.get("PATS_KILLS", "50"))):
        out = tmp_path / str(kill)
        told = kill_once(out)
        rows.append({**told, "weights": ended(out)[0][:16], "equal": ended(out) == alone})
        shutil.rmtree(out)
        write(alone[0][:16], rows)
    assert all(row["equal"] for row in rows)
    assert sum(row["killed"] for row in rows) >= len(rows) // 2


def write(weights, rows):
    """The file, anew after every kill."""
    device = torch.device("cpu")
    told = environment.describe(device, False)
    content = {
        "command": "python -m pytest -m soak tests/soak/test_run_kills.py",
        "run": f"pats run {' '.join(SETTINGS)} --method pats",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {key: told[key] for key in ("cpu", "cores", "system", "python", "packages", "git")},
        "weights_left_alone": weights,
        "kills": sum(row["killed"] for row in rows),
        "resumed": sum(row["killed"] and row["resumed_at"] > 0 for row in rows),
        "equal": sum(row["equal"] for row in rows),
        "rows": rows,
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
