"""The tables of the kernels: what a graph writes by itself, what is kept, and how kernels are launched."""

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


@runs
def test_the_size_of_a_program_and_its_options_change_no_bit(monkeypatch):
    found = []
    for block in (128, 512, 1024):
        monkeypatch.setattr(plan, "UPDATE_BLOCK", block)
        jobs = [*jobs_of(3000, 16, 5)]
        path.DeviceBatch(path._PATH, jobs).step()
        found.append(torch.cat([job.theta for job in jobs]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


class Kernel:
    """In the place of a kernel: it keeps the options of every compilation."""

    __name__ = "update_kernel"

    def __init__(self):
        self.compiled = []

    def __getitem__(self, grid):
        def compile(*arguments, **options):
            self.compiled.append(options)
            return {grid: lambda *arguments: None}

        return compile


@runs
def test_a_kernel_is_compiled_once_for_its_options(monkeypatch):
    work = path._Work([*jobs_of(16)], Plans())
    kernel, grid = Kernel(), (1, 1, 1)
    for _ in range(3):
        work.plan._launch(kernel, grid, (1024,))
    assert kernel.compiled == [plan.OPTIONS["update_kernel"]]
    assert kernel.compiled[0]["enable_fp_fusion"] is False
    monkeypatch.setitem(plan.OPTIONS, "update_kernel", {"num_warps": 8})
    work.plan._launch(kernel, grid, (1024,))
    assert kernel.compiled[1:] == [{"num_warps": 8}]
