"""100,000 steps in float32 and bfloat16 against float64; written to ``benchmarks/results/numerics.json``."""

import math

import pytest
import torch

from benchmarks import record
from pats import Noise
from support import drift

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200), pytest.mark.filterwarnings("ignore")]

STEPS = 100_000


@pytest.mark.parametrize("name", drift.CASES)
def test_a_hundred_thousand_steps_stay_within_what_is_derived(name):
    recording = record.start("numerics", ["numpy", "scipy"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = drift.drift(name, STEPS)
    torch.set_num_threads(threads)
    noise = Noise(steps=STEPS)
    settings = {
        "weights": list(drift.SHAPE),
        "lr": drift.LR,
        "noise": f"budget {noise.size:g}, p {noise.p:g}",
        "unit": "std(W) at the start",
    }
    recording.put(rows, key=("optimizer", "type"), settings=settings)
    for row in rows:
        for limit in ("bound", "likely"):
            assert row["drift"] <= row.get(limit, math.inf), row
