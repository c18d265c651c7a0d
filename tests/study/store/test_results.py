import json
import os
import time
from pathlib import Path

import pytest

from pats import InputError, Study
from pats.run.spec import Run
from pats.study.store import files, lease
from pats.study.store.attempt import (
    end,
    ended,
    occupy,
    read_error,
    read_handle,
    read_spec,
    write_error,
    write_handle,
)
from pats.study.store.results import Store
from support.made_results import make_result

RUN = Run(task="rte", method="vanilla")


def finish(attempt: Path, score=0.5, run=RUN):
    (attempt / "result.json").write_text(make_result(run, [score]).to_json())
    (attempt / "predictions.csv.gz").write_bytes(b"predictions")
    for name in ("model", "checkpoint"):
        (attempt / name).mkdir()
        (attempt / name / "config.json").write_text("{}")


def free(attempt):
    end(attempt, "lost")
    return attempt


def test_claim_commit_read(tmp_path):
    store = Store(tmp_path)
    assert store.result(RUN.id) is None
    attempt = store.claim(RUN)
    assert attempt.parent == tmp_path / "runs" / RUN.id / "attempts"
    assert Run.from_dict(read_spec(attempt)["run"]) == RUN
    assert store.result(RUN.id) is None
    finish(attempt)
    assert store.commit(attempt, RUN.id)
    assert store.commit(attempt, RUN.id)  # told again, it is still the winner
    assert Store(tmp_path).result(RUN.id) == make_result(RUN, [0.5])
    assert (store.folder(RUN.id) / "predictions.csv.gz").read_bytes() == b"predictions"
    assert store.winner(RUN.id) == attempt


@pytest.mark.parametrize("links", [True, False])
def test_the_first_writer_wins(tmp_path, monkeypatch, links):
    if not links:

        def refuse(source, target):
            raise OSError("no hard links on this file system")

        monkeypatch.setattr(os, "link", refuse)
    store = Store(tmp_path)
    first = free(store.claim(RUN))
    finish(first, 0.5)
    second = tmp_path / "runs" / RUN.id / "attempts" / "2-late"
    second.mkdir()
    finish(second, 0.9)
    assert store.commit(first, RUN.id)
    assert not store.commit(second, RUN.id)
    assert "superseded" in ended(second)
    assert store.result(RUN.id).best == 0.5
    assert store.winner(RUN.id) == first


def test_a_lock_left_by_a_crash_does_not_block(tmp_path):
    source, target = tmp_path / "source", tmp_path / "result.json"
    source.write_text("x")
    (tmp_path / "result.lock").touch()
    assert files._claim_and_copy(source, target)
    assert not files._claim_and_copy(source, target)


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_a_result_cut_short_is_moved_aside_and_made_again(tmp_path, cut):
    store = Store(tmp_path)
    attempt = free(store.claim(RUN))
    finish(attempt)
    store.commit(attempt, RUN.id)
    path = store.folder(RUN.id) / "result.json"
    text = path.read_text()
    path.write_text(text[:cut])
    with pytest.warns(UserWarning, match="not a whole result"):
        assert store.result(RUN.id) is None
    assert len(list(path.parent.glob("result.json.broken-*"))) == 1
    assert not (attempt / "result.json").exists()  # it was the same file
    assert not store.adopt(RUN.id)
    again = store.claim(RUN)
    assert again.name.startswith("2-")
    (again / "result.json").write_text(text)
    assert store.commit(again, RUN.id)
    assert store.result(RUN.id) == make_result(RUN, [0.5])


def test_a_result_that_is_set_aside_leaves_the_other_attempts_alone(tmp_path):
    store = Store(tmp_path)
    free(store.claim(RUN))  # it came to nothing
    other, attempt = (free(store.claim(RUN)) for _ in range(2))
    finish(other)
    finish(attempt)
    store.commit(attempt, RUN.id)
    (store.folder(RUN.id) / "result.json").write_text("")
    with pytest.warns(UserWarning, match="not a whole result"):
        assert store.result(RUN.id) is None
    assert [(one / "result.json").exists() for one in store.attempts(RUN.id)] == [False, True, False]


def test_a_result_is_read_once_until_its_file_is_another(tmp_path):
    store = Store(tmp_path)
    attempt = free(store.claim(RUN))
    finish(attempt)
    store.commit(attempt, RUN.id)
    found = store.result(RUN.id)
    assert store.result(RUN.id) is found
    path = store.folder(RUN.id) / "result.json"
    path.unlink()
    path.write_text(make_result(RUN, [0.75]).to_json())
    assert store.result(RUN.id).best == 0.75


def test_the_winner_of_a_copied_store_is_the_oldest_attempt_of_this_content(tmp_path):
    store = Store(tmp_path)
    first, second = (free(store.claim(RUN)) for _ in range(2))
    finish(first)
    finish(second)
    (store.folder(RUN.id) / "result.json").write_text((first / "result.json").read_text())
    assert store.winner(RUN.id) == first


