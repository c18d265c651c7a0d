"""``benchmarks/gpu.sh``: every part has its turn and its time, whatever becomes of the others."""

import os
import re
import subprocess

import pytest

from benchmarks import record

PARTS = ["tests", "step", "scaling", "memory", "end_to_end", "run_vanilla", "run_pats"]


@pytest.mark.parametrize(("python", "code", "exits"), [("true", 0, "0"), ("false", 1, "1")])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_every_part_has_its_turn(tmp_path, python, code, exits, device):
    told = {"PYTHON": python, "DEVICE": device, "OUT": str(tmp_path / "out")}
    script = record.ROOT / "benchmarks" / "gpu.sh"
    done = subprocess.run(["sh", str(script)], env=os.environ | told, capture_output=True, text=True)
    lines = (tmp_path / "out" / "summary.txt").read_text().splitlines()
    assert done.returncode == code
    assert [line.partition(":")[0] for line in lines] == PARTS
    assert all(f"exit {exits}" in line for line in lines)
    log = (tmp_path / "out" / "gpu.log").read_text()
    assert log.count(f"--device {device}") == 4
    assert not list((tmp_path / "out").glob("*step.json"))  # that of an earlier try is none of this one's


def test_all_parts_together_take_eight_minutes_at_most():
    script = (record.ROOT / "benchmarks" / "gpu.sh").read_text()
    seconds = [int(found) for found in re.findall(r'part "?\w+(?:\$method)?"? (\d+) ', script)]
    assert len(seconds) == len(PARTS) - 1
    assert sum(seconds) + seconds[-1] <= 480  # the last one is done twice
