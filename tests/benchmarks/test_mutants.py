"""Faults in the code, and the bench that makes them."""

import json

import pytest
import yaml

pytest.importorskip("cosmic_ray", reason="needs Cosmic Ray")

from benchmarks import mutants, record, tables
from benchmarks.mutants import PARTS, Bench, Fault, faults
from benchmarks.tables import rows_of

ANSWERS = ("tests/test_philox.py::test_known_answers",)


def test_faults_are_the_same_at_every_call_and_change_one_place():
    found = faults("philox")
    assert found == faults("philox")
    assert len({fault.change() for fault in found[:20]}) > 1
    for fault in found[:20]:
        before, after = fault.path.read_text(), fault.applied()
        lines = [*zip(before.splitlines(), after.splitlines(), strict=True)]
        assert [number for number, (old, new) in enumerate(lines, 1) if old != new]


def test_types_are_left_as_they_are():
    code = "def f(x: int | None, y: int = 1 | 2) -> int | str:\n    z: int | str = 1 | 4\n    return z | 8\n"
    silent = {*mutants._silent(code)}
    bars = [
        (number, column)
        for number, line in enumerate(code.splitlines(), 1)
        for column, character in enumerate(line)
        if character == "|"
    ]
    assert [place in silent for place in bars] == [True, False, True, True, False, False]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_faults_and_tests(part):
    assert len(faults(part)) >= 50
    assert all((mutants.record.ROOT / test).exists() for test in PARTS[part].tests)


def test_a_fault_is_noticed_and_right_code_is_not(tmp_path):
    bench = Bench(tmp_path)
    multiplier = next(
        fault for fault in faults("philox") if "_MULTIPLIER_0, _MULTIPLIER_1 =" in fault.change()
    )
    assert "test_known_answers" in (bench.notices(multiplier, ANSWERS, 120) or "")
    assert bench.notices(None, ANSWERS, 120) is None  # the fault is gone
    message = Fault("philox", "philox.py", "core/NumberReplacer", 0, 1)
    assert bench.notices(message, ANSWERS, 0.01) == "did not end"


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """The faults that ``measure`` tries; tests notice those of odd lines."""
    found = []

    def notices(self, fault, tests, seconds):
        if fault is None:
            return None
        found.append(fault.change())
        return "a test" if fault.line % 2 else None

    monkeypatch.setenv(record.TRY, "1")
    monkeypatch.setattr(record, "TRIED", tmp_path)
    monkeypatch.setattr(Bench, "notices", notices)
    return found


def test_what_is_known_is_not_tried_again_but_what_survived_may_be(tried):
    mutants.measure(["philox"], 8, 1, 1)
    rows = rows_of(record.read("mutants", record.TRIED))
    assert len(tried) == len(rows) == 8
    survived = sorted(row["change"] for row in rows if not row["noticed"])
    assert 0 < len(survived) < 8
    tried.clear()
    mutants.measure(["philox"], 8, 1, 1)
    assert tried == []
    mutants.measure(["philox"], 8, 1, 1, again=True)
    assert sorted(tried) == survived


def test_rows_of_faults_that_the_code_no_longer_has_are_dropped(tried, monkeypatch):
    mutants.measure(["philox"], 8, 1, 1)
    before = {*tried}
    lost = sorted(before)[0]
    monkeypatch.setattr(mutants, "faults", lambda part: [one for one in faults(part) if one.change() != lost])
    tried.clear()
    mutants.measure(["philox"], 8, 1, 1)
    left = {row["change"] for row in rows_of(record.read("mutants", record.TRIED))}
    assert lost not in left
    assert before - {lost} <= left
    assert left == before - {lost} | {*tried}


def test_the_page_counts_and_says_why(tried, tmp_path, monkeypatch):
    mutants.measure(["philox"], 8, 1, 1)
    results = record.read("mutants", record.TRIED)
    lost = [row for row in rows_of(results) if not row["noticed"]]
    known = tmp_path / "survivors.yaml"
    known.write_text(json.dumps([{"module": "philox.py", "change": lost[0]["change"], "why": "it is equal"}]))
    monkeypatch.setattr(tables, "SURVIVORS", known)
    page = tables.mutants(results)
    share = f"{100 * (8 - len(lost)) / 8:.0f} %"
    assert f"| philox | {lost[0]['of']} | 8 | {8 - len(lost)} | {share} |" in page
    ends = [line.rsplit(" | ", 1)[1] for line in page.splitlines() if line.startswith("| `philox.py`")]
    assert ends == ["it is equal |", *["open |"] * (len(lost) - 1)]


def test_reasons_are_about_faults_that_survived():
    results = record.read("mutants")
    assert results is not None
    known = {(row["module"], row["change"]) for row in rows_of(results) if not row["noticed"]}
    told = yaml.safe_load(tables.SURVIVORS.read_text("utf-8"))
    assert all(one["why"] and (one["module"], one["change"]) in known for one in told)
