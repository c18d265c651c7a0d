"""Which statements the tests run: what is made of the counts."""

import json
import sys

import pytest

from benchmarks import coverage


def told(statements, missed):
    return {"summary": {"num_statements": statements, "missing_lines": missed}}


def test_rows_begin_with_what_is_tested_least():
    files = {"src/pats/a.py": told(10, 0), "src/pats/b/c.py": told(8, 2), "src/pats/py.typed.py": told(0, 0)}
    assert coverage.rows_of(files) == [
        {"module": "b/c.py", "statements": 8, "missed": 2, "percent": 75.0},
        {"module": "a.py", "statements": 10, "missed": 0, "percent": 100.0},
    ]


def test_statements_are_counted_where_they_run(tmp_path):
    code, files = coverage.counted(["tests/test_philox.py"], tmp_path / "counts")
    percent = {row["module"]: row["percent"] for row in coverage.rows_of(files)}
    assert code == 0
    assert percent["philox.py"] > 90
    assert percent["baselines/tfidf.py"] == 0  # which nothing there imports


@pytest.mark.parametrize(("code", "writes"), [(0, True), (1, False)])
def test_only_a_run_that_passes_is_written(checkout, monkeypatch, capsys, code, writes):
    files = {"src/pats/a.py": told(10, 1), "src/pats/b.py": told(30, 1)}
    monkeypatch.setattr(coverage, "NAME", "two")
    monkeypatch.setattr(coverage, "counted", lambda tests: (code, files))
    monkeypatch.setattr(sys, "argv", ["coverage"])
    assert coverage.main() == code
    path = checkout.root / "benchmarks" / "results" / "two.json"
    assert path.exists() == writes
    if writes:
        assert json.loads(path.read_text())["summary"] == {"statements": 40, "percent": 95.0}
    assert "95.0 % of 40 statements" in capsys.readouterr().out
