"""Build the real tables that PATS and other systems are measured on, with their splits.

    python -m benchmarks.real_tables --data GLUE                  # all, into out/tables
    python -m benchmarks.real_tables --data GLUE --tables films messages
    python -m benchmarks.real_tables --list

Each has a folder with ``table.csv`` and a file a split, ``NAME-0.csv`` and so on, whose column ``split``
says train, dev or test; ``tables.json`` lists them. ``benchmarks/real/table.py`` has the splits' rule.
Sources come through pip and apt, once, and from GLUE's folder. No text of theirs belongs into the project.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import record
from benchmarks.real.sources import SOURCES
from benchmarks.real.table import Table, enter, write

OUT = record.ROOT / "out" / "tables"
SPLITS = 5


def line(table: Table) -> str:
    """What a person wants to know of a table, in a line."""
    about = table.about
    classes = "scores" if table.classes is None else f"{table.classes} {about.kind}"
    share = "" if table.largest is None else f", largest {table.largest:.0%}"
    what = f"{table.rows:5} rows, {classes}{share}, {table.words} words, {about.language}, {table.metric}"
    more = f"{about.covers}; labels: {about.quality}; {about.licence}; from {about.source}"
    return f"{about.name:17}{what}\n{'':17}{more}"


def main() -> int:
    """Build, or list; returns 1 where a table could not be built."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [source.about.name for source in SOURCES]
    parser.add_argument("--tables", nargs="+", choices=names, metavar="NAME", help="(default: all)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: out/tables)")
    parser.add_argument(
        "--data", type=Path, default=record.ROOT.parent / "shared" / "glue", help="GLUE's folder"
    )
    parser.add_argument("--splits", type=int, default=SPLITS, help="how many (default: 5)")
    parser.add_argument("--list", action="store_true", help="list the tables that can be built, and stop")
    asked = parser.parse_args()
    if asked.list:
        print(*(f"{s.about.name:17}{s.about.covers}; from {s.about.source}" for s in SOURCES), sep="\n")
        return 0
    raw, failed = asked.out / "sources", []
    for source in SOURCES:
        if asked.tables and source.about.name not in asked.tables:
            continue
        try:
            rows, test = source.read(raw, asked.data), source.test(raw, asked.data)
            table = write(asked.out, source.about, rows, test, asked.splits)
        except (SystemExit, OSError) as error:
            failed.append(source.about.name)
            print(f"{source.about.name} is not built: {error}", file=sys.stderr)
            continue
        enter(asked.out, table)
        print(line(table), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
