"""Faults in the middle of a run: each ends it with a sentence, harms nothing, and the same call goes on."""

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from pats.cli import main
from pats.run import finetune
from pats.run.folder import events, files
from pats.run.judge import Judge
from pats.run.model import classifier, exported
from pats.run.session import _Session
from pats.run.trainer import RunTrainer
from support.small_run import small_run
from support.stopped_runs import lasting_content, weights_digest


@pytest.fixture(scope="module")
def run(tiny_bert, reviews):
    return small_run(tiny_bert, reviews, epochs=1)


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    return lasting_content(finetune(run, out, save_steps=2)), weights_digest(out)


def goes_on(run, out, alone):
    assert lasting_content(finetune(run, out, save_steps=2)) == alone[0]
    assert weights_digest(out) == alone[1]
    assert not [path for path in out.rglob(".*") if path.is_file()]  # no half file


# What fails at its n-th call, where ``error`` is raised in its place.
PHASES = {
    "load": (classifier, "load", 1),
    "the first step": (RunTrainer, "training_step", 1),
    "a later step": (RunTrainer, "training_step", 4),
    "a checkpoint": (RunTrainer, "_save_checkpoint", 2),
    "evaluate": (Judge, "evaluate", 1),
    "predict": (_Session, "_predict", 1),
}


def failing(monkeypatch, owner, name, count, fail):
    original, calls = getattr(owner, name), []

    def called(*args, **kwargs):
        calls.append(1)
        if len(calls) == count:
            fail()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, called)


def raising(error):
    def fail():
        raise error

    return fail


@pytest.fixture(autouse=True)
def heard():
    """Signals as in a terminal, also where the tests run in the background, which ignores these two."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_ctrl_c_in_every_phase(run, alone, tmp_path, monkeypatch, phase):
    with monkeypatch.context() as patched:
        failing(patched, *phase, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            finetune(run, tmp_path, save_steps=2)
    assert not (tmp_path / "result.json").exists()
    goes_on(run, tmp_path, alone)


FAST = (("a checkpoint", "SIGTERM"), ("predict", "SIGHUP"))  # the others run in ``make soak``
CHILD = """
import json, os, signal, sys
from pats.run import Run, finetune
import test_faults
owner, name, count = test_faults.PHASES[sys.argv[3]]
original, calls = getattr(owner, name), []
def called(*args, **kwargs):
    calls.append(1)
    if len(calls) == count:
        os.kill(os.getpid(), getattr(signal, sys.argv[4]))
    return original(*args, **kwargs)
