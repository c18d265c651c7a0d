"""What every engine must pass: the same cases on local processes, Ray and Slurm's jobs.

`make test` has all cases on local processes and the first on every engine; `make soak` has the rest.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from pats.study.limit import Limit
from pats.study.place.coordinator import execute
from pats.study.store.attempt import ended
from pats.study.store.results import Store
from support import coordinator_process
from support.coordinator_process import LOST_AFTER
from support.killed_studies import alive, mounted_disk, wait_for
from support.runs_without_training import make_runs

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

ENGINES = ["local", "ray", "slurm"]


@pytest.fixture(scope="module")
def cluster():
    """One Ray cluster for all cases."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": 80_000_000,
            "include_dashboard": False,
            "_system_config": {"health_check_period_ms": 500, "health_check_failure_threshold": 3},
        },
    )
    yield made
    import ray

    ray.shutdown()
    made.shutdown()


@pytest.fixture(params=["local", *(pytest.param(name, marks=pytest.mark.soak) for name in ENGINES[1:])])
def name(request):
    if request.param == "slurm":
        pytest.importorskip("submitit")
    return request.param


@pytest.fixture
def address(name, request):
    return request.getfixturevalue("cluster").address if name == "ray" else None


@pytest.fixture
def engine(name, address, tmp_path):
    made = coordinator_process.make_placer(name, tmp_path, address)
    # Places that an earlier case has left are free within a moment.
    wait_for(lambda: made.capacity() == 2, seconds=20)
    return made


def worker(store, run, number=-1):
    """Process id of who works on a run's attempt; None before there is one."""
    for attempt in store.attempts(run.id)[number:][:1]:
        try:
            return json.loads((attempt / "worker.json").read_text())["pid"]
        except (FileNotFoundError, ValueError):
            return None
    return None


def steps(store, run):
    """Steps that a run's youngest attempt has told."""
    for attempt in store.attempts(run.id)[-1:]:
        path = attempt / "events.jsonl"
        return path.read_text().count('"progress"') if path.exists() else 0
    return 0


def each_once(out, expected):
    """Every run has its result, whole, and one attempt won."""
    store = Store(out)
    for run in expected:
        assert store.result(run.id).best == run.data_seed / 10
        assert store.winner(run.id) is not None
    assert len(list(out.glob("runs/*/result.json"))) == len(expected)


class During:
    """Does something once while ``execute`` runs, as soon as a condition holds."""

    def __init__(self, condition, action):
        self.condition, self.action, self.done = condition, action, False

    def __call__(self):
        if not self.done and self.condition():
            self.action()
            self.done = True


@pytest.mark.parametrize("name", ENGINES, indirect=True)
def test_every_run_once_and_failures_with_their_reasons(engine, tmp_path):
    store, good = Store(tmp_path), make_runs(2, 0.1)
    bad, crash = make_runs(1, bad=True), make_runs(1, crash=True)
    errors = execute([*good, *bad, *crash], store, engine, lost_after=LOST_AFTER)
    each_once(tmp_path, good)
    assert set(errors) == {bad[0].id, crash[0].id}
    assert errors[bad[0].id] == "the data are gone"
    assert errors[crash[0].id].endswith("ValueError: seven")
    assert all(len(store.attempts(run.id)) == 1 for run in [*good, *bad, *crash])


def test_a_time_limit_stops_runs_that_a_later_call_continues(engine, tmp_path):
    store, (run,) = Store(tmp_path), make_runs(1, 2.0)
    now = [0.0]
    over = During(lambda: steps(store, run) >= 3, lambda: now.__setitem__(0, 85.0))
    limit = Limit(100.0, clock=lambda: now[0])
    assert execute([run], store, engine, lost_after=LOST_AFTER, on_tick=over, limit=limit) == {}
    assert over.done
    assert store.result(run.id) is None
    assert execute([run], store, engine, lost_after=LOST_AFTER) == {}
    each_once(tmp_path, [run])
    first, second = store.attempts(run.id)
    assert "stopped after step" in (first / "stderr.log").read_text()
    resumed = json.loads((second / "events.jsonl").read_text().splitlines()[0])["resumed_at"]
    assert resumed >= 3


def test_killed_worker(engine, tmp_path):
    store, (run,) = Store(tmp_path), make_runs(1, 1.0)
    kill = During(lambda: steps(store, run) >= 3, lambda: os.kill(worker(store, run), signal.SIGKILL))
    assert execute([run], store, engine, lost_after=LOST_AFTER, on_tick=kill) == {}
    each_once(tmp_path, [run])
    first, second = store.attempts(run.id)
    assert kill.done
    assert ended(first) == "lost"
    resumed = json.loads((second / "events.jsonl").read_text().splitlines()[0])["resumed_at"]
    assert resumed >= 2  # a step is told before its checkpoint is written


