"""Every entry of every path refuses tensors that do not fit each other, before it changes anything."""

import pytest
import torch

from pats._noise import Noise
from pats.kernels import Piece, cpu, eager, triton, whole
from pats.kernels.cpu import library
from support.matrix_jobs import make_job, make_rule, make_tensors
from support.misfit_states import SPOILT, same_tensors

PATHS = {"cpu": cpu, "eager": eager, "triton": triton}
ENTRIES = {
    "measure": lambda path, jobs: path.measure(jobs, 1.0),
    "perturb": lambda path, jobs: path.perturb(jobs, torch.ones(len(jobs), 8, dtype=torch.float64)),
    "step": lambda path, jobs: path.step(jobs),
}


def _found(name):
    if name == "cpu" and library.LIBRARY is None:
        pytest.skip("the C kernel has not been built")
    if name == "triton" and (triton.kernels() is None or not triton.INTERPRETED):
        pytest.skip("Triton's interpreter is not there")
    return PATHS[name]


@pytest.fixture(params=PATHS)
def path(request):
    return _found(request.param)


@pytest.fixture(params=["cpu", "triton"])
def kernel(request):
    """A path that goes by addresses; plain torch raises of itself, or works on any dtype."""
    return _found(request.param)


def jobs_of(dtype=torch.float32, base="adamw"):
    """Two jobs, of which the second is to go wrong."""
    found = []
    for seed in (0, 1):
        tensors = make_tensors((7, 7), dtype, seed)
        moments = [torch.full_like(tensors[0], 1e-3) for _ in range(2)]
        found.append(make_job(*tensors, Noise(p=1.0), rule=make_rule(base, *moments)))
    return found


def tensors_of(jobs):
    return [t for j in jobs for t in (j.theta, j.grad, j.average, j.rule.first, j.rule.second)]


def refused(path, entry, jobs, match):
    before = [tensor if tensor.is_meta else tensor.clone() for tensor in tensors_of(jobs)]
    with pytest.raises((RuntimeError, TypeError), match=match):
        ENTRIES[entry](path, jobs)
    assert same_tensors(before, tensors_of(jobs))


def put(one, what, tensor):
    setattr(one.rule if what in ("first", "second") else one, what, tensor)


def get(one, what):
    return getattr(one.rule if what in ("first", "second") else one, what)


# What a kernel must refuse beside shapes.
DTYPES = {
    "half": lambda t: t.half(),
    "bfloat16": lambda t: t.bfloat16(),
    "double": lambda t: t.double(),
    "whole numbers": lambda t: t.long(),
    "without data": lambda t: t.to("meta"),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("what", ["grad", "average", "first", "second"])
@pytest.mark.parametrize("wrong", [name for name, (_, match) in SPOILT.items() if match.startswith("shape")])
def test_another_shape(path, entry, what, wrong):
    spoil, match = SPOILT[wrong]
    jobs = jobs_of()
    put(jobs[1], what, spoil(get(jobs[1], what)))
    refused(path, entry, jobs, match)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("what", ["grad", "average", "first", "second"])
@pytest.mark.parametrize("wrong", DTYPES)
def test_another_dtype_or_device(kernel, entry, what, wrong):
    jobs = jobs_of()
    put(jobs[1], what, DTYPES[wrong](get(jobs[1], what)))
    refused(kernel, entry, jobs, "cannot be stepped")


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.complex64], ids=str)
def test_a_parameter_that_the_kernel_does_not_take(kernel, entry, dtype):
    jobs = jobs_of()
    for what in ("theta", "grad", "first", "second"):
        put(jobs[1], what, get(jobs[1], what).to(dtype))
    refused(kernel, entry, jobs, "cannot be stepped")


@pytest.mark.parametrize("entry", ENTRIES)
def test_moments_of_two_dtypes(kernel, entry):
    jobs = jobs_of(torch.bfloat16)
    jobs[1].rule.first = jobs[1].rule.first.float()
    refused(kernel, entry, jobs, "moments of one dtype")


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_sensitivity_in_another_order(kernel, entry):
    jobs = jobs_of()
    jobs[1].average = jobs[1].average.t()
    refused(kernel, entry, jobs, "contiguous sensitivity")


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("what", ["theta", "grad", "average", "first", "second"])
def test_memory_that_has_been_freed(path, entry, what):
    jobs = jobs_of()
    get(jobs[1], what).untyped_storage().resize_(0)
    before = [tensor.clone() for tensor in tensors_of(jobs[:1])]
    with pytest.raises(RuntimeError, match="has been freed"):
        ENTRIES[entry](path, jobs)
    assert same_tensors(before, tensors_of(jobs[:1]))


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    "pieces", [(), whole(50), whole(48), (Piece(0, 49, 0, 49, 49), Piece(49, 1, 49, 1, 1))], ids=str
)
def test_pieces_that_are_not_the_matrix(path, entry, pieces):
    jobs = jobs_of()
    jobs[1].pieces = pieces
    refused(path, entry, jobs, "49 entries here")


@pytest.mark.parametrize("entry", ENTRIES)
def test_views_and_expanded_gradients_are_fine(path, entry):
    jobs = jobs_of()
    jobs[0].grad = torch.tensor(1e-3).expand(7, 7)  # as sum().backward() leaves it
    jobs[1].grad = torch.ones(100)[51:].view(7, 7).t()
    ENTRIES[entry](path, jobs)
    assert all(tensor.isfinite().all() for tensor in tensors_of(jobs))


def test_a_job_without_noise_is_measured_by_its_beta(path):
    """With the bits of a job whose noise has that β; nothing else is known of it."""
    alone, noisy = (
        make_job(*make_tensors((9, 31)), None, step=1),
        make_job(*make_tensors((9, 31)), Noise.paper(beta=0.4), step=1),
    )
    alone.beta = 0.4
    sums = [path.measure([one], 1.0) for one in (alone, noisy)]
    assert torch.equal(alone.average, noisy.average)
    assert torch.equal(*sums)
    assert sums[0][0, 0] > 0
    before = alone.theta.clone()
    assert not path.perturb([alone], sums[0]).any()
    assert torch.equal(alone.theta, before)


def test_without_noise_and_without_beta_nothing_is_measured(path):
    one = make_job(*make_tensors((9, 31)), None)
    before = one.average.clone()
    assert not path.measure([one], 1.0).any()
    assert torch.equal(one.average, before)


BUDGETS = {
    "four numbers": torch.zeros(4, dtype=torch.float64),
    "a row of rows": torch.zeros(1, 5, dtype=torch.float64),
    "float32": torch.zeros(5),
    "on no device": torch.zeros(5, dtype=torch.float64, device="meta"),
    "every second": torch.zeros(10, dtype=torch.float64)[::2],
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_budget_that_is_no_row_of_five(path, entry, budget):
    jobs = jobs_of()
    jobs[0].budget = torch.zeros(5, dtype=torch.float64)
    jobs[1].budget = BUDGETS[budget]
    refused(path, entry, jobs, "budget of .* must be 5 numbers")
