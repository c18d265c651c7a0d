"""What is no state dict, or one of another kind of optimizer, is refused before anything is changed."""

import copy

import pytest
import torch

import pats
from pats.step.form import refuse_malformed
from support.misfit_states import LR, OPTIMIZERS, copied_tensors, same_tensors, trained_with
from support.small_network import flat_weights, make_network


def put(part, value):
    return lambda state: state.update({part: value})


def in_group(key, value):
    return lambda state: state["param_groups"][0].update({key: value})


def in_state(key, value):
    return lambda state: state["state"].update({key: value})


def some(state):
    return next(one for one in state["state"].values() if one)


def twice(state):
    state["param_groups"][0]["params"][0] = state["param_groups"][-1]["params"][-1]


MALFORMED = {
    "no groups": (lambda state: state.pop("param_groups"), "no list 'param_groups'"),
    "groups that are a number": (put("param_groups", 1.5), "no list 'param_groups'"),
    "no state": (lambda state: state.pop("state"), "no mapping 'state'"),
    "a state that is a list": (put("state", []), "no mapping 'state'"),
    "a group that is a number": (
        lambda state: state["param_groups"].append(3),
        "is a int, but must be a mapping",
    ),
    "no parameters": (lambda state: state["param_groups"][0].pop("params"), "no list 'params'"),
    "parameters that are one number": (in_group("params", 3), "no list 'params'"),
    "parameters that are lists": (in_group("params", [[0]]), "no list 'params'"),
    "a parameter twice": (twice, "a parameter is in it twice"),
    "names that are a number": (in_group("param_names", -1.0), "no list of names"),
    "names that are none": (in_group("param_names", None), "no list of names"),
    "a name that is a number": (in_group("param_names", [3.5]), "no list of names"),
    "no name for any": (in_group("param_names", []), "but 0 names"),
    "the state of one parameter a number": (in_state(0, 3.5), "no mapping from names"),
    "the state of one parameter by numbers": (in_state(0, {3: torch.ones(1)}), "no mapping from names"),
    "the state of a parameter that there is not": (in_state(99, {"step": 1}), "the state of 99"),
}


def refused(model, optimizer, bad, said):
    before, groups = copied_tensors(model, optimizer), copy.deepcopy(optimizer.state_dict()["param_groups"])
    with pytest.raises(pats.InputError, match=r"^[^\n]+$") as raised:
        optimizer.load_state_dict(bad)
    assert said in str(raised.value)
    assert same_tensors(before, copied_tensors(model, optimizer))
    assert optimizer.state_dict()["param_groups"] == groups


@pytest.mark.parametrize(("spoil", "said"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("name", ["adamax", "perturb adamw", "recadam", "sage adamax", "mtdnn"])
def test_what_is_no_state_dict_is_refused(name, spoil, said):
    model, optimizer = trained_with(OPTIMIZERS[name])
    bad = copy.deepcopy(optimizer.state_dict())
    spoil(bad)
    refused(model, optimizer, bad, said)


@pytest.mark.parametrize("value", [KeyError, None])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("adamax", "exp_inf"),
        ("adamw", "exp_avg_sq"),
        ("perturb adamax", "step"),
        ("perturb rmsprop", "square_avg"),
        ("reference", "exp_inf"),
        ("recadam", "exp_avg_sq"),
        ("mtdnn", "step"),
    ],
)
def test_a_state_without_what_the_optimizer_reads_is_refused(name, key, value):
    model, optimizer = trained_with(OPTIMIZERS[name])
    bad = copy.deepcopy(optimizer.state_dict())
    if value is KeyError:
        del some(bad)[key]
    else:
        some(bad)[key] = value
    refused(model, optimizer, bad, f"has no {key!r}, which {type(optimizer).__name__} reads")


@pytest.mark.parametrize("step", [torch.tensor(3), torch.tensor(3.0, dtype=torch.float16)])
@pytest.mark.parametrize("name", ["adamax foreach", "perturb adamw", "mtdnn"])
def test_a_counter_that_torch_makes_no_groups_of_is_refused(name, step):
    model, optimizer = trained_with(OPTIMIZERS[name])
    bad = copy.deepcopy(optimizer.state_dict())
    some(bad)["step"] = step
    refused(model, optimizer, bad, "but must be torch.float32 or float64")


def test_the_state_of_another_kind_of_optimizer_is_refused():
    _, adamw = trained_with(OPTIMIZERS["adamw"])
    model, adamax = trained_with(OPTIMIZERS["adamax"])
    refused(model, adamax, copy.deepcopy(adamw.state_dict()), "of another kind of optimizer")


def test_groups_without_names_are_compared_by_size():
    model, optimizer = trained_with(OPTIMIZERS["perturb adamax"])
    bad = copy.deepcopy(optimizer.state_dict())
    bad["param_groups"][0]["params"].pop()
    refused(model, optimizer, bad, "the state dict has groups of [11] parameters, but the optimizer of [12]")


def test_a_name_twice_is_refused():
    model, optimizer = trained_with(OPTIMIZERS["adamax"])
    bad = copy.deepcopy(optimizer.state_dict())
    names = bad["param_groups"][0]["param_names"]
    names[0] = names[1]
    refused(model, optimizer, bad, "a parameter's name twice")


@pytest.mark.parametrize(
    ("key", "value"),
    [("p", "x"), ("p", 7), ("seed", [1]), ("scale", "none"), ("budget", float("nan")), ("rng_version", 2)],
)
@pytest.mark.parametrize("name", ["adamax budget", "perturb budget", "reference"])
def test_settings_of_the_noise_that_cannot_be_are_refused(name, key, value):
    model, optimizer = trained_with(OPTIMIZERS[name])
    bad = copy.deepcopy(optimizer.state_dict())
    bad["param_groups"][0][f"noise_{key}"] = value
    refused(model, optimizer, bad, "the checkpoint's noise")


@pytest.mark.parametrize("name", ["sage adamax", "recadam", "mtdnn"])
def test_settings_that_a_state_dict_lacks_stay(name):
    """A state dict of an earlier version lacks those that came later."""
    model, optimizer = trained_with(OPTIMIZERS[name])
    twin, other = trained_with(OPTIMIZERS[name])
    state = copy.deepcopy(optimizer.state_dict())
    for group in state["param_groups"]:
        for key in set(group) - {"params", "param_names"}:
            del group[key]
    optimizer.load_state_dict(state)
    optimizer.step()
    other.step()
    assert torch.equal(flat_weights(model), flat_weights(twin))


def test_an_empty_state_is_none_that_lacks_anything():
    model = make_network()
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR)
    refuse_malformed(optimizer, optimizer.state_dict())
    state = optimizer.state_dict()
    state["state"] = {0: {}}  # a parameter that had no gradient yet
    refuse_malformed(optimizer, state)