def test_a_result_of_another_run_is_not_this_ones(tmp_path):
    store = Store(tmp_path)
    attempt = store.claim(RUN)
    (attempt / "result.json").write_text(make_result(Run(task="cola"), [0.5]).to_json())
    (store.folder(RUN.id) / "result.json").write_text((attempt / "result.json").read_text())
    with pytest.warns(UserWarning, match="not a whole result"):
        assert store.result(RUN.id) is None


def checkpoint(attempt, number):
    """A checkpoint as a run leaves it, with the one before it half deleted."""
    folder = attempt / "checkpoint"
    for name in (f"checkpoint-{number}", f"best-{number}", f"checkpoint-{number - 1}"):
        (folder / name).mkdir(parents=True)
        (folder / name / "weights").write_text(name)
    (folder / "progress.json").write_text(json.dumps({"checkpoint": f"checkpoint-{number}"}))


def test_the_next_attempt_goes_on_from_the_checkpoint(tmp_path):
    store = Store(tmp_path)
    first = store.claim(RUN)
    checkpoint(first, 7)
    write_error(free(first), "killed")
    second = store.claim(RUN)
    assert second.name.startswith("2-")
    assert read_error(second) is None
    assert store.attempts(RUN.id) == [first, second]
    found = {path.name for path in (second / "checkpoint").iterdir()}
    assert found == {"progress.json", "checkpoint-7", "best-7"}
    # What a process believed dead still does to its own folder does not reach the new one.
    (first / "checkpoint" / "checkpoint-7" / "weights").unlink()
    assert (second / "checkpoint" / "checkpoint-7" / "weights").read_text() == "checkpoint-7"


@pytest.mark.parametrize("vanishes", [False, True])
def test_the_sealed_checkpoint_before_comes_along_where_it_can(tmp_path, monkeypatch, vanishes):
    store = Store(tmp_path)
    first = store.claim(RUN)
    checkpoint(first, 7)
    (first / "checkpoint" / "checkpoint-6" / "seal.json").write_text("{}")
    free(first)
    link = os.link

    def delete(source, target):
        if vanishes and "checkpoint-6" in str(source):
            raise FileNotFoundError(source)
        link(source, target)

    monkeypatch.setattr(os, "link", delete)
    second = store.claim(RUN)
    assert (second / "checkpoint" / "checkpoint-6" / "weights").exists() != vanishes
    assert (second / "checkpoint" / "checkpoint-7" / "weights").exists()


def test_a_checkpoint_that_vanishes_meanwhile_is_not_used(tmp_path, monkeypatch):
    store = Store(tmp_path)
    first = store.claim(RUN)
    checkpoint(first, 7)
    free(first)

    def vanish(source, target):
        raise FileNotFoundError(source)

    monkeypatch.setattr(os, "link", vanish)
    assert not (store.claim(RUN) / "checkpoint").exists()


def test_a_living_process_is_never_doubled(tmp_path):
    store = Store(tmp_path)
    attempt = store.claim(RUN)  # this process lives
    assert store.held(RUN.id)
    assert store.claim(RUN) is None
    free(attempt)
    assert not store.held(RUN.id)
    assert store.claim(RUN) is not None


def test_an_attempt_is_occupied_once(tmp_path):
    store = Store(tmp_path)
    attempt = store.claim(RUN)
    assert not store.worked_on(attempt)
    assert occupy(attempt)
    assert not occupy(attempt)
    assert store.worked_on(attempt)
    free(attempt)
    assert not store.worked_on(attempt)
    assert not occupy(tmp_path / "nowhere")


