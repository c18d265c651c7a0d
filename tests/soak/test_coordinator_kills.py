"""A coordinator killed 30 times at random moments, on runs without training: what the store must stand."""

import random
import subprocess
import sys

import pytest

from benchmarks import record
from pats.study.store.results import Store
from support import coordinator_process
from support.killed_studies import alive, journal_lines, living_workers, wait_for
from support.runs_without_training import make_runs

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

RUNS, SECONDS, KILLS = 24, 3.0, 30


def test_thirty_kills_of_light_runs(tmp_path):
    recording = record.start("coordinator_kills")
    command = [
        sys.executable,
        coordinator_process.__file__,
        "local",
        "",
        str(tmp_path),
        str(RUNS),
        str(SECONDS),
    ]
    draw, done, orphans = random.Random(), [], 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        goal = len(journal_lines(tmp_path)) + draw.randint(0, 20)
        assert wait_for(lambda goal=goal: len(journal_lines(tmp_path)) >= goal, process), (
            process.stderr.read()
        )
        left = living_workers(tmp_path)
        process.kill()
        process.communicate()
        wait_for(lambda left=left: not any(alive(pid) for pid in left), seconds=30)
        orphans += sum(alive(pid) for pid in left)
        done.append(len(list(tmp_path.glob("runs/*/result.json"))))
    assert done[-1] < RUNS  # it was killed in the middle of the work every time
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    store, expected = Store(tmp_path), make_runs(RUNS, SECONDS)
    assert [store.result(run.id).best for run in expected] == [run.data_seed / 10 for run in expected]
    assert all(store.winner(run.id) is not None for run in expected)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/*")}
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/*")} == before
    row = {
        "runs": f"{RUNS} of {SECONDS} s without training",
        "kills": KILLS,
        "results_there_at_each_kill": done,
        "results": RUNS,
        "attempts": len(list(tmp_path.glob("runs/*/attempts/*"))),
        "orphans": orphans,
    }
    recording.put([row])
