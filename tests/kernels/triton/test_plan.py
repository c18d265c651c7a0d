"""The tables of the kernels: what a graph writes by itself, what is kept, and that every kernel compiles."""

import os
import subprocess
import sys

import pytest
import torch

from pats._noise import Noise
from pats.kernels import triton as path
from pats.kernels.triton import plan
from pats.kernels.triton.plan import Plans
from support.matrix_jobs import make_job, make_rule, make_tensors

pytest.importorskip("triton")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
runs = pytest.mark.skipif(
    DEVICE.type == "cpu" and not path.INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1 from the start"
)


def test_a_graph_writes_the_words_that_a_step_would_send():
    words = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 0, *range(300)]
    assert torch.equal(plan.constants(words, DEVICE), plan.upload(words, DEVICE))


def test_a_number_travels_as_it_is_or_as_its_address():
    held = torch.tensor(3.0, device=DEVICE)
    bits, width = plan.word(held, DEVICE)
    assert torch.tensor([bits], dtype=torch.float64).view(torch.int64).item() == held.data_ptr()
    assert width == 4
    assert plan.word(0.25, DEVICE) == (0.25, 0)
    with pytest.raises(RuntimeError, match="float32 or float64"):
        plan.word(held.half(), DEVICE)


def jobs_of(*sizes):
    for number, size in enumerate(sizes):
        tensors = [tensor.to(DEVICE) for tensor in make_tensors((size,), seed=number)]
        job = make_job(*tensors, Noise(scale="constant"), name=str(number))
        job.rule = make_rule("adamw", *(torch.zeros_like(tensors[0]) for _ in range(2)))
        yield job


@runs
def test_a_plan_is_found_again_and_few_are_kept(monkeypatch):
    monkeypatch.setattr(plan.Plan, "_launch", lambda *_: None)
    plans, jobs = Plans(), [*jobs_of(16, 16, 5)]
    found = []
    for chosen in (jobs, jobs[:2], jobs, jobs[:2]):
        path.DeviceBatch(path._PATH, chosen, plans).step()
        found.append(plans.last)
    assert found[0] is found[2]
    assert found[1] is found[3] is not found[0]
    for _ in range(20):
        path.DeviceBatch(path._PATH, [*jobs_of(16)], plans).step()
    assert len(plans._plans) <= 8


@runs
@pytest.mark.parametrize("count", [1, 40])
def test_launches_do_not_grow_with_the_matrices(count, monkeypatch):
    launched = []
    monkeypatch.setattr(plan.Plan, "_launch", lambda self, kernel, *_: launched.append(kernel.__name__))
    jobs = [*jobs_of(*[16] * count)]
    path.DeviceBatch(path._PATH, jobs).step()
    assert launched == ["measure_kernel", "size_kernel", "update_kernel", "tally_kernel"]


@runs
def test_blocks_cover_every_piece_once():
    jobs = [*jobs_of(16, 3000, 5, 1024)]
    work = path._Work(jobs, Plans())
    rows = plan.rows_of(jobs, [work._addresses(job) for job in jobs], DEVICE)
    covered = []
    for launch, blocks in work.plan._updating:
        assert len(blocks) == launch.programs
        covered += map(tuple, blocks.tolist())
    expected = [
        (piece, block)
        for piece, row in enumerate(rows.pieces)
        for block in range(-(-row.numel // plan.UPDATE_BLOCK))
    ]
    assert sorted(covered) == expected


COMPILE = """
import torch, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from pats.kernels.triton import kernel

TYPES = {"pieces": "*i64", "blocks": "*i32", "ranges": "*i64", "samples": "*fp32"}

def build(function, **constants):
    names = function.arg_names
    assert set(constants) == {p.name for p in function.params if p.is_constexpr}, function
    signature = {n: "constexpr" if n in constants else TYPES.get(n, "*fp64") for n in names}
    fixed = {(names.index(name),): value for name, value in constants.items()}
    for capability in (80, 90):
        source = ASTSource(fn=function, signature=signature, constexprs=fixed)
        compile(source, target=GPUTarget("cuda", capability, 32))

for theta, aligned, other in ((tl.float32, True, False), (tl.bfloat16, False, True)):
    build(kernel.measure_kernel, THETA=theta, BUDGET=True, OBSERVED=other, ALIGNED=aligned, BLOCK=1024)
    more = {"THETA": theta, "STATE": tl.float32, "ALIGNED": aligned, "BLOCK": 1024}
    build(kernel.update_kernel, BASE=True, NOISE=not other, OBSERVED=False, **more)
    build(kernel.update_kernel, BASE=False, NOISE=True, OBSERVED=other, **more)
    build(kernel.size_kernel, TOTAL=other, BLOCK=1024)
build(kernel.total_kernel, COLUMNS=3, LARGEST=-1, BLOCK=1024)
build(kernel.tally_kernel, BLOCK=1024)
"""


def test_every_kernel_compiles_for_a_gpu_that_is_not_there():
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
