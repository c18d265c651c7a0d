"""What does not fit is refused before anything is changed, in every optimizer: at a step, and at a load."""

import copy

import pytest
import torch

import pats
from support.misfit_states import (
    OPTIMIZERS,
    SPOILT,
    WEIGHT,
    copied_tensors,
    same_tensors,
    shaped_keys,
    trained_with,
)
from support.small_network import backward


def weight_of(model):
    return model.get_parameter(WEIGHT)


def refused(model, optimizer, match):
    before = copied_tensors(model, optimizer)
    with pytest.raises((RuntimeError, pats.InputError), match=match):
        optimizer.step()
    assert same_tensors(before, copied_tensors(model, optimizer))


# torch changes neither layout nor dtype in place.
WRONG = [(wrong, False) for wrong in SPOILT if wrong != "no tensor"]
WRONG += [(wrong, True) for wrong, (_, match) in SPOILT.items() if match.startswith("shape")]


@pytest.mark.parametrize(("wrong", "in_place"), WRONG)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_that_does_not_fit_stops_the_step(name, wrong, in_place):
    """Every entry in turn; in place, the optimizer holds the tensor that it held before."""
    spoil, match = SPOILT[wrong]
    model, optimizer = trained_with(OPTIMIZERS[name])
    state = optimizer.state[weight_of(model)]
    for key in shaped_keys(state):
        good = state[key]
        bad = spoil(good)
        if in_place:
            kept, good.data = good.data, bad
            refused(model, optimizer, f"{WEIGHT}|{match}")
            good.data = kept
        else:
            state[key] = bad
            refused(model, optimizer, match)
            state[key] = good
    optimizer.step()


COUNTERS = {
    "true": torch.tensor(True),
    "complex": torch.tensor(3j),
    "two numbers": torch.ones(2),
    "no number": torch.ones(0),
    "without data": torch.tensor(3.0, device="meta"),
    "text": "3",
}


@pytest.mark.parametrize("wrong", COUNTERS)
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if "momentum" not in name])
def test_a_counter_that_does_not_count_stops_the_step(name, wrong):
    model, optimizer = trained_with(OPTIMIZERS[name])
    state = optimizer.state[weight_of(model)]
    good, state["step"] = state["step"], COUNTERS[wrong]
    before = copied_tensors(model, optimizer)[: len([*model.parameters()])]
    with pytest.raises(RuntimeError, match="the step of"):
        optimizer.step()
    assert same_tensors(before, copied_tensors(model, optimizer)[: len(before)])
    state["step"] = good
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_entry_that_is_gone_stops_the_step(name):
    """Only SGD's buffer may be None."""
    model, optimizer = trained_with(OPTIMIZERS[name])
    state = optimizer.state[weight_of(model)]
    for key in {"exp_avg", "exp_inf", "exp_avg_sq", "sensitivity", "anchor"} & state.keys():
        good, state[key] = state[key], None
        refused(model, optimizer, f"the {key} of .* is a NoneType")
        state[key] = good


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_without_floating_point_stops_the_step(name, dtype):
    model, optimizer = trained_with(OPTIMIZERS[name])
    gradient = weight_of(model).grad
    gradient.data = gradient.data.to(dtype)
    refused(model, optimizer, f"gradient .* {dtype}")


@pytest.mark.parametrize("key", ["noise_scale", "noise_p", "noise_seed"])
@pytest.mark.parametrize("name", ["adamax", "adamax foreach", "adamw", "reference", "perturb adamax"])
def test_a_setting_that_cannot_be_stops_the_step(name, key):
    """That of the last group in scope, too."""
    model, optimizer = trained_with(OPTIMIZERS[name])
    [group for group in optimizer.param_groups if group.get("in_scope", True)][-1][key] = "x"
    refused(model, optimizer, key.removeprefix("noise_"))


def larger(weight):
    weight.data = torch.zeros(70, 70)
    weight.grad = torch.ones(70, 70)


def smaller(weight):
    weight.data = torch.zeros(2, 7)
    weight.grad = torch.ones(2, 7)


def as_long(weight):
    weight.data = weight.data.reshape(49, 1)
    weight.grad = torch.ones(49, 1)


def old_gradient(weight):
    weight.data = torch.zeros(70, 7)


def wide_gradient(weight):
    weight.grad.data = torch.ones(70, 7)


def narrow_gradient(weight):
    weight.grad.data = torch.ones(1)


REPLACED = {change.__name__: change for change in (larger, smaller, as_long, old_gradient)}
REPLACED |= {change.__name__: change for change in (wide_gradient, narrow_gradient)}


