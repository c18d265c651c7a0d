import sys
import time

import pytest

from pats import InputError
from pats.run.spec import Run
from pats.study import local
from pats.study.local import LocalEngine
from pats.study.store import Store, read_error


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (8, 2), (16, 4), (64, 16)])
def test_workers_that_fit(cores, workers):
    assert local.fitting(cores) == workers


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_workers_is_a_whole_number(workers):
    with pytest.raises(InputError, match="workers is"):
        LocalEngine(workers)


def test_threads_and_gpus_are_divided(monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: 12)
    monkeypatch.setattr(local, "gpus", lambda: ["3", "5"])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    engine = LocalEngine()
    assert (engine.workers, engine.threads) == (2, 6)
    assert [engine._environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["3", "5", "3"]
    assert engine._environment(0)["OMP_NUM_THREADS"] == "6"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert engine._environment(0)["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (None, "running"),
        (0, "done"),
        (1, "failed"),
        (2, "failed"),
        (-9, "lost"),
        (-15, "lost"),
        (137, "lost"),
    ],
)
def test_states(code, state):
    assert local._state(code) == state


def ended(engine):
    for _ in range(600):
        states = engine.poll()
        if states[0][1] != "running":
            return states[0]
        time.sleep(0.1)
    raise AssertionError("it never ended")


def test_bad_input_is_a_failed_attempt_with_its_sentence(tmp_path):
    engine, run = LocalEngine(1), Run(data=str(tmp_path / "nowhere.csv"))
    attempt = Store(tmp_path).claim(run)
    handle = engine.submit(attempt)
    assert engine.capacity() == 0
    assert ended(engine) == (handle, "failed")
    assert engine.capacity() == 1
    assert engine.poll() == []
    assert "nowhere.csv" in read_error(attempt)


def test_cancel_ends_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/sleep")  # its arguments are no numbers of seconds
    attempt = Store(tmp_path).claim(Run(task="rte"))
    engine = LocalEngine(1)
    handle = engine.submit(attempt)
    _, process = engine._running[handle]
    engine.cancel(handle)
    assert process.poll() is not None
    engine.cancel(handle)
    assert engine.capacity() == 1
