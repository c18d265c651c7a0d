"""50 kills of a real run; what they showed is written to ``benchmarks/results/kills.json``."""

import os
import random
import shutil

import pytest

from benchmarks import record
from support.killed_runs import SETTINGS, ending_of, finish_run, kill_once, start_run


@pytest.mark.minilm
@pytest.mark.soak
def test_fifty_kills_at_random_moments(minilm, tmp_path):
    """``PATS_KILLS`` sets another number."""
    recording = record.start("kills")
    finish_run(start_run(tmp_path / "alone"))
    alone = ending_of(tmp_path / "alone")
    rows = []
    for kill in range(int(os.environ.get("PATS_KILLS", "50"))):
        out = tmp_path / str(kill)
        told = kill_once(out, random.Random())
        rows.append({**told, "weights": ending_of(out)[0][:16], "equal": ending_of(out) == alone})
        shutil.rmtree(out)
        write(recording, alone[0][:16], rows)
    assert all(row["equal"] for row in rows)
    assert sum(row["killed"] for row in rows) >= len(rows) // 2


def write(recording, weights, rows):
    """The file, anew after every kill."""
    summary = {
        "weights_left_alone": weights,
        "kills": sum(row["killed"] for row in rows),
        "resumed": sum(row["killed"] and row["resumed_at"] > 0 for row in rows),
        "equal": sum(row["equal"] for row in rows),
    }
    recording.put(
        rows, settings={"run": f"pats run {' '.join(SETTINGS)} --model minilm --method pats"}, summary=summary
    )
