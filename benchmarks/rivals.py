"""Measure PATS beside other systems on the real tables: quality, time, memory, what each tells.

    python -m benchmarks.real_tables --data GLUE        # first: builds the tables
    python -m benchmarks.rivals                         # all tables, splits and systems; takes many hours
    python -m benchmarks.rivals --tables films messages --systems pats tfidf frozen
    python -m benchmarks.rivals --systems pats tfidf frozen --pats-minutes 5   # what five minutes give
    python -m benchmarks.rivals --show                  # what is known so far; measures nothing
    python -m benchmarks.rivals --tiny                  # a trial of all parts on 40 rows, in two minutes

Every row is kept in ``out/rivals/rows`` as soon as it is known, with the commit and machine it was measured
on, and goes into the result file, those of systems that failed or ran out of time too. So the same command
goes on after a stop, on another machine from the committed file. A row is measured anew if its table has
changed, or with ``--again``.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.real import accept, environment
from benchmarks.real.page import tabled
from benchmarks.real.sources import SOURCES
from benchmarks.real.systems import PATS, SYSTEMS, measure
from benchmarks.real.table import About, Example, Table, enter, index, split_file, write
from benchmarks.real_tables import OUT as TABLES
from benchmarks.real_tables import SPLITS
from pats._schema import build, parse
from pats.run.folder.files import remove, write_atomic

OUT = record.ROOT / "out" / "rivals"
MINUTES = 30.0
PACKAGES = ("scikit-learn",)
TINY = About("tiny", "classes", "made here", "none", "a trial", "made", 40)
TELLING = ("happy", "lovely"), ("awful", "broken")


def tiny(folder: Path) -> None:
    """Write a table of 40 rows, whose words tell its classes."""
    words = ("morning", "train", "soup", "song", "chair")
    rows = [
        Example((f"{first} {word} and {second} {noun}",), label)
        for label, (first, second) in zip(("good", "bad"), TELLING, strict=True)
        for word in words
        for noun in words[:4]
    ]
    enter(folder, write(folder, TINY, rows, (), SPLITS))


def kept(folder: Path) -> list[tuple[dict[str, Any], record.Origin]]:
    """The rows that were measured, each with its origin, in the order of tables, splits and systems."""
    found = [parse(path.read_bytes()) for path in sorted((folder / "rows").glob("*.json"))]
    order = {source.about.name: number for number, source in enumerate(SOURCES)}

    def place(one: dict[str, Any]) -> tuple[int, str, int, int]:
        row = one["row"]
        known = SYSTEMS.index(row["system"]) if row["system"] in SYSTEMS else len(SYSTEMS)
        return order.get(row["table"], -1), row["table"], row["split"], known

    return [(one["row"], build(record.Origin, one["origin"])) for one in sorted(found, key=place)]


def name(table: str, split: int, system: str) -> str:
    """Of a row's file."""
    return f"{table}-{split}-{system}.json"


def keep(row: dict[str, Any], origin: record.Origin, folder: Path) -> None:
    """Keep a row that is known."""
    content = json.dumps({"row": row, "origin": dataclasses.asdict(origin)}, ensure_ascii=False, indent=1)
    write_atomic(folder / "rows" / name(row["table"], row["split"], row["system"]), content.encode())


def restore(folder: Path, results: record.Results | None) -> None:
    """Keep the rows of a result file that are not kept yet: they were measured elsewhere."""
    for one in results.rows if results else ():
        row: dict[str, Any] = {key: value for key, value in one.items() if key != "origin"}
        if results and not (folder / "rows" / name(row["table"], row["split"], row["system"])).exists():
            keep(row, record.origin_of(one, results), folder)


def waiting(
    asked: argparse.Namespace, tables: dict[str, Table], folder: Path
) -> Iterator[tuple[Table, int, str]]:
    """What is still to be measured: all systems on a split, then the next split."""
    for split in range(asked.splits):
        for table in tables.values():
            for system in asked.systems:
                path = folder / "rows" / name(table.about.name, split, system)
                same = path.exists() and parse(path.read_bytes())["row"]["sha256"] == table.sha256
                if asked.again or not same:
                    yield table, split, system