def test_an_attempt_of_a_silent_host_can_be_taken(tmp_path):
    store = Store(tmp_path)
    attempt = store.claim(RUN)
    occupy(attempt)
    (attempt / "worker.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
    os.utime(attempt / "worker.json", (time.time() + 3600,) * 2)  # its clock is an hour fast
    assert store.claim(RUN) is None
    assert store.claim(RUN, elsewhere=False) is not None
    assert "superseded by 2-" in ended(attempt)


def test_handles(tmp_path):
    attempt = Store(tmp_path).claim(RUN)
    assert read_handle(attempt) is None
    write_handle(attempt, "42")
    assert read_handle(attempt) == "42"
    free(attempt)
    assert read_handle(attempt) is None


def test_an_end_that_cannot_be_written_down_frees_the_attempt_all_the_same(tmp_path, monkeypatch):
    store = Store(tmp_path)
    attempt = store.claim(RUN)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    end(attempt, "lost")
    assert ended(attempt) is None
    assert not store.held(RUN.id)
    assert [path.name for path in attempt.iterdir()] == []


def test_an_attempt_that_died_before_its_commit_is_adopted(tmp_path):
    store = Store(tmp_path)
    assert not store.adopt(RUN.id)
    attempt = store.claim(RUN)
    finish(attempt)
    assert not store.adopt(RUN.id)  # it may still commit by itself
    end(attempt, "lost")
    assert store.adopt(RUN.id)
    assert store.result(RUN.id).best == 0.5


@pytest.mark.parametrize(("model", "left"), [(True, set()), (False, {"model"})])
def test_drop(tmp_path, model, left):
    store = Store(tmp_path)
    free(store.claim(RUN))  # it has nothing to delete
    attempt = free(store.claim(RUN))
    finish(attempt)
    store.commit(attempt, RUN.id)
    store.drop(RUN.id, model=model)
    assert {path.name for path in attempt.iterdir() if path.is_dir()} == left
    assert (store.model(RUN.id) is None) == model


@pytest.mark.parametrize(("age", "held"), [(0, True), (lease.LOST_AFTER + 5, False)])
def test_a_silent_attempt_of_another_host_is_free_after_a_while(tmp_path, monkeypatch, age, held):
    asked, clock = [], lease.clock
    monkeypatch.setattr(lease, "clock", lambda folder: asked.append(folder) or clock(folder))
    store = Store(tmp_path)
    attempt = store.claim(RUN)
    (attempt / "worker.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
    os.utime(attempt / "worker.json", (time.time() - age,) * 2)
    assert [store.held(RUN.id) for _ in range(3)] == [held] * 3
    assert asked == [tmp_path]  # not every time


def test_what_a_study_holds(tmp_path):
    store, study = Store(tmp_path), Study(tasks=("rte",), methods=("vanilla",), seeds=2, lr=1e-4)
    cells = study.cells()
    content = {"study": study.to_dict(), "cells": [cell.to_dict() for cell in cells]}
    store.save_study(content)
    assert (store.cells(), store.planned(), store.ended()) == (cells, cells, None)
    trials = {**content, "trials": content["cells"], "ended": "after 20 minutes"}
    store.save_study(trials)
    assert (store.cells(), store.planned()) == (cells, [*cells, *cells])
    assert store.ended() == "after 20 minutes"
    store.save_study({**content, "cells": []})
    with pytest.raises(InputError, match="has no cells"):
        store.cells()


def test_study_file(tmp_path):
    store = Store(tmp_path / "new")
    with pytest.raises(InputError, match="holds no study"):
        store.study()
    store.save_study({"a": 1})
    assert store.study() == {"a": 1}
    (tmp_path / "new" / "study.json").write_text('{"a"')
    with pytest.raises(InputError, match="cannot be read"):
        store.study()


def test_one_coordinator_at_a_time(tmp_path):
    store = Store(tmp_path)
    with store.exclusive(), pytest.raises(InputError, match="another comparison"), store.exclusive():
        pass
    assert not (tmp_path / "coordinator.json").exists()
    dead = lease.mine() | {"started": "0"}
    (tmp_path / "coordinator.json").write_text(json.dumps(dead))
    with store.exclusive():
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text", "age", "stays"),
    [
        (".coordinator.json.1a2b3c4d", lease.mine() | {"started": "0"}, 0, False),  # killed just now
        (".coordinator.json.1a2b3c4d", lease.mine() | {"host": "elsewhere"}, 3600, False),
        (".coordinator.json.1a2b3c4d", "", 3600, False),  # killed while it wrote
        (".coordinator.json.1a2b3c4d", lease.mine(), 3600, True),
        (".coordinator.json.1a2b3c4d", lease.mine() | {"host": "elsewhere"}, 0, True),
        (".coordinator.json.1a2b3c4d", "", 0, True),
        (".study.json.1a2b3c4d", "{", 3600, False),
        (".table1.md.1a2b3c4d", "", 3600, False),
        (".table1.md.1a2b3c4d", "", 0, True),
        (".notes.md.1a2b3c4d", "mine", 3600, True),
        ("study.json", "{}", 3600, True),
    ],
)
def test_what_killed_coordinators_left_is_deleted(tmp_path, name, text, age, stays):
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    os.utime(path, (time.time() - age,) * 2)
    with Store(tmp_path).exclusive():
        pass
    assert [left.name for left in tmp_path.iterdir()] == ([name] if stays else [])


@pytest.mark.parametrize(
    ("change", "age", "held"),
    [
        ({}, 0, True),
        ({"started": "0"}, 0, False),  # another process has the pid
        ({"pid": 2**22 + 1}, 0, False),
        ({"pid": None}, 0, False),
        ({"host": "elsewhere"}, 0, True),
        ({"host": "elsewhere"}, lease.LOST_AFTER + 5, False),
        ({"host": "elsewhere"}, None, False),
    ],
)
def test_lease(tmp_path, change, age, held):
    now = lease.clock(tmp_path)
    sign = None if age is None else now - age
    assert lease.holds(lease.mine() | change, sign, now) is held


def test_the_clock_is_the_file_systems(tmp_path):
    before = time.time()
    assert abs(lease.clock(tmp_path) - before) < 5
    assert abs(lease.clock(tmp_path / "nowhere") - before) < 5
    assert list(tmp_path.iterdir()) == []
