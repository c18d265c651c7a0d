import time

import pytest

from pats import InputError
from pats.run.spec import Run
from pats.study.place import process, resources
from pats.study.place.local import LocalPlacer
from pats.study.store.attempt import read_error
from pats.study.store.results import Store


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_workers_is_a_whole_number(workers):
    with pytest.raises(InputError, match="workers is"):
        LocalPlacer(workers)


@pytest.mark.parametrize("gpus", [-1, 1.5, "all"])
def test_gpus_are_whole_or_a_share(gpus):
    with pytest.raises(InputError, match="gpus is"):
        LocalPlacer(1, gpus=gpus)


def test_gpus_that_are_not_there(monkeypatch):
    monkeypatch.setattr(resources, "visible_gpus", lambda: [])
    with pytest.raises(InputError, match="this machine has none"):
        LocalPlacer(gpus=1)


@pytest.mark.parametrize(
    ("gpus", "workers", "seen"), [(None, 2, "35353"), (0.5, 4, "35353"), (1, 2, "35353")]
)
def test_runs_share_gpus(monkeypatch, gpus, workers, seen):
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["3", "5"])
    engine = LocalPlacer(gpus=gpus)
    assert engine.workers == workers
    assert "".join(engine._environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(5)) == seen


def test_cores_a_run(monkeypatch):
    monkeypatch.setattr(resources, "cores", lambda: 12)
    monkeypatch.setattr(resources, "visible_gpus", lambda: [])
    assert (LocalPlacer(cpus=3).workers, LocalPlacer(cpus=3).threads) == (4, 3)
    assert (LocalPlacer(2, cpus=3).workers, LocalPlacer(2, cpus=3).threads) == (2, 3)
    with pytest.raises(InputError, match="cpus is 0"):
        LocalPlacer(cpus=0)


def test_runs_without_a_gpu_see_none(monkeypatch):
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["3", "5"])
    engine = LocalPlacer(3, gpus=0)
    assert engine.workers == 3
    assert engine._environment(0)["CUDA_VISIBLE_DEVICES"] == ""


def test_threads_and_gpus_are_divided(monkeypatch):
    monkeypatch.setattr(resources, "cores", lambda: 12)
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["3", "5"])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    engine = LocalPlacer()
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
    assert process.state(code) == state


def ended(engine, handle):
    for _ in range(600):
        state = engine.poll([handle])[handle]
        if state != "running":
            return state
        time.sleep(0.1)
    raise AssertionError("it never ended")


def test_bad_input_is_a_failed_attempt_with_its_sentence(tmp_path):
    engine, run = LocalPlacer(1), Run(data=str(tmp_path / "nowhere.csv"))
    attempt = Store(tmp_path).claim(run)
    handle = engine.submit(attempt)
    assert engine.capacity() == 0
    assert ended(engine, handle) == "failed"
    assert engine.capacity() == 1
    assert engine.poll([handle]) == {}
    assert "nowhere.csv" in read_error(attempt)


def test_cancel_ends_the_process(tmp_path):
    attempt = Store(tmp_path).claim(Run(task="rte"))
    engine = LocalPlacer(1, command=["/bin/sh", "-c", "sleep 60"])
    handle = engine.submit(attempt)
    _, running = engine._running[handle]
    engine.cancel(handle)
    assert running.poll() is not None
    engine.cancel(handle)
    assert engine.capacity() == 1


@pytest.mark.parametrize(
    ("named", "different"),
    [({}, True), ({"workers": 2}, False), ({"cpus": 1}, False), ({"processes": 2}, False)],
)
def test_one_run_at_a_time_has_all_cores_unless_somebody_divided_them(monkeypatch, named, different):
    monkeypatch.setattr(resources, "cores", lambda: 4)
    monkeypatch.setattr(resources, "visible_gpus", list)
    engine = LocalPlacer(**named)
    before = engine.workers, engine.threads
    assert engine.one_at_a_time() == different
    assert (engine.workers, engine.threads) == ((1, 4) if different else before)
    assert not engine.one_at_a_time()
    assert engine.one_at_a_time(False) == different
    assert (engine.workers, engine.threads) == before
