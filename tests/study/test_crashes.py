"""A comparison that is killed or stopped, once in each way; tests/soak kills again and again."""

import random
import signal
import sys

import pytest

from support.killed_studies import (
    alive,
    finish_comparison,
    journal_lines,
    kill,
    kill_in_the_middle,
    living_workers,
    results_by_run,
    start_comparison,
    wait_for,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FINE_TUNING = ("--baselines", "none")  # a process of its own for each baseline would take longest


@pytest.fixture(scope="module")
def left_alone(study_inputs, tmp_path_factory):
    """Folder in which the comparison ran undisturbed, and its output."""
    folder = tmp_path_factory.mktemp("left_alone")
    return folder, finish_comparison(start_comparison(study_inputs, folder, *FINE_TUNING))


def test_a_finished_comparison_does_nothing_and_prints_the_same(study_inputs, left_alone):
    folder, out = left_alone
    before = {path: path.stat().st_mtime_ns for path in folder.glob("out/runs/**/*")}
    assert finish_comparison(start_comparison(study_inputs, folder, *FINE_TUNING)) == out
    assert {path: path.stat().st_mtime_ns for path in folder.glob("out/runs/**/*")} == before


def test_killed_coordinator(study_inputs, left_alone, tmp_path):
    goal, out = random.Random().randint(1, 12), tmp_path / "out"
    process = start_comparison(study_inputs, tmp_path, *FINE_TUNING)
    wait_for(lambda: len(journal_lines(out)) >= goal, process)
    children = living_workers(out)
    kill(process)
    wait_for(lambda: not any(alive(child) for child in children), seconds=10)
    assert finish_comparison(start_comparison(study_inputs, tmp_path, *FINE_TUNING)) == left_alone[1]
    assert results_by_run(out) == results_by_run(left_alone[0] / "out")


def test_killed_worker(study_inputs, left_alone, tmp_path):
    process, out = start_comparison(study_inputs, tmp_path, *FINE_TUNING), tmp_path / "out"
    wait_for(lambda: kill_in_the_middle(out))
    assert finish_comparison(process) == left_alone[1]
    assert results_by_run(out) == results_by_run(left_alone[0] / "out")
    assert any(path.name.startswith("2-") for path in out.glob("runs/*/attempts/*"))


def test_ctrl_c(study_inputs, tmp_path):
    # So many runs that the signal comes in the middle, however late this process sees the first epoch.
    process, out = start_comparison(study_inputs, tmp_path, *FINE_TUNING, "--seeds", "8"), tmp_path / "out"
    wait_for(lambda: any('"epoch"' in line for line in journal_lines(out)))
    children = living_workers(out)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "pats: stopped; the same command goes on where this one was"
    assert children
    assert not any(alive(child) for child in children)
    assert not (out / "coordinator.json").exists()
