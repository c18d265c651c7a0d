import os
import subprocess
import sys

import pytest

from pats.study.place import resources, sharing
from pats.study.place.local import LocalPlacer
from pats.study.place.protocol import NamedPlacer
from pats.study.place.sharing import Gpu

GIB = 2**30
BERT = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12}


def gpu(index="0", free=70.0, mode="Default"):
    return Gpu(index, f"GPU-{index}abc", int(free * GIB), mode)


@pytest.fixture
def machine(monkeypatch):
    """``machine(gpus, mps=, cores=)`` is what the driver and the system tell."""

    def pretend(gpus, mps=False, cores=64, visible=None):
        monkeypatch.setattr(sharing, "told", lambda: gpus)
        monkeypatch.setattr(sharing, "mps", lambda: mps)
        monkeypatch.setattr(resources, "cores", lambda: cores)
        names = [gpu.index for gpu in gpus] if visible is None else visible
        monkeypatch.setattr(resources, "visible_gpus", lambda: names)

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return pretend


def test_the_need_is_no_less_than_what_was_measured():
    """MPNet-base at batch 32 and 128 tokens in bf16 took up to 3.6 GB on an H100."""
    bert = sharing.need(110_000_000, BERT, 32, 128)
    assert 1.2 * 3.6e9 < bert < 2 * 3.6e9


@pytest.mark.parametrize(
    ("change", "larger"),
    [({"parameters": 2}, True), ({"batch": 2}, True), ({"length": 2}, True), ({}, False)],
)
def test_the_need_grows_with_the_run(change, larger):
    plain = {"parameters": 10**7, "batch": 16, "length": 64}
    grown = {name: value * change.get(name, 1) for name, value in plain.items()}
    assert (sharing.need(sizes=BERT, **grown) > sharing.need(sizes=BERT, **plain)) is larger


@pytest.mark.parametrize("sizes", [{}, BERT | {"hidden_size": [64, 128]}, BERT | {"num_attention_heads": 0}])
def test_a_model_may_not_tell_its_sizes(sizes):
    assert sharing.need(10**7, sizes, 32, 128) is None


CHOICES = {
    "with the service as many as were measured": ([gpu()], True, 64, 5, 10, "service is on"),
    "without it two": ([gpu()], False, 64, 5, 2, "service is not on"),
    "as many as the memory holds": ([gpu(free=20)], True, 64, 5, 3, "its memory holds no more"),
    "the fullest of the GPUs counts": ([gpu(), gpu("1", 12)], True, 64, 5, 2, "its memory holds no more"),
    "one core a run": ([gpu()], True, 4, 5, 4, "cores for 4"),
    "cores are divided among GPUs": ([gpu(), gpu("1")], True, 6, 5, 3, "cores for 3"),
    "one where two do not fit": ([gpu(free=6)], True, 64, 5, 1, "its memory holds no more"),
    "one where not even one fits": ([gpu(free=2)], True, 64, 5, 1, "its memory holds no more"),
    "one in an exclusive mode": ([gpu(mode="Exclusive_Process")], False, 64, 5, 1, "allows one process"),
    "the service lifts that": ([gpu(mode="Exclusive_Process")], True, 64, 5, 10, "service is on"),
    "one where the size is unknown": ([gpu()], True, 64, None, 1, "does not tell how large"),
}


@pytest.mark.parametrize(("gpus", "mps", "cores", "need", "runs", "said"), CHOICES.values(), ids=CHOICES)
def test_how_many_runs_a_gpu_takes(machine, gpus, mps, cores, need, runs, said):
    machine(gpus, mps, cores)
    engine = LocalPlacer()
    assert engine.workers == len(gpus)
    sentence = engine.share_gpus(need and need * GIB)
    assert engine.workers == runs * len(gpus)
    assert engine.threads == max(1, cores // engine.workers)
    assert sentence.startswith("One run at" if runs == 1 else f"{runs} runs at")
    assert said in sentence
    assert "\n" not in sentence
    assert engine.share_gpus(1) is None  # it is said once


@pytest.mark.parametrize("visible", [["GPU-0abc"], ["MIG-7"], ["0", "3"]])
def test_gpus_are_found_by_their_names(machine, visible):
    machine([gpu()], mps=True, visible=visible)
    engine = LocalPlacer()
    engine.share_gpus(5 * GIB)
    assert engine.workers == (10 if visible == ["GPU-0abc"] else len(visible))


def test_runs_are_spread_over_the_gpus(machine):
    machine([gpu("3"), gpu("5")], mps=False)
    engine = LocalPlacer()
    engine.share_gpus(5 * GIB)
    assert [engine._environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["3", "5", "3", "5"]


@pytest.mark.parametrize("given", [{"gpus": 1}, {"gpus": 0.5}, {"gpus": 0}, {"workers": 1}, {"processes": 2}])
def test_what_the_user_said_holds(machine, given):
    machine([gpu(), gpu("1")], mps=True)
    engine = LocalPlacer(**given)
    before = (engine.workers, engine.threads)
    assert engine.share_gpus(GIB) is None
    assert (engine.workers, engine.threads) == before


def test_without_gpus_and_on_other_engines_there_is_nothing_to_choose(machine):
    machine([])
    assert LocalPlacer().share_gpus(GIB) is None
    assert NamedPlacer.share_gpus(LocalPlacer(), GIB) is None


# What the system tells ---------------------------------------------------------------------------------


@pytest.fixture
def pipes(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    return tmp_path


def ended():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("control", "pid", "on"),
    [
        (False, None, False),
        (True, None, True),
        (True, os.getpid, True),
        (True, ended, False),
        (True, lambda: "x", True),
        (False, os.getpid, False),
    ],
)
def test_the_service_is_on_where_its_daemon_lives(pipes, control, pid, on):
    if control:
        (pipes / "control").touch()
    if pid is not None:
        (pipes / "nvidia-cuda-mps-control.pid").write_text(f"{pid()}\n")
    assert sharing.mps() is on


TOLD = [
    Gpu("0", "GPU-1f", 71234 << 20, "Default"),
    Gpu("1", "GPU-2e", 3000 << 20, "Exclusive_Process"),
]
SMI = "0, GPU-1f, 71234, Default\n1, GPU-2e, 3000, Exclusive_Process\n"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            f"printf '{SMI}'",
            [Gpu("0", "GPU-1f", 71234 << 20, "Default"), Gpu("1", "GPU-2e", 3000 << 20, "Exclusive_Process")],
        ),
        ("printf '0, GPU-1f, [N/A], Default\n'", []),
        ("printf 'No devices were found\n'", []),
        ("exit 9", []),
        (None, []),
    ],
)
def test_what_nvidia_smi_tells(tmp_path, monkeypatch, script, found):
    if script is not None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script else str(tmp_path))
    assert sharing.told() == found
