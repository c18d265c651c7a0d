"""What may happen to a model and its optimizer while the Triton kernels train it: right, or a sentence."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

from pats.kernels import triton as path
from support.device_training import DEVICE, OPTIMIZERS, bits, fill, network, weight

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not path.INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1 from the start"
)


@pytest.fixture(autouse=True)
def in_triton(monkeypatch):
    monkeypatch.setenv("PATS_KERNEL", "triton")


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_freed_gradient_is_refused(name):
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    fill(model, 3)
    weight(model).grad.untyped_storage().resize_(0)
    before = bits(model)
    with pytest.raises(RuntimeError, match=r"gradient of 'layer\.0\.weight' has been freed"):
        optimizer.step()
    assert all(map(torch.equal, before, bits(model)))


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_stale_gradient_of_another_dtype_is_refused_or_goes_with_its_parameter(name):
    """``model.half()`` after the first steps takes gradients along, but no state."""
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    model.half()
    fill(model, 3)
    before = bits(model)
    if name == "adamax":  # moments in float32 are state_dtype's, and s̄ is float32 whatever θ is
        optimizer.step()
        assert not any(map(torch.equal, before, bits(model)))
        return
    with pytest.raises(RuntimeError):  # torch's own fused step
        optimizer.step()


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_parameter_on_another_device_is_refused_with_its_name(name):
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    weight(model).data = weight(model).data.cpu()
    weight(model).grad = torch.zeros_like(weight(model))
    with pytest.raises(RuntimeError, match=r"layer\.0\.weight.* on |of 'layer\.0\.weight'"):
        optimizer.step()


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_a_group_that_is_added_takes_part(name):
    model, plain = network(), network()
    trained = []
    for one in (model, plain):
        optimizer = OPTIMIZERS[name](one)
        one.layer.append(nn.Linear(4, 2).to(DEVICE).requires_grad_(True))
        with torch.no_grad():
            for index, parameter in enumerate(one.layer[2].parameters()):
                parameter.fill_(0.1 + index)
        for step in range(3):
            fill(one, step)
            for parameter in one.layer[2].parameters():
                parameter.grad = None
            optimizer.step()
        if one is plain:
            replay = optimizer._replay if name == "adamax" else optimizer.handle._stepper.replay
            replay.forget()
        template = {k: v for k, v in optimizer.param_groups[0].items() if k not in ("params", "param_names")}
        names = ["layer.2.weight", "layer.2.bias"]
        optimizer.add_param_group(
            {**template, "params": [*one.layer[2].parameters()], "param_names": names, "in_scope": True}
        )
        before = one.layer[2].weight.detach().clone()
        for step in range(3, 5):
            fill(one, step)
            optimizer.step()
        assert not torch.equal(before, one.layer[2].weight)
        trained.append(bits(one))
    assert all(map(torch.equal, *trained))


def test_two_optimizers_over_the_same_tensors_do_not_take_each_others_state():
    def both(again):
        model = network()
        optimizers = [OPTIMIZERS["adamax"](model), OPTIMIZERS["adamw"](model)]
        for step in range(6):
            fill(model, step)
            if not again:
                for optimizer in optimizers:
                    optimizer._replay.forget()
            optimizers[step % 2].step()
        return bits(model)

    assert all(map(torch.equal, both(again=True), both(again=False)))


def test_a_parameter_that_is_deleted_leaves_the_rest():
    model = network()
    optimizer = OPTIMIZERS["adamax"](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    gone = weakref.ref(weight(model))
    for group in optimizer.param_groups:
        for index, one in enumerate(group["params"]):
            if one is weight(model):
                del group["params"][index], group["param_names"][index]
                break
    del one, optimizer.state[weight(model)], model.layer[0].weight
    for step in range(2):
        fill(model, step)
        optimizer.step()
    gc.collect()
    assert gone() is None or all(gone() is not p for group in optimizer.param_groups for p in group["params"])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copies_go_on_with_the_same_bits_and_tables_of_their_own(copied):
    model = network()
    optimizer = OPTIMIZERS["adamax"](model)
    for step in range(3):
        fill(model, step)
        optimizer.step()
    for parameter in model.parameters():
        parameter.grad = None
    other, its = copied((model, optimizer))
    for step in range(3, 6):
        for one, own in ((model, optimizer), (other, its)):
            fill(one, step)
            own.step()
    assert all(map(torch.equal, bits(model), bits(other)))
    assert {float(state["step"]) for state in its.state.values()} == {6.0}


@pytest.mark.parametrize("name", ["perturb", "perturb, no counter"])
def test_found_inf_and_grad_scale_are_read_by_the_kernels_alone(name, monkeypatch):
    """A step that is skipped changes and counts nothing; a scaled one has the bits of one that is not."""
    usual, model = network(), network()
    expected = OPTIMIZERS[name](usual)
    for step in range(2):
        fill(usual, step)
        expected.step()
    optimizer = OPTIMIZERS[name](model)
    for step, overflow in ((0, True), (0, False), (1, True), (1, False)):
        fill(model, step, scale=1024.0 if name == "perturb" else 1.0)
        optimizer.found_inf = torch.tensor(float(overflow), device=DEVICE)
        if name == "perturb":
            optimizer.grad_scale = torch.tensor(1024.0, device=DEVICE)
        before = bits(model)
        with monkeypatch.context() as patched:
            patched.setattr(torch.Tensor, "__bool__", unread)
            patched.setattr(torch.Tensor, "__float__", unread)
            patched.setattr(torch.Tensor, "item", unread)
            step_of = optimizer.step
            if name == "perturb":
                patched.undo()  # torch's own step on a CPU reads them
        if name == "perturb, no counter":  # SGD without fused=True looks at no found_inf: it is skipped here
            held = optimizer.handle._stepper.measure()
            if not overflow:
                descend(optimizer)
            optimizer.handle._stepper.perturb(held)
        else:
            step_of()
        assert all(map(torch.equal, before, bits(model))) == overflow
    assert all(map(torch.equal, bits(usual), bits(model)))
    counts = {float(optimizer.state[p]["step"]) for p in model.layer.parameters()}
    assert counts == {2.0}
    assert {row["skipped"] for row in optimizer.handle.stats().values()} == {0}


def unread(self):
    raise AssertionError("a number of the device was read")


def descend(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.data.add_(parameter.grad, alpha=-group["lr"])