@pytest.mark.parametrize("change", REPLACED)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_or_gradient_of_another_shape_stops_the_step(name, change):
    model, optimizer = trained_with(OPTIMIZERS[name])
    REPLACED[change](weight_of(model))
    refused(model, optimizer, WEIGHT if "mtdnn" not in name else r"\(\d+, \d+\)|\(1,\)")


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if "perturb" in name or "adamax" in name])
def test_a_parameter_of_another_dtype_stops_the_step(name):
    model, optimizer = trained_with(OPTIMIZERS[name])
    model.double()
    backward(model, 3)
    if name in ("perturb momentum", "perturb rmsprop"):
        optimizer.step()  # torch's own, which widen their state as they go
    else:
        refused(model, optimizer, r"torch\.float32, but its parameter torch\.float64")


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("what", ["parameter", "gradient"])
def test_memory_that_has_been_freed_stops_the_step(name, steps, what):
    """As wrappers free parameters and gradients between steps: the tensor keeps its shape."""
    model, optimizer = trained_with(OPTIMIZERS[name], steps)
    weight = weight_of(model)
    tensor = weight if what == "parameter" else weight.grad
    before = [p.detach().clone() for p in model.parameters() if p is not weight]
    tensor.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=f"memory of the {what}.*has been freed"):
        optimizer.step()
    after = [p for p in model.parameters() if p is not weight]
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_strides_change_no_bit(name):
    """Tensors are read by index, whatever their order in memory, at a step and from a checkpoint."""
    (model, optimizer), (twin, other), (third, loading) = (trained_with(OPTIMIZERS[name]) for _ in range(3))

    def turned(tensor):
        return tensor.t().contiguous().t()

    state = other.state[weight_of(twin)]
    for key in shaped_keys(state):
        if "fused" not in name or key == "sensitivity":  # torch's fused step goes by the order in memory
            state[key] = turned(state[key])
    saved = copy.deepcopy(loading.state_dict())
    for state in saved["state"].values():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.ndim == 2:
                state[key] = turned(value)
    loading.load_state_dict(saved)
    for its in (optimizer, other, loading):
        its.step()
    for p, q, r in zip(model.parameters(), twin.parameters(), third.parameters(), strict=True):
        assert torch.equal(p, q)
        assert torch.equal(p, r)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_that_is_gone_is_no_fault(name):
    model, optimizer = trained_with(OPTIMIZERS[name])
    weight = weight_of(model)
    weight.grad = None
    before = weight.detach().clone()
    optimizer.step()
    assert torch.equal(before, weight)


FAR = 2**24 - 2
COUNTED = [name for name in OPTIMIZERS if "momentum" not in name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", COUNTED)
def test_the_counter_goes_on_beyond_what_float32_counts(name, dtype):
    """And so every step draws other noise, before and after a checkpoint."""
    model, optimizer = trained_with(OPTIMIZERS[name], steps=1)
    for state in optimizer.state.values():
        state["step"] = torch.tensor(float(FAR), dtype=dtype)
    weight, seen = weight_of(model), []
    for step in range(6):
        if step == 4:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        optimizer.step()
        seen.append(int(optimizer.state[weight]["step"]))
    assert seen == [FAR + 1 + i for i in range(6)]


NOISY = ("adamax", "adamw", "adamax foreach", "perturb adamax", "perturb adamw", "perturb adamw fused")


@pytest.mark.parametrize("name", NOISY)
def test_noise_beyond_the_float32_counter_is_that_of_its_step(name):
    """θ stands still but for the noise, which is drawn for the number of the step."""
    model, optimizer = trained_with(OPTIMIZERS[name], steps=1)
    for state in optimizer.state.values():
        state["step"] = torch.tensor(float(FAR))
    for group in optimizer.param_groups:
        group["lr"], group["noise_p"] = 0.0, 1.0
    weight = weight_of(model)
    for step in range(5):
        before = weight.detach().clone()
        optimizer.step()
        z = pats.philox.draw(3, WEIGHT, FAR + 1 + step, 0, 49, 1.0).view(7, 7)
        moved = (weight.detach() - before).double()
        sure = (z.abs() > 1e-2) & (moved != 0)
        assert sure.sum() > 30
        assert torch.equal(moved[sure].sign(), z[sure].sign())


@pytest.mark.parametrize("how", ["perturb", "plain"])
def test_sparse_gradients_out_of_scope_are_torchs_own_affair(how):
    torch.manual_seed(0)
    table, linear = torch.nn.Embedding(9, 4, sparse=True), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(table, linear)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if how == "perturb":
        pats.perturb(optimizer, model, scope=["1.weight"])
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.tensor([1, 2, 2])).square().sum().backward()
        optimizer.step()
    assert optimizer.state[table.weight]["momentum_buffer"].is_sparse
    assert table.weight.isfinite().all()
