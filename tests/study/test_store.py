import json
import os
from pathlib import Path

import pytest

from made import made
from pats import InputError
from pats.run.spec import Run
from pats.study import lease
from pats.study import store as module
from pats.study.store import Store, read_error, read_spec, release, write_error

RUN = Run(task="rte", method="vanilla")


def finish(attempt: Path, score=0.5, run=RUN):
    (attempt / "result.json").write_text(made(run, [score]).to_json())
    (attempt / "predictions.csv.gz").write_bytes(b"predictions")
    for name in ("model", "checkpoint"):
        (attempt / name).mkdir()
        (attempt / name / "config.json").write_text("{}")


def free(attempt):
    release(attempt)
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
    assert Store(tmp_path).result(RUN.id) == made(RUN, [0.5])
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
    assert (second / "superseded").exists()
    assert store.result(RUN.id).best == 0.5
    assert store.winner(RUN.id) == first


def test_a_lock_left_by_a_crash_does_not_block(tmp_path):
    source, target = tmp_path / "source", tmp_path / "result.json"
    source.write_text("x")
    (tmp_path / "result.lock").touch()
    assert module._claim_and_copy(source, target)
    assert not module._claim_and_copy(source, target)


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
    assert not store.adopt(RUN.id)
    again = store.claim(RUN)
    assert again.name.startswith("2-")
    (again / "result.json").write_text(text)
    assert store.commit(again, RUN.id)
    assert store.result(RUN.id) == made(RUN, [0.5])


def test_a_result_of_another_run_is_not_this_ones(tmp_path):
    store = Store(tmp_path)
    attempt = store.claim(RUN)
    (attempt / "result.json").write_text(made(Run(task="cola"), [0.5]).to_json())
    (store.folder(RUN.id) / "result.json").write_text((attempt / "result.json").read_text())
    with pytest.warns(UserWarning, match="not a whole result"):
        assert store.result(RUN.id) is None


def test_the_next_attempt_finds_the_checkpoint(tmp_path):
    store = Store(tmp_path)
    first = store.claim(RUN)
    (first / "checkpoint").mkdir()
    (first / "checkpoint" / "weights").write_text("w")
    write_error(free(first), "killed")
    second = store.claim(RUN)
    assert (second / "checkpoint" / "weights").read_text() == "w"
    assert second.name.startswith("2-")
    assert read_error(second) is None
    assert store.attempts(RUN.id) == [second]


def test_a_living_process_is_never_doubled(tmp_path):
    store = Store(tmp_path)
    attempt = store.claim(RUN)  # this process lives
    assert store.held(RUN.id)
    assert store.claim(RUN) is None
    release(attempt)
    assert not store.held(RUN.id)
    assert store.claim(RUN) is not None


def test_of_two_claimants_one_takes_over(tmp_path, monkeypatch):
    store = Store(tmp_path)
    left = free(store.claim(RUN))
    seen = store.attempts(RUN.id)
    left.rename(left.with_name("2-other"))
    monkeypatch.setattr(store, "attempts", lambda run_id: seen)
    assert store.claim(RUN) is None


def test_an_attempt_that_died_before_its_commit_is_adopted(tmp_path):
    store = Store(tmp_path)
    assert not store.adopt(RUN.id)
    attempt = store.claim(RUN)
    finish(attempt)
    assert not store.adopt(RUN.id)  # it may still commit by itself
    release(attempt)
    assert store.adopt(RUN.id)
    assert store.result(RUN.id).best == 0.5


@pytest.mark.parametrize(("model", "left"), [(True, set()), (False, {"model"})])
def test_drop(tmp_path, model, left):
    store = Store(tmp_path)
    attempt = free(store.claim(RUN))
    finish(attempt)
    store.commit(attempt, RUN.id)
    store.drop(RUN.id, model=model)
    assert {path.name for path in attempt.iterdir() if path.is_dir()} == left
    assert (store.model(RUN.id) is None) == model


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
    events = tmp_path / "events.jsonl"
    if age is not None:
        events.touch()
        os.utime(events, (events.stat().st_mtime - age,) * 2)
    assert lease.holds(lease.mine() | change, events) is held
