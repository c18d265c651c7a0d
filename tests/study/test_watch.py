import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from pats.run.spec import Run
from pats.study import watch
from pats.study.plan.grid import Study
from pats.study.store.attempt import end, write_error
from pats.study.store.results import Store
from support.made_results import make_result

STUDY = Study(tasks=("rte",), methods=("vanilla", "pats"), seeds=2, lr=1e-4, run=Run(), baselines=())


@pytest.fixture
def store(tmp_path):
    """One run done, one under way, one failed, one waiting."""
    store, runs = Store(tmp_path), [run for cell in STUDY.cells() for run in cell.runs]
    done, running, failed, _ = runs
    attempt = store.claim(done)
    (attempt / "result.json").write_text(make_result(done, [0.5, 0.4]).to_json())
    store.commit(attempt, done.id)
    attempt = store.claim(running)
    lines = [
        {"event": "progress", "step": 5, "steps": 20, "epoch": 2.5, "loss": 0.25},
        {"event": "heartbeat"},
    ]
    (attempt / "events.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"event": "epo')
    attempt = store.claim(failed)
    write_error(attempt, "the data are gone")
    end(attempt, "failed")
    return store


def test_look(store):
    done, running, failed, waiting = watch.look(store, STUDY.cells())
    assert (done.state, done.score, done.share) == ("done", 50.0, 1.0)
    assert (running.state, running.epoch, running.loss, running.share) == ("running", 2.5, 0.25, 0.25)
    assert (failed.state, failed.error) == ("failed", "the data are gone")
    assert (waiting.state, waiting.share) == ("waiting", 0.0)
    json.dumps(running.to_dict())


def test_an_attempt_without_its_process_waits(store):
    running = watch.look(store, STUDY.cells())[1]
    end(store.attempts(running.run_id)[0], "lost")
    assert watch.look(store, STUDY.cells())[1].state == "waiting"


def test_attempts_are_counted_and_the_last_word_is_an_earlier_ones(store):
    running = watch.look(store, STUDY.cells())[1]
    assert running.attempts == 1
    end(store.attempts(running.run_id)[0], "lost")
    store.claim(next(run for run in STUDY.runs() if run.id == running.run_id))
    again = watch.look(store, STUDY.cells())[1]
    assert (again.state, again.attempts, again.share) == ("running", 2, 0.25)
    assert "attempt 2" in watch._now([again])


def test_what_has_not_changed_is_not_read_again(store, monkeypatch):
    cells = [cell.to_dict() for cell in STUDY.cells()]
    store.save_study({"cells": cells[:1]})
    watched, reads = watch.Watched(store), []
    read = store.study
    monkeypatch.setattr(store, "study", lambda: reads.append(1) or read())
    assert len(watched.look()) == len(watched.look()) == 2
    assert len(reads) == 1
    store.save_study({"cells": cells})
    assert len(watched.look()) == 4


def test_a_diverged_run_is_failed(tmp_path):
    store, run = Store(tmp_path), STUDY.runs()[0]
    attempt = store.claim(run)
    result = make_result(run, [], status="failed", error="the loss is not finite")
    (attempt / "result.json").write_text(result.to_json())
    store.commit(attempt, run.id)
    state = watch.look(store, STUDY.cells())[0]
    assert (state.state, state.error) == ("failed", "the loss is not finite")


def test_draw(store):
    console = Console(file=io.StringIO(), width=120)
    console.print(watch.draw(watch.look(store, STUDY.cells()), 200))
    text = console.file.getvalue()
    assert "1 of 4 runs done, 1 running, 1 failed, about 3 min left" in text
    assert "seed 1: epoch 2.5, loss 0.250" in text
    assert "seed 0 failed: the data are gone" in text


def test_a_long_failure_takes_no_room_from_the_names(store):
    states = [replace(state, error="the data are gone, " * 20) for state in watch.look(store, STUDY.cells())]
    console = Console(file=io.StringIO(), width=80)
    console.print(watch.draw(states, None))
    lines = console.file.getvalue().splitlines()
    assert lines[2].split() == ["task", "model", "method", "done", "now"]  # below the bar
    assert any(line.split()[:3] == ["rte", "minilm", "vanilla"] for line in lines)
    assert any("seed 0 failed: the data are gone" in line for line in lines)


def test_lines_where_there_is_no_terminal(store):
    console, cells = Console(file=io.StringIO(), width=40), STUDY.cells()
    with watch.Display(store, cells, console) as display:
        display.tick()
        display.changed(cells[0].runs[0])
        display.changed(cells[1].runs[0])
    assert console.file.getvalue().splitlines() == [
        "[1/4] rte minilm vanilla seed 0: dev 50.0",
        "[1/4] rte minilm pats seed 0: failed: the data are gone",
    ]


def test_clock(store):
    clock, states = watch.Pace(), watch.look(store, STUDY.cells())
    assert clock.left(states) is None
    assert clock.left(states) is None  # nothing has moved
    finished = [*states[:3], states[0]]
    assert clock.left(finished) >= 0
