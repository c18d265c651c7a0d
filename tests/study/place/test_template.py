import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from safetensors.torch import load_file

from pats.run.spec import Run
from pats.study import Study
from pats.study.compare import compare
from pats.study.place import process
from pats.study.place.local import LocalPlacer
from pats.study.place.template import CAN_FORK, Template
from pats.study.store.attempt import read_error
from pats.study.store.results import Store

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="workers are forked on Linux alone")

ONE_THREAD = process.threads(1)


@pytest.fixture(scope="module")
def template():
    return Template(ONE_THREAD)


@pytest.fixture
def run(tiny_bert, reviews):
    return Run(model=str(tiny_bert), data=str(reviews), method="pats", steps=3)


@pytest.fixture
def endless(run):
    return replace(run, steps=10**6)


def waited(condition, seconds=60.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def at_work(attempt):
    """Wait for a worker that trains, and find it by the log that it writes."""
    waited(lambda: (attempt / "events.jsonl").exists())
    log = str(attempt / "stderr.log")
    (found,) = [one for one in psutil.process_iter() if _writes(one, log)]
    return found


def _writes(one, log):
    try:
        return os.readlink(f"/proc/{one.pid}/fd/2") == log
    except OSError:
        return False


def test_a_forked_worker_does_what_a_started_one_does(template, run, tmp_path):
    def started(attempt):
        return process.launch(attempt, process.WORKER, ONE_THREAD)

    ended = []
    for name, start in {"forked": template.start, "started": started}.items():
        attempt = Store(tmp_path / name).claim(run)
        assert start(attempt).wait(120) == 0
        assert "Traceback" not in (attempt / "stderr.log").read_text()
        result = json.loads((attempt / "result.json").read_text())
        same = [result[key] for key in ("run_id", "status", "epochs", "test", "sensitivity", "telemetry")]
        ended.append((load_file(attempt / "model" / "model.safetensors"), same))
    (weights, result), (others, expected) = ended
    assert result == expected
    assert weights.keys() == others.keys()
    assert all(weight.equal(others[name]) for name, weight in weights.items())


def test_bad_input_ends_a_worker_alone(template, run, tmp_path):
    attempt = Store(tmp_path).claim(replace(run, data=str(tmp_path / "nowhere.csv")))
    assert template.start(attempt).wait(60) == 2
    assert "nowhere.csv" in read_error(attempt)
    assert not template.broken


@pytest.mark.parametrize("what", ["terminate", "kill"])
def test_a_signal_reaches_a_worker_alone(template, endless, tmp_path, what):
    attempts = [Store(tmp_path).claim(replace(endless, noise_seed=seed)) for seed in (1, 2)]
    first, second = map(template.start, attempts)
    assert at_work(attempts[0]).pid != at_work(attempts[1]).pid
    getattr(first, what)()
    assert first.wait(30) == -getattr(signal, {"terminate": "SIGTERM", "kill": "SIGKILL"}[what])
    assert second.poll() is None
    process.end(second)
    assert second.poll() is not None


def test_a_worker_has_its_own_session_and_logs(template, endless, tmp_path):
    attempt = Store(tmp_path).claim(endless)
    worker = template.start(attempt)
    pid = at_work(attempt).pid
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull
    assert os.readlink(f"/proc/{pid}/fd/1") == str(attempt / "stdout.log")
    process.end(worker)


def test_before_a_template_is_ready_an_order_can_be_taken_back(run, tmp_path):
    fresh = Template(ONE_THREAD)
    worker = fresh.start(Store(tmp_path).claim(run))
    other = fresh.start(Store(tmp_path).claim(replace(run, noise_seed=1)))
    worker.terminate()
    assert worker.wait(2) == -signal.SIGKILL
    assert not fresh.broken
    assert not fresh.fits(ONE_THREAD)
    assert other.wait(60) == 0  # it had not begun, and is started alone


def test_workers_of_a_killed_template_are_lost_and_gone(endless, tmp_path):
    fresh, attempt = Template(ONE_THREAD), Store(tmp_path).claim(endless)
    worker = fresh.start(attempt)
    found = at_work(attempt)
    found.parent().kill()
    assert worker.wait(5) == -signal.SIGKILL
    assert process.state(worker.poll()) == "lost"
    waited(lambda: not found.is_running() or found.status() == psutil.STATUS_ZOMBIE, 10)


CALLER = """
import sys
from pathlib import Path
from pats.study.place.local import LocalPlacer
engine = LocalPlacer(1)
engine.submit(Path(sys.argv[1]))
print(engine._template._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "ended"])
def test_nothing_outlives_the_caller(endless, tmp_path, kill):
    attempt = Store(tmp_path).claim(endless)
    command = [sys.executable, "-c", CALLER, str(attempt)]
    caller = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    left = [psutil.Process(int(caller.stdout.readline())), at_work(attempt)]
    if kill:
        caller.kill()
    caller.communicate()
    _, alive = psutil.wait_procs(left, 10)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_a_template_ends_with_who_holds_it(run, tmp_path):
    engine = LocalPlacer(1)
    engine.submit(Store(tmp_path).claim(run))
    pid = engine._template._process.pid
    del engine
    assert not psutil.pid_exists(pid)


def test_a_changed_environment_or_folder_asks_for_another_template(tmp_path, monkeypatch):
    fresh = Template(ONE_THREAD)
    assert fresh.fits(ONE_THREAD)
    assert not fresh.fits({**ONE_THREAD, "OMP_NUM_THREADS": "2"})
    with monkeypatch.context() as changed:
        changed.setenv("PATS_ANYTHING", "1")
        assert not fresh.fits(ONE_THREAD)
    assert fresh.fits(ONE_THREAD)
    monkeypatch.chdir(tmp_path)
    assert not fresh.fits(ONE_THREAD)


def states_of(engine, store, run, seeds):
    """The states in which runs of these noise seeds ended, one after another, and the last attempt."""
    found = []
    for seed in seeds:
        attempt = store.claim(replace(run, noise_seed=seed))
        handle, seen = engine.submit(attempt), []
        waited(
            lambda handle=handle, seen=seen: (
                seen.append(engine.poll([handle])[handle]) or seen[-1] != "running"
            )
        )
        found.append(seen[-1])
    return found, attempt


def test_where_imports_fail_a_worker_is_started_alone_and_tells_it(run, tmp_path, monkeypatch):
    (tmp_path / "transformers.py").write_text("raise ImportError('damaged')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    engine = LocalPlacer(1)
    found, attempt = states_of(engine, Store(tmp_path), run, (1, 2))
    assert found == ["failed", "failed"]  # none is lost, which would count as an attempt
    assert "damaged" in (attempt / "stderr.log").read_text()
    assert not engine.forks


CUSTOM = {
    "a fork fails": "import os\ndef fork():\n    raise OSError(12, 'no memory')\nos.fork = fork\n",
    "an import prints": "print('hello from an import')\nprint(3, 'done')\n",
}


@pytest.mark.parametrize("what", CUSTOM)
def test_what_else_goes_on_in_a_template_harms_no_run(run, tmp_path, monkeypatch, what):
    (tmp_path / "sitecustomize.py").write_text(CUSTOM[what])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    engine = LocalPlacer(1)
    assert states_of(engine, Store(tmp_path), run, (1, 2))[0] == ["done", "done"]
    assert engine.forks == (what != "a fork fails")


IGNORING = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""
TWO = """
import sys, time
from pathlib import Path
from pats.study.place.local import LocalPlacer
engine = LocalPlacer(2)
handles = [engine.submit(Path(one)) for one in sys.argv[1:]]
states = {}
while len(states) < 2:
    states |= {handle: state for handle, state in engine.poll(handles).items() if state != "running"}
    time.sleep(0.1)
print(*(states[handle] for handle in handles))
"""


def test_signals_that_the_caller_ignores_are_heard_by_the_template(run, tmp_path):
    store = Store(tmp_path)
    attempts = [str(store.claim(replace(run, noise_seed=seed, steps=seed))) for seed in (1, 40)]
    done = subprocess.run(
        [sys.executable, "-c", IGNORING, TWO, *attempts],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["done", "done"], done.stderr


FORKING = CALLER.replace(
    "sys.stdin.read()", "import os, time\nif not os.fork():\n    time.sleep(60)\nsys.stdin.read()"
)


def test_a_child_of_the_caller_keeps_nothing_alive(endless, tmp_path):
    attempt = Store(tmp_path).claim(endless)
    caller = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(attempt)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    left = [psutil.Process(int(caller.stdout.readline())), at_work(attempt)]
    (child,) = [one for one in psutil.Process(caller.pid).children() if one not in left]
    caller.kill()
    _, alive = psutil.wait_procs(left, 10)
    assert child.is_running()
    child.kill()
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_a_study_leaves_no_process_behind(run, tmp_path):
    study = Study(run=replace(run, method="vanilla"), methods=("vanilla",), seeds=1, baselines=())
    before = set(psutil.Process().children(recursive=True))
    compare(study, tmp_path / "out")
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.parametrize(
    ("given", "forks"),
    [({}, True), ({"processes": 2}, False), ({"command": ["/bin/true"]}, False)],
)
def test_who_forks(given, forks):
    assert LocalPlacer(1, **given).forks == forks


def test_beside_gpus_nothing_forks(monkeypatch):
    monkeypatch.setattr("pats.study.place.resources.visible_gpus", lambda: ["0"])
    assert not LocalPlacer(1).forks
    assert LocalPlacer(1, gpus=0).forks