def chosen(asked: argparse.Namespace) -> dict[str, Table]:
    """The tables that were asked for.

    Raises:
        SystemExit: One of them was not built.
    """
    built = index(asked.built)
    names = asked.tables or [*built]
    missing = [one for one in names if one not in built]
    if missing or not built:
        what = ", ".join(missing) or "any table"
        raise SystemExit(
            f"{asked.built} does not hold {what}: build it with python -m benchmarks.real_tables"
        )
    return {one: built[one] for one in names}


def show(rows: Sequence[dict[str, Any]], splits: int) -> None:
    """Print the verdict on every table."""
    print(tabled(accept.HEADS, [accept.cells(one) for one in accept.judge(rows, splits)]))


def put(recording: record.Recording, folder: Path) -> None:
    """Write all kept rows into the result file."""
    measured = kept(folder)
    names = {row["table"] for row, _ in measured}
    about = [dataclasses.asdict(source.about) for source in SOURCES if source.about.name in names]
    sizes = {row["table"]: {"rows": row["rows"], "sha256": row["sha256"]} for row, _ in measured}
    built = index(TABLES)
    for one in about:
        table = built.get(one["name"])
        one |= sizes[one["name"]] | {"classes": table.classes if table else None}
    judged = accept.judge([row for row, _ in measured])
    recording.put(
        [row for row, _ in measured],
        settings={"tables": about},
        summary={
            "passed": [one.table for one in judged if one.passed],
            "not passed": [one.table for one in judged if one.passed is False],
            "unfinished": [one.table for one in judged if one.passed is None],
        },
        origins=[origin for _, origin in measured],
    )


def asked_for() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="(default: all that are built)")
    parser.add_argument("--splits", type=int, default=SPLITS, help="how many, from 0 (default: 5)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS], help="(default: all)")
    parser.add_argument(
        "--time-limit", type=float, default=MINUTES, metavar="MINUTES", help="of a system on a split (30)"
    )
    parser.add_argument(
        "--pats-minutes",
        type=float,
        metavar="MINUTES",
        help="--time-limit of pats compare (default: its own)",
    )
    parser.add_argument("--built", type=Path, default=TABLES, help="the tables (default: out/tables)")
    parser.add_argument("--out", type=Path, default=OUT, help="what is measured (default: out/rivals)")
    parser.add_argument("--again", action="store_true", help="measure known rows again")
    parser.add_argument("--show", action="store_true", help="print what is known so far, and stop")
    parser.add_argument("--tiny", action="store_true", help="a trial on 40 rows, with next to no training")
    asked = parser.parse_args()
    if asked.tiny:
        asked.built, asked.tables, asked.splits = asked.out / "tiny" / "tables", ["tiny"], 1
        os.environ[record.TRY] = "1"
    return asked


def main() -> int:
    """Measure what is not known yet, and record all."""
    asked = asked_for()
    folder: Path = asked.out / "tiny" if asked.tiny else asked.out
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    if not asked.tiny:
        restore(folder, record.read("rivals"))
    if asked.show:
        show([row for row, _ in kept(folder)], asked.splits)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the system that runs, too
    recording = record.start("rivals", PACKAGES)
    if asked.tiny:
        tiny(asked.built)
    tables = chosen(asked)
    others = [system for system in asked.systems if system != PATS]
    python = environment.python(asked.out / "venv") if others else Path(sys.executable)
    flags = ["--time-limit", f"{asked.pats_minutes:g}min"] if asked.pats_minutes else []
    todo = [*waiting(asked, tables, folder)]
    for number, (table, split, system) in enumerate(todo, start=1):
        about = table.about.name
        file = split_file(asked.built, about, split).resolve()
        own = (folder / "work" / f"{about}-{split}-{system}").resolve()
        remove(own)  # runs of another code, or of a call that was stopped, are no part of this one
        row = measure(system, table, split, file, own, python, 60 * asked.time_limit, asked.tiny, flags)
        origin = record.here("rivals", PACKAGES)
        keep(row, origin, folder)
        reached = f"{100 * row['scores'][row['metric']]:.1f}" if row["scores"] else row["status"]
        advised = f", recommends {row['recommended']}" if system == PATS and row["scores"] else ""
        spent = f"{row['seconds']:.0f} s, {row['peak_gb']:.1f} GB"
        print(f"[{number}/{len(todo)}] {about} {split} {system}: {reached}{advised}; {spent}", flush=True)
        put(recording, folder)
    show([row for row, _ in kept(folder)], asked.splits)
    put(recording, folder)  # also what was kept when an earlier call was stopped
    return 0


if __name__ == "__main__":
    sys.exit(main())
