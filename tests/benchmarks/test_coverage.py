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


def test_what_failed_is_run_again_and_counted_with_the_rest(tmp_path):
    """Two tests of one file; the second fails, and passes when the mark that it asks for is there."""
    mark, tests = tmp_path / "mark", tmp_path / "test_two.py"
    tests.write_text(
        "from pathlib import Path\nimport pats.philox, pats.baselines\n"
        "def test_one():\n    pats.philox.key(0, 'a')\n"
        f"def test_two():\n    assert Path({str(mark)!r}).exists()\n    import pats.baselines.tfidf\n"
    )
    asked = ["-n", "0", "-o", f"cache_dir={tmp_path / 'cache'}", str(tests)]
    code, files = coverage.counted(asked, tmp_path / "counts")
    once = {row["module"]: row["percent"] for row in coverage.rows_of(files)}
    assert (code, once["baselines/tfidf.py"]) == (1, 0)
    mark.touch()
    code, files = coverage.counted(asked, tmp_path / "counts", again=True)
    both = {row["module"]: row["percent"] for row in coverage.rows_of(files)}
    assert code == 0
    assert both["baselines/tfidf.py"] > 0
    assert both["philox.py"] == once["philox.py"] > 20  # of the test that did not run again


@pytest.mark.parametrize(("code", "writes"), [(0, True), (1, False)])
def test_only_a_run_that_passes_is_written(checkout, monkeypatch, capsys, code, writes):
    asked, files = [], {"src/pats/a.py": told(10, 1), "src/pats/b.py": told(30, 1)}
    monkeypatch.setattr(coverage, "NAME", "two")
    monkeypatch.setattr(
        coverage, "counted", lambda tests, folder, again: asked.append(folder) or (code, files)
    )
    monkeypatch.setattr(sys, "argv", ["coverage", "tests/cli"])
    assert coverage.main() == code
    assert not (checkout.root / "benchmarks" / "results" / "two.json").exists()  # of some tests, never
    monkeypatch.setattr(sys, "argv", ["coverage"])
    assert coverage.main() == code
    assert asked == [coverage.SOME, coverage.FOLDER]
    path = checkout.root / "benchmarks" / "results" / "two.json"
    assert path.exists() == writes
    if writes:
        assert json.loads(path.read_text())["summary"] == {"statements": 40, "percent": 95.0}
    assert "95.0 % of 40 statements" in capsys.readouterr().out
