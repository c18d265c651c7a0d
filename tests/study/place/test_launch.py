"""Runs on several processes, through torch's launcher, on every engine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pats import InputError
from pats.run import Run
from pats.study import Study
from pats.study.compare import compare
from pats.study.place import resources
from pats.study.place.coordinator import execute
from pats.study.place.launch import verdict
from pats.study.place.local import LocalPlacer
from pats.study.place.ray import RayPlacer
from pats.study.place.slurm import SlurmPlacer
from pats.study.store.results import Store
from support import coordinator_process
from support.coordinator_process import LOST_AFTER
from support.killed_studies import alive, wait_for
from support.runs_without_training import make_runs

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
TERM, KILL = -signal.SIGTERM, -signal.SIGKILL


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([2], 2),
        ([1, TERM], 1),
        ([TERM, 2], 2),
        ([KILL], 137),
        ([1, KILL], 137),  # one was killed, and the other one missed it
        ([-signal.SIGSEGV, TERM], 137),
        ([TERM, TERM], 137),
    ],
)
def test_verdict(codes, code):
    assert verdict(codes) == code


@pytest.fixture
def engine(request, tmp_path, monkeypatch):
    """An engine by name whose runs have two processes."""
    if request.param == "ray":
        ray = pytest.importorskip("ray")
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # Ray would put a token into the home folder
        settings = {"num_cpus": 2, "object_store_memory": 80_000_000}
        ray.init("local", include_dashboard=False, log_to_driver=False, **settings)
    if request.param == "slurm":
        pytest.importorskip("submitit")
    yield coordinator_process.make_placer(request.param, tmp_path, workers=1, processes=2)
    if request.param == "ray":
        ray.shutdown()


def ranks_of(attempt):
    """Process ids of an attempt's ranks."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if coordinator_process.LIGHT.name in " ".join(words) and str(attempt) in words and "--" not in words:
            found.append(int(pid))
    return found


@pytest.mark.parametrize(
    "engine",
    ["local", *(pytest.param(name, marks=pytest.mark.soak) for name in ("ray", "slurm"))],
    indirect=True,
)
def test_a_killed_rank_is_a_lost_attempt(engine, tmp_path):
    store, (run,) = Store(tmp_path), make_runs(1, 1.0)
    killed = []

    def kill():
        for attempt in store.attempts(run.id)[:1]:
            events = attempt / "events.jsonl"
            if not killed and events.exists() and events.read_text().count('"progress"') >= 3:
                killed.append(json.loads((attempt / "worker.json").read_text())["pid"])
                os.kill(killed[0], signal.SIGKILL)

    assert execute([run], store, engine, lost_after=LOST_AFTER, on_tick=kill) == {}
    first, second = store.attempts(run.id)
    assert killed
    assert (first / "ended").read_text().strip() == "lost"
    assert store.winner(run.id) == second
    assert json.loads((second / "events.jsonl").read_text().splitlines()[0])["resumed_at"] >= 2


@pytest.mark.parametrize("engine", ["local"], indirect=True)
def test_failures_with_their_reasons(engine, tmp_path):
    (bad,), (crash,) = make_runs(1, bad=True), make_runs(1, crash=True)
    store = Store(tmp_path)
    errors = execute([bad, crash], store, engine, lost_after=60.0)
    assert errors[bad.id] == "the data are gone"
    assert "ValueError: seven" in errors[crash.id]
    assert all(len(store.attempts(run.id)) == 1 for run in (bad, crash))


def test_ranks_end_with_the_coordinator(tmp_path):
    store, (run,) = Store(tmp_path), make_runs(1, 60.0)
    command = [sys.executable, coordinator_process.__file__, "local", "", str(tmp_path), "1", "60", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = []

    def at_work():
        found[:] = [pid for attempt in store.attempts(run.id) for pid in ranks_of(attempt)]
        return any((attempt / "events.jsonl").exists() for attempt in store.attempts(run.id))

    assert wait_for(at_work, process)
    process.kill()
    process.communicate()
    assert found
    assert wait_for(lambda: not any(map(alive, found)), seconds=20)


MEET = """
import os, sys
from pathlib import Path
import torch
import torch.distributed as dist
from support import listening
dist.init_process_group("gloo")
total = torch.ones(1)
dist.all_reduce(total)
found = listening.addresses(os.getppid())
told = f"{total.item():g} {sorted({address.is_loopback for address in found})} {len(found)}"
Path(sys.argv[1], str(dist.get_rank())).write_text(told)
dist.barrier()
"""


def test_the_ranks_listen_on_loopback_alone(tmp_path):
    script = tmp_path / "meet.py"
    script.write_text(MEET)
    (tmp_path / "attempt").mkdir()
    command = [sys.executable, "-m", "pats.study.place.launch", "2", sys.executable, str(script), "--"]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    left_out = ("GLOO_SOCKET_IFNAME", "WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment["PYTHONPATH"] = path
    done = subprocess.run(
        [*command, str(tmp_path / "attempt")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for rank in "01":
        total, loopback, count = (tmp_path / "attempt" / rank).read_text().split()
        assert (total, loopback) == ("2", "[True]")
        assert int(count) >= 1


def test_a_real_run_on_two_processes(study_inputs, tmp_path):
    run = Run(data=str(study_inputs / "texts.csv"), epochs=1, max_length=16, batch_size=8)
    study = Study(
        models=(str(study_inputs / "bert"),), methods=("pats",), seeds=1, run=run, lr=1e-3, baselines=()
    )
    result = compare(study, tmp_path / "out", engine=LocalPlacer(1, processes=2))
    (outcome,) = result.cells[0].outcomes
    assert outcome.result.status == "done"
    assert outcome.result.environment["processes"] == 2
    assert len(list(tmp_path.glob("out/runs/*/attempts/*"))) == 1


@pytest.mark.parametrize("make", [LocalPlacer, RayPlacer, lambda **k: SlurmPlacer("slurm", **k)])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"processes": 0}, "processes is 0"),
        ({"gpus": 1.5}, "gpus is 1.5, but must be a whole number"),
        ({"gpus": 2, "processes": 3}, "2 GPUs and 3 processes"),
        ({"gpus": 0.5, "processes": 2}, "0.5 GPUs and 2 processes"),
    ],
)
def test_bad_numbers(make, settings, said):
    with pytest.raises(InputError, match=said):
        make(**settings)


def test_a_batch_that_cannot_be_shared(study_inputs, tmp_path):
    run = Run(data=str(study_inputs / "texts.csv"), batch_size=9)
    with pytest.raises(InputError, match="batch_size is 9, but must be a multiple of the 2 processes"):
        compare(Study(run=run), tmp_path / "out", engine=LocalPlacer(processes=2))
    assert not (tmp_path / "out" / "runs").exists()


def test_whole_gpus_are_divided(monkeypatch):
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["3", "5", "6", "7", "9"])
    monkeypatch.setattr(resources, "cores", lambda: 12)
    engine = LocalPlacer(gpus=2)
    assert (engine.workers, engine.processes, engine.threads) == (2, 2, 3)
    seen = [engine._environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)]
    assert seen == ["3,5", "6,7", "3,5"]
    assert LocalPlacer(processes=2)._environment(0)["CUDA_VISIBLE_DEVICES"] == "3,5"
    with pytest.raises(InputError, match="a run is to have 6 GPUs, but this machine has 5"):
        LocalPlacer(gpus=6)
