"""Faults in the code, and the bench that makes them."""

import pytest

pytest.importorskip("cosmic_ray", reason="needs Cosmic Ray")

from benchmarks import mutants
from benchmarks.mutants import PARTS, Bench, Fault, faults

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
