"""Hostile inputs through every door of ``tests/fuzz``, and what became of them.

    python -m benchmarks.fuzz                          # about 21,400 inputs; make fuzz
    python -m benchmarks.fuzz --inputs 100 --seed 7    # fewer, and others
    python -m benchmarks.fuzz --doors requests         # tests/fuzz/test_requests.py; the rest stays as it is

Doors whose inputs are cheap get a multiple of ``--inputs``. The result is written if every input was taken or
refused as it should be, and every planted fault was found; otherwise hypothesis shows the smallest input that
was not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.tables import rows_of

INPUTS = 1010
FOLDER = "tests/fuzz"


def fuzz(inputs: int, seed: int, folder: Path, doors: Sequence[str] = ()) -> int:
    """Run the suite, or some of its files; returns the exit code of pytest."""
    variables = {"PATS_FUZZ_INPUTS": str(inputs), "PATS_FUZZ_TALLY": str(folder), "OMP_NUM_THREADS": "1"}
    words = [
        sys.executable,
        "-m",
        "pytest",
        *([f"{FOLDER}/test_{door}.py" for door in doors] or [FOLDER]),
        "-n",
        "2",
        "--dist",
        "loadfile",
        f"--hypothesis-seed={seed}",
        "--durations=12",
    ]
    return subprocess.run(words, cwd=record.ROOT, env={**os.environ, **variables}).returncode


def main() -> int:
    """Fuzz, tell and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=INPUTS, help="through the doors that cost most")
    parser.add_argument("--seed", type=int, default=1, help="other inputs")
    parser.add_argument("--doors", nargs="+", metavar="DOOR", default=[], help="only these (default: all)")
    asked = parser.parse_args()
    settings = {"inputs": asked.inputs, "seed": asked.seed}
    recording = record.start("fuzz", ["hypothesis", "pytest", "safetensors", "pyarrow", "pyyaml"])
    with tempfile.TemporaryDirectory(prefix="pats-fuzz-") as name:
        code = fuzz(asked.inputs, asked.seed, Path(name), asked.doors)
        tallies = [json.loads(path.read_text()) for path in sorted(Path(name).glob("*.json"))]
    if code:
        print("a door has a fault: nothing is written", file=sys.stderr)
        return 1
    for row in tallies:
        told = ", ".join(f"{row[name]:6} {name}" for name in ("inputs", "taken", "refused"))
        print(f"{row['door']:18} {told}")
    before = record.read("fuzz") if asked.doors else None
    known = rows_of(before) if before is not None and before.settings == settings else []
    rows: dict[str, dict[str, Any]] = {row["door"]: row for row in [*known, *tallies]}
    counted = {name: sum(row[name] for row in rows.values()) for name in ("inputs", "taken", "refused")}
    least = min(row["inputs"] for row in rows.values())
    recording.put(
        tallies,
        key=("door",) if asked.doors else (),
        settings=settings,
        summary={**counted, "doors": len(rows), "least_of_a_door": least, "faults": 0},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