def test_killed_coordinator(name, address, tmp_path):
    expected, store = make_runs(3, 0.8), Store(tmp_path)
    command = [sys.executable, coordinator_process.__file__, name, address or "", str(tmp_path), "3", "0.8"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert wait_for(lambda: any(steps(store, run) >= 2 for run in expected), process), process.stderr.read()
    process.kill()
    process.communicate()
    finished = {path.parent.name for path in tmp_path.glob("runs/*/result.json")}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    each_once(tmp_path, expected)
    assert len(finished) < 3
    assert not (tmp_path / "coordinator.json").exists()


def test_a_process_that_is_cut_off_and_comes_back(engine, tmp_path):
    """Stopped and continued: silent for the store, running for the engine, and late with its result."""
    store, (run,) = Store(tmp_path), make_runs(1, 0.6)
    stopped = []

    def cut_off():
        stopped.append(worker(store, run))
        os.kill(stopped[0], signal.SIGSTOP)

    cut = During(lambda: steps(store, run) >= 2, cut_off)
    reach = engine.cancel
    engine.cancel = lambda handle: None  # no cancellation crosses a partition
    try:
        assert execute([run], store, engine, lost_after=1.5, on_tick=cut) == {}
        first, second = store.attempts(run.id)
        assert store.winner(run.id) == second
        before = (store.folder(run.id) / "result.json").read_bytes()
        os.kill(stopped[0], signal.SIGCONT)
        wait_for(lambda: not alive(stopped[0]), seconds=20)
    finally:
        engine.cancel = reach
        for handle in list(getattr(engine, "_running", None) or getattr(engine, "_jobs", {})):
            engine.cancel(handle)
    assert (store.folder(run.id) / "result.json").read_bytes() == before
    assert store.winner(run.id) == second
    assert ended(first) == "lost"
    each_once(tmp_path, [run])


def test_double_delivery(engine, tmp_path):
    store, (run,) = Store(tmp_path), make_runs(1, 0.5)
    twice = []
    submit = engine.submit

    def deliver(attempt):
        handle = submit(attempt)
        wait_for(lambda: (attempt / "worker.json").exists())
        twice.append(subprocess.run([*engine._command, str(attempt)], capture_output=True, text=True))
        return handle

    engine.submit = deliver
    assert execute([run], store, engine, lost_after=LOST_AFTER) == {}
    each_once(tmp_path, [run])
    assert twice[0].returncode == 0
    assert "nothing to do" in twice[0].stderr
    (attempt,) = store.attempts(run.id)
    assert (attempt / "events.jsonl").read_text().count('"start"') == 1


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_clocks_that_differ(name, engine, tmp_path, skew):
    store, (run,) = Store(tmp_path), make_runs(1, 0.5, skew=skew)
    assert execute([run], store, engine, lost_after=LOST_AFTER) == {}
    each_once(tmp_path, [run])
    assert len(store.attempts(run.id)) == 1


@pytest.fixture
def small_disk(tmp_path):
    with mounted_disk(tmp_path / "disk", 4) as folder:
        yield folder


def test_full_disk(name, address, small_disk, tmp_path):
    engine = coordinator_process.make_placer(name, tmp_path, address)
    store, expected = Store(small_disk / "out"), make_runs(2, 0.2, bytes=400_000)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3_500_000))
    errors = {}
    with suppress(OSError):  # where the coordinator's own files do not fit
        errors = execute(expected, store, engine, lost_after=LOST_AFTER)
    assert all("No space left on device" in error for error in errors.values())
    assert not all((store.folder(run.id) / "result.json").exists() for run in expected)
    assert engine.capacity() == 2
    ballast.unlink()
    assert execute(expected, store, engine, lost_after=LOST_AFTER) == {}
    each_once(small_disk / "out", expected)


@pytest.mark.soak
def test_lost_node(cluster, tmp_path):
    """Ray alone has nodes here: the run goes on where one is left."""
    node = cluster.add_node(num_cpus=2, object_store_memory=80_000_000)
    engine = coordinator_process.make_placer("ray", tmp_path, cluster.address, workers=4)
    wait_for(lambda: engine.capacity() == 4, seconds=30)
    store, expected = Store(tmp_path), make_runs(4, 2.0)
    there = {process.pid for process in _descendants(node)}

    def lose():
        there.update(process.pid for process in _descendants(node))
        cluster.remove_node(node, allow_graceful=False)

    kill = During(lambda: all(steps(store, run) >= 2 for run in expected), lose)
    assert execute(expected, store, engine, lost_after=LOST_AFTER, on_tick=kill) == {}
    each_once(tmp_path, expected)
    assert kill.done
    attempts = [store.attempts(run.id) for run in expected]
    again = [found for found in attempts if len(found) > 1]
    assert again
    assert all(ended(found[0]) == "lost" for found in again)
    wait_for(lambda: engine.capacity() == 2, seconds=60)


def _descendants(node):
    import psutil

    raylet = node.all_processes["raylet"][0].process.pid
    return psutil.Process(raylet).children(recursive=True)
