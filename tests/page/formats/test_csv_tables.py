import csv
import io

import pytest

from pats.page.formats import csv_tables
from pats.page.numbers import tables
from support.made_results import make_cell


def test_csv():
    cells = [make_cell("vanilla", [0.5, None]), make_cell("pats", [(0.6), (0.7)])]
    rows = list(csv.DictReader(io.StringIO(csv_tables.table_csv(tables.groups(cells)))))
    assert [row["method"] for row in rows] == ["vanilla", "pats"]
    assert (rows[0]["n"], rows[0]["failed"], rows[0]["difference"]) == ("1", "1", "")
    assert float(rows[1]["difference"]) == pytest.approx(10.0)
    runs = list(csv.DictReader(io.StringIO(csv_tables.runs_csv(cells))))
    assert [(run["seed"], run["status"]) for run in runs] == [
        ("0", "done"),
        ("1", "failed"),
        ("0", "done"),
        ("1", "done"),
    ]
    assert (float(runs[2]["best"]), runs[2]["best_epoch"], runs[2]["test"]) == (0.6, "1", "")
