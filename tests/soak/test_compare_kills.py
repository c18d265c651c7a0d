import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks import record
from support.killed_studies import (
    finish_comparison,
    journal_lines,
    kill,
    mounted_disk,
    results_by_run,
    start_comparison,
    wait_for,
)
from support.tiny_bert import make_table, make_tiny_bert

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


KILLS, RANK_KILLS = 30, 6


def test_thirty_kills_at_random_moments(tmp_path):
    recording = record.start("compare_kills")
    make_tiny_bert(tmp_path / "bert")
    make_table(tmp_path / "texts.csv", rows=160)
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    alone.mkdir()
    killed.mkdir()
    printed = finish_comparison(start_comparison(tmp_path, alone, "--seeds", "4"))
    draw, out = random.Random(), killed / "out"
    moments, done = [], []
    for _ in range(KILLS):
        process = start_comparison(tmp_path, killed, "--seeds", "4")
        goal = len(journal_lines(out)) + draw.randint(0, 4)
        held = wait_for(lambda goal=goal: len(journal_lines(out)) >= goal, process)
        kill(process)
        moments.append(len(journal_lines(out)) if held else "after the end")
        done.append(len(results_by_run(out)))
    assert finish_comparison(start_comparison(tmp_path, killed, "--seeds", "4")) == printed
    assert results_by_run(out) == results_by_run(alone / "out")
    assert "after the end" not in moments
    row = {
        "kills": KILLS,
        "events_written_at_each_kill": moments,
        "results_there_at_each_kill": done,
        "runs": len(results_by_run(out)),
        "attempts": len(list(out.glob("runs/*/attempts/*"))),
        "same_table_and_results_as_left_alone": True,
    }
    recording.put([row])


def ranks_at_work(out):
    """Process ids of the ranks of the attempts that have told a step."""
    found = []
    for path in out.glob("runs/*/attempts/*/events.jsonl"):
        if (path.parent / "ended").exists() or (path.parent / "result.json").exists():
            continue
        told = f"{path.parent}\0".encode().removeprefix(f"{out.parent}/".encode())
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes()
                if told in words and b"pats.study.place.launch" not in words:
                    found.append(int(process.name))
    return found


def test_killed_ranks_of_runs_on_two_processes(tmp_path):
    recording = record.start("rank_kills")
    make_tiny_bert(tmp_path / "bert")
    make_table(tmp_path / "texts.csv", rows=160)
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    alone.mkdir()
    killed.mkdir()
    flags = ["--processes", "2", "--workers", "1", "--retries", "100"]
    printed = finish_comparison(start_comparison(tmp_path, alone, *flags))
    draw, out = random.Random(), killed / "out"
    process, kills = start_comparison(tmp_path, killed, *flags), 0
    while process.poll() is None:
        goal = len(journal_lines(out)) + draw.randint(1, 6)
        if not wait_for(lambda goal=goal: len(journal_lines(out)) >= goal, process):
            break
        for pid in draw.sample(ranks_at_work(out), 1) if kills < RANK_KILLS else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    assert finish_comparison(process) == printed
    assert results_by_run(out) == results_by_run(alone / "out")
    assert kills == RANK_KILLS
    attempts = len(list(out.glob("runs/*/attempts/*")))
    assert attempts > len(results_by_run(out))
    row = {
        "ranks_killed": kills,
        "processes_a_run": 2,
        "runs": len(results_by_run(out)),
        "attempts": attempts,
        "same_table_and_results_as_left_alone": True,
    }
    recording.put([row])


def test_a_result_cut_in_half_is_made_again(tmp_path):
    make_tiny_bert(tmp_path / "bert")
    make_table(tmp_path / "texts.csv", rows=160)
    printed, out = finish_comparison(start_comparison(tmp_path, tmp_path)), tmp_path / "out"
    before = results_by_run(out)
    for path in sorted(out.glob("runs/*/result.json")):
        path.write_text(path.read_text()[: path.stat().st_size // 2])
    assert finish_comparison(start_comparison(tmp_path, tmp_path)) == printed
    assert results_by_run(out) == before
    assert len(list(out.glob("runs/*/result.json.broken-*"))) == len(before)


@pytest.fixture
def small_disk(tmp_path):
    with mounted_disk(tmp_path / "disk", 6) as folder:
        yield folder


@pytest.mark.parametrize("free", [0, 40_000, 300_000, 1_000_000])
def test_a_full_disk(small_disk, tmp_path, free):
    make_tiny_bert(tmp_path / "bert")
    make_table(tmp_path / "texts.csv", rows=160)
    printed = finish_comparison(start_comparison(tmp_path, tmp_path))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(6 * 2**20 - free))
    process = start_comparison(tmp_path, small_disk)
    _, error = process.communicate()
    assert process.returncode == 1
    assert "the disk is full" in error or "of the runs failed" in error
    assert "Traceback" not in error
    ballast.unlink()
    assert finish_comparison(start_comparison(tmp_path, small_disk)) == printed
    assert results_by_run(small_disk / "out") == results_by_run(tmp_path / "out")
