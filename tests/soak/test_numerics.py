"""100,000 steps in float32 and bfloat16 against float64; written to ``benchmarks/results/numerics.json``."""

import warnings

import pytest
import torch

from benchmarks import record
from pats import Noise
from support import drift

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

STEPS = 100_000
FEWER = {"UPGD(Adamax)": 20_000}  # slow, and nothing is derived for it


def test_a_hundred_thousand_steps_stay_within_what_is_derived():
    recording = record.start("numerics", ["numpy", "scipy"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in drift.CASES:
            rows += drift.drift(name, FEWER.get(name, STEPS))
    torch.set_num_threads(threads)
    noise = Noise(steps=STEPS)
    settings = {
        "weights": list(drift.SHAPE),
        "lr": drift.LR,
        "noise": f"budget {noise.size:g}, p {noise.p:g}",
        "unit": "std(W) at the start",
    }
    recording.put(rows, settings=settings)
    for row in rows:
        for limit in ("bound", "likely"):
            assert row["drift"] <= row.get(limit, float("inf")), row
    assert {row["optimizer"] for row in rows} == set(drift.CASES)
