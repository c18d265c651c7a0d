"""A look in C and one in Python give the same answers, and C leaves nothing behind."""

import gc
import sys

import pytest
import torch

from pats.kernels.cpu import library
from pats.step import look

in_c = pytest.param("c", marks=pytest.mark.skipif(look.LIBRARY is None, reason="needs the C library"))


@pytest.fixture(params=[in_c, "python"], autouse=True)
def way(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(look, "LIBRARY", None)
    return request.param


def test_c_is_used_where_it_is_there(way):
    """torch from 2.10 describes its tensors to C, so that the library alone decides."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert way == "python" or (library.LIBRARY is not None and locked)
    if way == "c":
        assert look.Tensors([torch.ones(2)])._seen is not None


def elsewhere(tensor):
    tensor.data = tensor.data.clone()


def turned(tensor):
    tensor.data = tensor.data.t()


def shorter(tensor):
    tensor.data = tensor.data[:2]


def of_another_dtype(tensor):
    tensor.data = tensor.data.view(torch.int32)


def of_another_width(tensor):
    tensor.data = tensor.data.view(torch.float64)


def shifted(tensor):
    tensor.data = tensor.data.view(-1)[1:13].view(4, 3)


def spread(tensor):
    tensor.data = tensor.data[:, :1].expand(4, 4)


def freed(tensor):
    tensor.untyped_storage().resize_(0)


def swapped(tensor):
    """The same object with another tensor in it, as ``nn.Module.to`` may leave it."""
    torch.utils.swap_tensors(tensor, torch.ones(4, 4))


def written(tensor):
    tensor.add_(1)


def seen_otherwise(tensor):
    """A dimension of one element more lies where it lay."""
    tensor.data = tensor.data.view(4, 1, 4)


CHANGES = [elsewhere, turned, shorter, of_another_dtype, of_another_width, shifted, spread, freed, swapped]
SAME = [written, seen_otherwise]


@pytest.mark.parametrize("change", [*CHANGES, *SAME], ids=lambda change: change.__name__)
def test_what_is_seen_of_tensors(change):
    tensors = [torch.ones(2, 2), torch.ones(4, 4), torch.ones(0), torch.ones(())]
    seen = look.Tensors(tensors)
    assert seen.hold()
    change(tensors[1])
    assert seen.hold() is (change in SAME)


@pytest.mark.parametrize("change", [*CHANGES[:-1], *SAME], ids=lambda change: change.__name__)
def test_what_is_seen_of_gradients(change):
    """They are other ones at every step, so that their place may be any but nowhere."""
    parameters = [torch.ones(4, 4, requires_grad=True), torch.ones(0, requires_grad=True)]
    to = torch.zeros(2, dtype=torch.int64)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    grads = look.Gradients(parameters, to, torch.tensor([3, 0]))
    change(parameters[0].grad)
    fits = change in (elsewhere, *SAME)
    assert grads.take() is fits
    assert not fits or to.tolist() == [parameters[0].grad.data_ptr(), 0]


def test_low_bits_of_an_address_and_how_many_are_written():
    parameters = [torch.ones(4, requires_grad=True) for _ in range(3)]
    memory = torch.ones(32)
    to = torch.zeros(2, dtype=torch.int64)
    for parameter in parameters:
        parameter.grad = memory[:4]
    grads = look.Gradients(parameters, to, torch.tensor([15, 0]))
    parameters[1].grad = parameters[2].grad = memory[1:5]
    assert grads.take()
    assert to.tolist() == [memory.data_ptr(), memory.data_ptr() + 4]
    parameters[0].grad = memory[1:5]
    assert not grads.take()


@pytest.mark.parametrize("grad", [None, torch.ones(4, 4).to_sparse(), torch.ones(4, 4, device="meta")])
def test_gradients_that_lie_nowhere(grad):
    parameter = torch.ones(4, 4, requires_grad=True, device="cpu" if grad is None else grad.device)
    parameter.grad = torch.ones_like(parameter)
    grads = look.Gradients([parameter], torch.zeros(1, dtype=torch.int64), torch.tensor([0]))
    parameter.grad = grad
    assert not grads.take()


def test_a_tensor_that_lies_nowhere_never_holds():
    assert not look.Tensors([torch.ones(2, 2).to_sparse()]).hold()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_numbers_are_read_in_float64(dtype):
    together = torch.tensor([3, 5], dtype=dtype)
    numbers = look.Numbers([*together.unbind()], together)
    to = torch.zeros(2, dtype=torch.float64)
    assert numbers.read(to, 1.0, 6.0)
    assert to.tolist() == [4.0, 6.0]
    assert numbers.read(to, 1.0, 5.0) is (dtype != torch.float32)


HELD = {
    "nothing": (lambda dicts: None, True),
    "replaced": (lambda dicts: dicts[1].update(a=torch.ones(())), False),
    "equal": (lambda dicts: dicts[0].update(a=float("1.5")), False),
    "added": (lambda dicts: dicts[0].update(c=1), False),
    "removed": (lambda dicts: dicts[0].pop("b"), False),
    "emptied": (lambda dicts: [each.clear() for each in dicts], False),
    "renamed": (lambda dicts: dicts[1].update(z=dicts[1].pop("a")), True),
}


@pytest.mark.parametrize("change", HELD)
def test_what_dicts_hold(change):
    dicts = [{"a": float("1.5"), "b": None}, {"a": torch.ones(())}, {}]
    values = look.Values(dicts)
    happens, same = HELD[change]
    happens(dicts)
    assert values.hold() is same


@pytest.mark.parametrize("kind", [list, tuple])
def test_what_lists_hold(kind):
    first, second = torch.ones(2), torch.ones(2)
    items = look.Items([first, second])
    assert items.are(kind([first, second]))
    for others in ([second, first], [first], [first, second, first], [first, second.clone()], []):
        assert not items.are(kind(others))


def test_nothing_is_left_behind():
    """Neither references nor memory, however often one looks."""
    parameters = [torch.ones(8, requires_grad=True) for _ in range(3)]
    for parameter in parameters:
        parameter.grad = torch.ones(8)
    states = [{"m": torch.ones(8), "none": None} for _ in parameters]
    watched = [*parameters, *(parameter.grad for parameter in parameters), None, "grad"]
    low = torch.zeros(3, dtype=torch.int64)
    looks = look.Tensors(parameters), look.Values(states), look.Gradients(parameters, low.clone(), low)
    items = look.Items(parameters)
    gc.collect()
    before = [sys.getrefcount(each) for each in watched], sys.getallocatedblocks()
    for _ in range(10_000):
        assert all((looks[0].hold(), looks[1].hold(), looks[2].take(), items.are(parameters)))
    after = [sys.getrefcount(each) for each in watched], sys.getallocatedblocks()
    assert max(abs(a - b) for a, b in zip(after[0], before[0], strict=True)) < 100
    assert after[1] - before[1] < 1000


def test_errors_of_what_is_called_are_not_left_behind():
    parameter = torch.ones(4, 4, requires_grad=True)
    parameter.grad = torch.ones(4, 4)
    grads = look.Gradients([parameter], torch.zeros(1, dtype=torch.int64), torch.tensor([0]))
    parameter.grad = torch.ones(4, 4).to_sparse()
    before = sys.getrefcount(parameter.grad)
    for _ in range(100):
        assert not grads.take()
    assert sys.getrefcount(parameter.grad) < before + 10
