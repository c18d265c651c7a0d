"""``pats export``: the runs of a study as a CSV or Parquet file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pats.cli import _parser
from pats.cli._output import write_json
from pats.study.export import write_table
from pats.study.store.results import Store

EXAMPLE = """
pats export out runs.csv
pats export out epochs.parquet --epochs
"""


def main(argv: Sequence[str]) -> int:
    """Write the table that the flags name."""
    parser = _parser.Parser("export", "Write a study's runs as one table; it may still be running.", EXAMPLE)
    parser.add_argument("folder", metavar="OUT", help="folder of the study")
    parser.add_argument("file", metavar="FILE", help="file to write, which ends in .csv or .parquet")
    parser.add_argument(
        "--epochs", action="store_true", help="one row for each evaluation instead of each run"
    )
    parser.add_argument("--json", action="store_true", help="report what was written as JSON on stdout")
    values = parser.read(argv)
    rows = write_table(Store(values["folder"]), Path(values["file"]), epochs=values.get("epochs", False))
    if values.get("json"):
        write_json({"file": values["file"], "rows": rows})
    else:
        sys.stdout.write(f"{rows} rows in {values['file']}\n")
    return 0
