"""Attaching ``perturb`` in the orders that people use: after a load, to a copy, twice."""

import copy
import io
import pickle
import warnings

import pytest
import torch

import pats
from support.misfit_states import LR, NOISE
from support.small_network import backward, flat_weights, make_network

BASES = {
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "momentum": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9),
    "mtdnn": pats.optim.MTDNNAdamax,
}


def saved(thing):
    """After a round trip through a file."""
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


CLONES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "torch.save": saved,
}


def steps(model, optimizer, numbers):
    for step in numbers:
        backward(model, step)
        optimizer.step()


def begun(base, noise=NOISE):
    """A model after three steps, its optimizer and its perturbation."""
    model = make_network()
    optimizer = BASES[base](model.parameters(), lr=LR)
    handle = pats.perturb(optimizer, model, noise)
    steps(model, optimizer, range(3))
    return model, optimizer, handle


@pytest.fixture(params=BASES)
def base(request):
    return request.param


@pytest.fixture
def expected(base):
    """The weights of a run that nothing interrupts."""
    model, optimizer, _ = begun(base)
    steps(model, optimizer, range(3, 6))
    return flat_weights(model)


@pytest.mark.parametrize("given", [(), (NOISE,)], ids=["no settings", "the same settings"])
def test_attached_after_a_load_it_goes_on_to_the_bit(base, expected, given):
    model, optimizer, _ = begun(base)
    again = BASES[base](model.parameters(), lr=LR)
    again.load_state_dict(saved(optimizer.state_dict()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        handle = pats.perturb(again, model, *given)
        steps(model, again, range(3, 6))
    assert again.param_groups[0]["noise_lam"] == NOISE.lam
    assert set(handle.stats()) == set(handle.names)
    assert torch.equal(flat_weights(model), expected)


@pytest.mark.parametrize("clone", CLONES.values(), ids=CLONES)
def test_attached_to_a_copy_it_goes_on_to_the_bit(base, expected, clone):
    model, optimizer, _ = begun(base)
    model, optimizer = clone((model, optimizer))
    pats.perturb(optimizer, model)
    steps(model, optimizer, range(3, 6))
    assert torch.equal(flat_weights(model), expected)


@pytest.mark.parametrize("clone", CLONES.values(), ids=CLONES)
@pytest.mark.parametrize("order", ["handle last", "handle first", "handle in a dict"])
def test_a_copy_of_the_handle_is_attached_to_the_copies(base, expected, clone, order):
    model, optimizer, handle = begun(base)
    if order == "handle last":
        model, optimizer, handle = clone((model, optimizer, handle))
    elif order == "handle first":
        handle, optimizer, model = clone((handle, optimizer, model))
    else:
        found = clone({"model": model, "handle": handle, "optimizer": optimizer})
        model, optimizer, handle = found["model"], found["optimizer"], found["handle"]
    assert handle.stats() == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(model, optimizer, range(3, 6))
    assert torch.equal(flat_weights(model), expected)
    assert set(handle.stats()) == set(handle.names)
    with pytest.raises(pats.InputError, match="carries PATS already"):
        pats.perturb(optimizer, model)
    handle.remove()
    assert not any(key.startswith("noise_") for group in optimizer.param_groups for key in group)


def test_the_original_goes_on_beside_its_copy(expected, base):
    model, optimizer, handle = begun(base)
    twin, other, _ = copy.deepcopy((model, optimizer, handle))
    steps(twin, other, range(3, 6))
    steps(model, optimizer, range(3, 6))
    assert torch.equal(flat_weights(model), expected)
    assert torch.equal(flat_weights(twin), expected)


@pytest.mark.parametrize("clone", CLONES.values(), ids=CLONES)
def test_a_copy_of_a_handle_that_was_removed_adds_no_noise(clone):
    model, optimizer, handle = begun("adamax")
    handle.remove()
    plain = copy.deepcopy((model, optimizer))
    model, optimizer, handle = clone((model, optimizer, handle))
    steps(model, optimizer, range(3, 6))
    steps(*plain, range(3, 6))
    assert torch.equal(flat_weights(model), flat_weights(plain[0]))
    handle.remove()


@pytest.mark.parametrize("clone", CLONES.values(), ids=CLONES)
def test_a_copy_that_nobody_attached_warns_once(base, clone):
    model, optimizer, _ = begun(base)
    model, optimizer = clone((model, optimizer))
    with pytest.warns(UserWarning, match=r"nothing adds it.*call pats\.perturb"):
        steps(model, optimizer, [3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(model, optimizer, [4, 5])


def test_a_loaded_optimizer_that_nobody_attached_warns_once():
    model, optimizer, _ = begun("adamw")
    again = torch.optim.AdamW(model.parameters(), lr=LR)
    again.load_state_dict(optimizer.state_dict())
    with pytest.warns(UserWarning, match="nothing adds it"):
        steps(model, again, [3])
    without = pats.optim.AdamW(pats.param_groups(model), lr=LR)
    noisy = pats.optim.AdamW(pats.param_groups(model), lr=LR, noise=NOISE)
    without.load_state_dict(noisy.state_dict())
    with pytest.warns(UserWarning, match="nothing adds it"):
        steps(model, without, [4])


def test_nobody_else_is_warned():
    model, optimizer, handle = begun("adamax")
    plain = torch.optim.Adamax(model.parameters(), lr=LR)
    ours = pats.optim.Adamax(pats.param_groups(model), lr=LR, noise=NOISE)
    reference = pats.optim.reference.PATSAdamax(pats.param_groups(model), lr=LR, noise=NOISE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (optimizer, plain, ours, reference):
            steps(model, each, [3])
        steps(*copy.deepcopy((model, ours)), [3])
        handle.remove()
        steps(model, optimizer, [4])


def test_settings_of_a_checkpoint_replace_those_given_and_that_is_said():
    model, optimizer, _ = begun("adamax")
    again = torch.optim.Adamax(model.parameters(), lr=LR)
    again.load_state_dict(optimizer.state_dict())
    with pytest.warns(UserWarning, match=r"noise_lam 0\.0001 instead of 0\.5"):
        pats.perturb(again, model, pats.Noise.paper(lam=0.5, seed=3))
    assert again.param_groups[0]["noise_lam"] == 1e-4
    other = torch.optim.Adamax(model.parameters(), lr=LR)
    other.load_state_dict(optimizer.state_dict())
    other.param_groups[0]["noise_rng_version"] = 99
    with pytest.raises(ValueError, match="rng_version 99"):
        pats.perturb(other, model)


def test_a_group_that_is_added_takes_the_settings_of_the_checkpoint():
    model, optimizer, _ = begun("adamax")
    again = torch.optim.Adamax(model.parameters(), lr=LR)
    again.load_state_dict(optimizer.state_dict())
    pats.perturb(again, model)
    again.add_param_group({"params": [torch.nn.Parameter(torch.zeros(3))]})
    steps(model, again, [3])
    assert {group["noise_lam"] for group in again.param_groups} == {NOISE.lam}


def test_a_state_that_was_loaded_onto_other_parameters_is_refused():
    model, optimizer, _ = begun("adamax")
    named = torch.optim.Adamax(model.named_parameters(), lr=LR)
    handle = pats.perturb(named, model, NOISE)
    steps(model, named, [0])
    other = torch.optim.Adamax(reversed([*model.named_parameters()]), lr=LR)
    state = named.state_dict()
    other.load_state_dict(state)  # torch goes by position
    with pytest.raises(pats.InputError, match="attach PATS first, then load"):
        pats.perturb(other, model)
    handle.remove()
    unnamed = torch.optim.Adamax(reversed([*model.parameters()]), lr=LR)
    unnamed.load_state_dict(optimizer.state_dict())
    with pytest.raises(pats.InputError, match=r"does not fit the model: '.*' of '.*' has shape"):
        pats.perturb(unnamed, model)


def test_half_precision_that_was_loaded_first_is_said():
    model = make_network(dtype=torch.bfloat16)
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR)
    pats.perturb(optimizer, model, NOISE)
    steps(model, optimizer, range(2))
    again = torch.optim.Adamax(model.parameters(), lr=LR)
    again.load_state_dict(optimizer.state_dict())
    with pytest.warns(UserWarning, match="rounded to half precision"):
        pats.perturb(again, model)
    assert {s["sensitivity"].dtype for s in again.state.values() if "sensitivity" in s} == {torch.float32}
    steps(model, again, [2])


@pytest.mark.parametrize("first", ["load", "attach"])
def test_a_budget_that_was_loaded_first_is_said(first):
    model = make_network()
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR)
    pats.perturb(optimizer, model, pats.Noise(steps=20))
    steps(model, optimizer, range(2))
    again = torch.optim.Adamax(model.parameters(), lr=LR)
    if first == "load":
        again.load_state_dict(optimizer.state_dict())
        with pytest.warns(UserWarning, match="its budget was rounded .* attach PATS first, then load"):
            pats.perturb(again, model)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pats.perturb(again, model, pats.Noise(steps=20))
        again.load_state_dict(optimizer.state_dict())


def test_a_first_handle_that_is_removed_again_leaves_the_second_alone():
    model, optimizer, first = begun("adamax")
    first.remove()
    second = pats.perturb(optimizer, model, NOISE)
    first.remove()
    steps(model, optimizer, [3])
    assert set(second.stats()) == set(second.names)
