"""Follow the README as a newcomer, from a clean environment to a model for a table; how long each step takes.

    python -m benchmarks.real_tables --data GLUE --tables films    # first: a table of real texts
    python -m benchmarks.newcomer

The commands on the table are the README's own, word for word, with the table's path in place of
``reviews.csv``. PATS is installed from this checkout, torch as ``constraints.txt`` pins it. How long pip
takes depends on the network.
"""

import argparse
import csv
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.real_tables import OUT as TABLES
from benchmarks.release import pinned, run
from pats.baselines import is_simple
from pats.run.model.exported import read_mark
from pats.run.result import Result

NAME = "newcomer"
SECTION = "## You have a table of texts and labels"
NEW = 20  # texts that the model is asked for


def commands(readme: str) -> list[list[str]]:
    """The words of the commands in the first block of the README's section on tables."""
    block = re.search(r"```sh\n(.*?)```", readme.partition(SECTION)[2], re.DOTALL)
    if block is None:
        raise SystemExit(f"the README has no commands under {SECTION!r}")
    return [words for line in block[1].splitlines() if (words := shlex.split(line, comments=True))]


def steps(readme: str, table: Path, work: Path) -> Iterator[tuple[str, float]]:
    """Take every step in a folder; its name and its seconds."""
    bin_folder, root = work / "venv" / "bin", record.ROOT
    shorter = work / "new.csv"
    with (
        table.open(newline="", encoding="utf-8") as file,
        shorter.open("w", newline="", encoding="utf-8") as new,
    ):
        rows = [row for row, _ in zip(csv.reader(file), range(NEW + 1), strict=False)]
        csv.writer(new).writerows(row[:1] for row in rows)
    pip: list[str | Path] = [bin_folder / "python", "-m", "pip", "install", "--quiet"]
    installs: list[tuple[str, list[str | Path]]] = [
        ("make an environment", [sys.executable, "-m", "venv", work / "venv"]),
        ("install torch", [*pip, pinned("torch")]),
        ("install PATS", [*pip, "-c", root / "constraints.txt", f"{root}[demo]"]),
    ]
    places = {"reviews.csv": str(table), "new.csv": str(shorter)}
    own: list[tuple[str, list[str | Path]]] = [
        (" ".join(words[:2]), [bin_folder / words[0], *(places.get(word, word) for word in words[1:])])
        for words in commands(readme)
    ]
    for name, command in [*installs, *own]:
        began = time.perf_counter()
        run(command, cwd=work)
        yield name, time.perf_counter() - began


def found(work: Path) -> dict[str, Any]:
    """What the comparison trained, and what it chose."""
    (model,) = work.glob("out/*/model")
    results = [Result.from_json(path.read_text("utf-8")) for path in work.glob("out/*/runs/*/result.json")]
    run_id = (read_mark(model) or {}).get("run_id")
    (chosen,) = [result for result in results if result.run_id == run_id]
    return {
        "fine_tuned_runs": len([result for result in results if not is_simple(result.run.method)]),
        "chosen": chosen.run.method,
        "dev": round(100 * (chosen.best or 0.0), 1),
        "metric": chosen.metric,
    }


def main() -> int:
    """Follow the README, tell and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--table",
        type=Path,
        default=TABLES / "films" / "table.csv",
        help="a table with texts in its first column (default: out/tables/films/table.csv)",
    )
    asked = parser.parse_args()
    recording = record.start(NAME)
    table = asked.table.resolve()
    with tempfile.TemporaryDirectory(prefix="pats-newcomer-") as name:
        work = Path(name)
        rows, total = [], 0.0
        for step, seconds in steps((record.ROOT / "README.md").read_text("utf-8"), table, work):
            rows.append({"step": step, "seconds": round(seconds, 1)})
            total += seconds
            print(f"{step}: {seconds:.0f} s", flush=True)
        with table.open(newline="", encoding="utf-8") as file:
            size = sum(1 for _ in csv.reader(file)) - 1
        summary = {"seconds": round(total, 1), "table": table.parent.name, "rows": size, **found(work)}
    print(summary)
    recording.put(rows, summary=summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