setattr(owner, name, called)
finetune(Run.from_dict(json.loads(sys.argv[1])), sys.argv[2], save_steps=2)
"""


ENDINGS = [
    pytest.param(phase, name, marks=() if (phase, name) in FAST else pytest.mark.soak)
    for phase in PHASES
    for name in ("SIGTERM", "SIGHUP", "SIGKILL")
]


@pytest.mark.parametrize(("phase", "name"), ENDINGS)
def test_a_signal_that_ends_the_process(run, alone, tmp_path, phase, name):
    told = [json.dumps(run.to_dict()), str(tmp_path / "out"), phase, name]
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    given = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", CHILD, *told], env=given, check=False)
    assert done.returncode == -getattr(signal, name)
    goes_on(run, tmp_path / "out", alone)


# Memory ---------------------------------------------------------------------------------------------------

NO_MEMORY = {
    "python": MemoryError(),
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
}


@pytest.mark.parametrize("error", NO_MEMORY.values(), ids=NO_MEMORY)
def test_memory_that_runs_out_is_one_sentence_and_the_run_goes_on(
    tiny_bert, reviews, tmp_path, monkeypatch, capsys, error
):
    argv = [
        "run",
        "--data",
        str(reviews),
        "--model",
        str(tiny_bert),
        "--lr",
        "1e-3",
        "--steps",
        "3",
        "--quiet",
    ]
    argv += ["--steps", "3", "--save-steps", "2", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patched:
        failing(patched, RunTrainer, "training_step", 3, raising(error))
        assert main(argv) == 1
    err = capsys.readouterr().err
    where = " on the GPU" if error is NO_MEMORY["gpu"] else ""
    assert err == (
        f"pats: memory ran out{where}: lower the batch size, the maximum length or the number of runs at a "
        "time, and start the same command again; it goes on\n"
    )
    if error is NO_MEMORY["python"]:
        assert main(argv) == 0


def test_torch_says_it_like_that():
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        torch.empty(2**59)


# Disks ----------------------------------------------------------------------------------------------------

WRITTEN = ("pats.json", "seal.json", "progress.json", "predictions.csv.gz", "result.json")


REASONS = [
    *((name, errno.ENOSPC) for name in WRITTEN),
    ("result.json", errno.EDQUOT),
    ("result.json", errno.EFBIG),
]


@pytest.mark.parametrize(("name", "number"), REASONS)
def test_a_disk_that_is_full_at_one_file(run, alone, tmp_path, monkeypatch, name, number):
    full = OSError(number, os.strerror(number))
    fsync = os.fsync

    def sync(handle):
        if f"/.{name}." in os.readlink(f"/proc/self/fd/{handle}"):
            raise full
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", sync)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            finetune(run, tmp_path, save_steps=2)
    assert caught.value.errno == number
    goes_on(run, tmp_path, alone)


@pytest.mark.parametrize("kind", ["start", "epoch", "end"])
def test_a_disk_that_is_full_at_an_event(run, alone, tmp_path, monkeypatch, kind):
    write = events.Journal._write

    def full(self, record, durable):
        if record["event"] == kind:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, record, durable)

    with monkeypatch.context() as patched:
        patched.setattr(events.Journal, "_write", full)
        with pytest.raises(OSError, match="No space left"):
            finetune(run, tmp_path, save_steps=2)
    goes_on(run, tmp_path, alone)


@pytest.mark.parametrize("kilobytes", [10, 60])
def test_a_limit_on_the_size_of_files_is_one_sentence(tiny_bert, reviews, tmp_path, capfd, kilobytes):
    """``ulimit -f``, which the libraries that write weights meet each in its own way."""
    argv = [
        "run",
        "--data",
        str(reviews),
        "--model",
        str(tiny_bert),
        "--lr",
        "1e-3",
        "--steps",
        "3",
        "--quiet",
    ]
    argv += ["--steps", "3", "--out", str(tmp_path / "out")]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, before[1]))
    try:
        code = main(argv)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    assert capfd.readouterr().err.splitlines()[-1] == (
        "pats: a file would be larger than is allowed here: raise the limit (ulimit -f), and start the same "
        "command again; it goes on"
    )
    assert main(argv) == 0


# Numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["vanilla", "pats"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("step", [1, 3])
def test_a_gradient_that_is_not_finite_fails_the_run_and_harms_no_checkpoint(
    run, tmp_path, monkeypatch, method, value, step
):
    run = replace(run, method=method)
    original, calls = RunTrainer.training_step, []

    def spoilt(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        calls.append(1)
        if len(calls) == step:
            next(self.model.parameters()).grad[0, 0] = value
        return loss

    with monkeypatch.context() as patched:
        patched.setattr(RunTrainer, "training_step", spoilt)
        result = finetune(run, tmp_path, save_steps=2)
    assert result.status == "failed"
    assert "lower the learning rate or the noise" in result.error
    assert all(exported.damage(path) is None for path in (tmp_path / "checkpoint").glob("best-*"))
    for path in (tmp_path / "checkpoint").glob("checkpoint-*"):
        assert all(bool(torch.isfinite(t).all()) for t in load_file(path / "model.safetensors").values())
    assert finetune(run, tmp_path, save_steps=2).status == "done"


# Clocks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_jumps_changes_nothing_but_the_times_of_events(run, alone, tmp_path, monkeypatch, jump):
    clock, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + offset[0])
    told = []

    def listen(event):
        told.append(event)
        offset[0] = jump if len(told) % 2 else 0.0

    result = finetune(run, tmp_path, save_steps=2, on_event=listen)
    assert lasting_content(result) == alone[0]
    assert max(event["time"] for event in told) - min(event["time"] for event in told) > 80000
    assert (
        all(0 <= seconds < 600 for seconds in result.timings.values() if seconds is not None)
        or result.timings
    )
    assert 0 <= result.timings["total"] < 600
    assert 0 <= result.timings["train"] <= result.timings["total"]
