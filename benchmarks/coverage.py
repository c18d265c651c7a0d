"""Which statements of `src/pats` the tests run.

    python -m benchmarks.coverage              # all of `make test`, and slower than it
    python -m benchmarks.coverage --again      # once more what failed in it, counted with the rest
    python -m benchmarks.coverage tests/cli    # some of it; writes no result file

Workers and commands that the tests start are counted, too, unless they are killed. Triton's kernels are left
out: the interpreter runs a copy of them that the counting does not see.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import record

NAME = "coverage"
FOLDER = record.ROOT / "out" / "coverage"
SOME = record.ROOT / "out" / "coverage-some"  # counts of some tests, which must not go on as those of all
COVERAGE = (sys.executable, "-m", "coverage")
TESTS = ("-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "--timeout", "900")


def counted(tests: Sequence[str], folder: Path = FOLDER, again: bool = False) -> tuple[int, dict[str, Any]]:
    """Run tests; pytest's exit code, and what coverage.py tells of every file.

    Args:
        tests: Files and folders; none for all.
        folder: For the counts; made anew unless those of before go on.
        again: Run only what failed last time, and add to the counts of before.
    """
    if not again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=again)
    tests = ("--last-failed", *tests) if again else tests
    told = {"COVERAGE_FILE": str(folder / "data"), "OMP_NUM_THREADS": "1", "PATS_REQUIRE_KERNEL": "1"}
    env = os.environ | told
    code = subprocess.run([*COVERAGE, "run", *TESTS, *tests], cwd=record.ROOT, env=env).returncode
    out = folder / "coverage.json"
    for words in (
        ("combine", "--quiet", "--append"),
        ("json", "--quiet", "--include", "src/pats/*", "-o", str(out)),
    ):
        subprocess.run([*COVERAGE, *words], cwd=record.ROOT, env=env, check=True)
    return code, json.loads(out.read_text(encoding="utf-8"))["files"]


def rows_of(files: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for every module that has statements, the one with the largest part missed first."""
    rows = []
    for path, told in files.items():
        found = told["summary"]
        if found["num_statements"]:
            name = Path(path).relative_to("src/pats").as_posix()
            many, missed = found["num_statements"], found["missing_lines"]
            share = round(100 * (1 - missed / many), 1)
            rows.append({"module": name, "statements": many, "missed": missed, "percent": share})
    return sorted(rows, key=lambda row: (row["percent"], row["module"]))


def main() -> int:
    """Run, tell and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tests", nargs="*", help="files and folders (default: all)")
    parser.add_argument("--again", action="store_true", help="only what failed last time")
    asked = parser.parse_args()
    recording = None if asked.tests else record.start(NAME)
    code, files = counted(asked.tests, SOME if asked.tests else FOLDER, asked.again)
    rows = rows_of(files)
    whole = sum(row["statements"] for row in rows)
    share = round(100 * (1 - sum(row["missed"] for row in rows) / whole), 2)
    for row in rows[:20]:
        print(f"{row['percent']:5.1f} %  {row['module']}")
    print(f"{share} % of {whole} statements")
    if code:
        print("tests failed: nothing is written", file=sys.stderr)
    elif recording is not None:
        recording.put(rows, summary={"statements": whole, "percent": share})
    return code


if __name__ == "__main__":
    sys.exit(main())
