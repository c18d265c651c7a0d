"""State dicts are matched by name, else by position with shapes checked; what does not fit is refused."""

import copy
import math

import pytest
import torch
from torch import nn

import pats
from pats.step.checkpoint import fitted, restore
from support.misfit_states import (
    LR,
    NOISE,
    OPTIMIZERS,
    SPOILT,
    WEIGHT,
    copied_tensors,
    same_tensors,
    shaped_keys,
    trained_with,
)
from support.small_network import Network, backward, flat_weights, make_network, train_copy

# Optimizers whose groups have names; pats.param_groups gives two of them.
NAMED = {name: make for name, make in OPTIMIZERS.items() if "perturb" not in name}
NAMED["perturb adamax"] = lambda m: attached(torch.optim.Adamax(m.named_parameters(), lr=LR), m)
NAMED["perturb adamw"] = lambda m: attached(torch.optim.AdamW(pats.param_groups(m), lr=LR), m)
NAMED["perturb momentum"] = lambda m: attached(torch.optim.SGD(pats.param_groups(m), lr=LR, momentum=0.9), m)


def attached(optimizer, model):
    pats.perturb(optimizer, model, NOISE)
    return optimizer


def refused(model, optimizer, state, *match):
    before, groups = copied_tensors(model, optimizer), copy.deepcopy(optimizer.state_dict()["param_groups"])
    with pytest.raises(pats.InputError) as raised:
        optimizer.load_state_dict(state)
    for part in match:
        assert part in str(raised.value)
    assert same_tensors(before, copied_tensors(model, optimizer))
    assert optimizer.state_dict()["param_groups"] == groups


def index_of(model, state, name):
    """Under which number the state dict holds a parameter."""
    numbers = [i for group in state["param_groups"] for i in group["params"]]
    names = [n for group in state["param_groups"] for n in group.get("param_names", ())]
    return numbers[(names or [n for n, _ in model.named_parameters()]).index(name)]


NUMBERS = {
    "step": [-1.0, math.inf, 1e300, 10**400, torch.tensor(1.0, device="meta"), torch.ones(2)],
    "noise_spread": [-1e-9, math.nan, 1e300, torch.tensor(1.0, device="meta")],
    "noise_mean": [math.nan, -1e300, None, torch.tensor(1.0, device="meta")],
    "noise_variance": [torch.tensor(-1.0), 1e300],
    "noise_size": [torch.tensor(-1.0), 1e300],
    "noise_spent": [torch.tensor(-1.0), math.inf, "all"],
}


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("name", ["adamax budget", "perturb budget"])
def test_numbers_that_cannot_be_are_refused_at_load(name, key):
    model, optimizer = trained_with(OPTIMIZERS[name])
    good = optimizer.state_dict()
    for value in NUMBERS[key]:
        bad = copy.deepcopy(good)
        bad["state"][index_of(model, good, WEIGHT)][key] = value
        refused(model, optimizer, bad, repr(key), WEIGHT)


@pytest.mark.parametrize("name", ["adamax budget", "perturb budget"])
def test_plain_numbers_are_loaded_as_tensors_are(name):
    (model, optimizer), (twin, other) = trained_with(OPTIMIZERS[name]), trained_with(OPTIMIZERS[name])
    saved = copy.deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        state |= {key: float(value) for key, value in state.items() if key.startswith("noise_")}
    optimizer.load_state_dict(saved)
    optimizer.step()
    other.step()
    assert torch.equal(flat_weights(model), flat_weights(twin))


@pytest.mark.parametrize("name", ["adamax budget", "perturb budget"])
def test_a_mean_may_lie_below_zero(name):
    model, optimizer = trained_with(OPTIMIZERS[name])
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][index_of(model, saved, WEIGHT)]["noise_mean"] = torch.tensor(-0.5)
    optimizer.load_state_dict(saved)
    weight = dict(model.named_parameters())[WEIGHT]
    assert float(optimizer.state[weight]["noise_mean"]) == -0.5


@pytest.mark.parametrize("wrong", SPOILT)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_that_does_not_fit_is_refused_at_load(name, wrong):
    spoil, _ = SPOILT[wrong]
    model, optimizer = trained_with(OPTIMIZERS[name])
    twin, unharmed = trained_with(OPTIMIZERS[name])
    good = optimizer.state_dict()
    index = index_of(model, good, WEIGHT)
    for key in shaped_keys(good["state"][index]):
        bad = copy.deepcopy(good)
        bad["state"][index][key] = spoil(bad["state"][index][key])
        refused(model, optimizer, bad, repr(key), WEIGHT)
    optimizer.load_state_dict(good)
    optimizer.step()
    unharmed.step()
    assert torch.equal(flat_weights(model), flat_weights(twin))


@pytest.mark.parametrize(
    "step", [torch.ones(3), torch.tensor(float("nan")), torch.tensor(float("inf")), float("nan"), "3", [3]]
)
@pytest.mark.parametrize("name", ["adamax", "perturb adamw", "sage adamw", "reference"])
def test_a_counter_that_is_no_number_is_refused(name, step):
    model, optimizer = trained_with(OPTIMIZERS[name])
    bad = copy.deepcopy(optimizer.state_dict())
    bad["state"][index_of(model, bad, WEIGHT)]["step"] = step
    refused(model, optimizer, bad, "'step'")


def three_classes():
    model = make_network()
    model.head = nn.Linear(7, 3)
    return model


def more_words():
    model = make_network()
    model.embed = nn.Linear(5, 7)
    return model


@pytest.mark.parametrize(
    ("make_model", "where", "shapes"),
    [
        (three_classes, "head.weight", ("(1, 7)", "(3, 7)")),
        (more_words, "embed.weight", ("(7, 3)", "(7, 5)")),
        (lambda: Network(9), "weight", ("(7, ", "(9, ")),
    ],
    ids=["head", "embedding", "width"],
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_another_model_is_refused_with_names_and_shapes(name, make_model, where, shapes):
    _, optimizer = trained_with(OPTIMIZERS[name])
    model = make_model()
    other = OPTIMIZERS[name](model)
    refused(model, other, optimizer.state_dict(), where, *shapes)
    assert not other.state


def shuffled(state, seed):
    """The same state dict with parameters, groups and numbers in another order."""
    state = copy.deepcopy(state)
    generator = torch.Generator().manual_seed(seed)
    for group in state["param_groups"]:
        order = torch.randperm(len(group["params"]), generator=generator).tolist()
        for key in ("params", "param_names"):
            group[key] = [group[key][i] for i in order]
    state["param_groups"].reverse()
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    new = {old: position for position, old in enumerate(numbers)}
    for group in state["param_groups"]:
        group["params"] = [new[number] for number in group["params"]]
    state["state"] = {new[old]: value for old, value in state["state"].items()}
    return state


@pytest.mark.parametrize("name", NAMED)
def test_states_are_matched_by_name(name):
    model, optimizer = trained_with(NAMED[name])
    twin, other = trained_with(NAMED[name])
    other.load_state_dict(shuffled(optimizer.state_dict(), seed=1))
    for step in (4, 5):
        backward(model, step)
        backward(twin, step)
        optimizer.step()
        other.step()
    assert torch.equal(flat_weights(model), flat_weights(twin))
    names = [group["param_names"] for group in optimizer.param_groups]
    assert [group["param_names"] for group in other.param_groups] == names


def test_an_optimizer_without_names_is_matched_by_those_of_the_model():
    """``perturb`` knows the model, and the checkpoint has names."""
    make = lambda m: attached(torch.optim.Adamax(m.parameters(), lr=LR), m)  # noqa: E731
    model, optimizer = trained_with(lambda m: attached(torch.optim.Adamax(m.named_parameters(), lr=LR), m))
    twin, other = trained_with(make)
    other.load_state_dict(shuffled(optimizer.state_dict(), seed=2))
    optimizer.step()
    other.step()
    assert torch.equal(flat_weights(model), flat_weights(twin))


def test_wrappers_in_a_name_do_not_matter():
    model, optimizer = trained_with(NAMED["adamax"])
    state = shuffled(optimizer.state_dict(), seed=3)
    for group in state["param_groups"]:
        group["param_names"] = ["module._orig_mod." + name for name in group["param_names"]]
    twin, other = trained_with(NAMED["adamax"])
    other.load_state_dict(state)
    optimizer.step()
    other.step()
    assert torch.equal(flat_weights(model), flat_weights(twin))


def without(name):
    def change(state):
        for group in state["param_groups"]:
            if name in group["param_names"]:
                at = group["param_names"].index(name)
                del group["params"][at], group["param_names"][at]

    return change


def renamed(name):
    def change(state):
        for group in state["param_groups"]:
            group["param_names"] = [n + ".old" if n == name else n for n in group["param_names"]]

    return change


def regrouped(state):
    first, second = state["param_groups"]
    for key in ("params", "param_names"):
        second[key].append(first[key].pop())


def with_more(*names):
    def change(state):
        state["param_groups"][0]["params"] += range(99, 99 + len(names))
        state["param_groups"][0]["param_names"] += names

    return change


OTHERS = {
    "a subset": (without(WEIGHT), ("lacks", WEIGHT)),
    "a superset": (with_more("extra.weight"), ("only it has 'extra.weight';",)),
    "three more": (with_more("a", "b", "c"), ("only it has 'a', 'b', 'c';",)),
    "four more": (with_more("a", "b", "c", "d"), ("only it has 'a', 'b', 'c' and 1 more;",)),
    "another name": (renamed("head.bias"), ("lacks 'head.bias'", "only it has 'head.bias.old'")),
    "other groups": (regrouped, ("groups the parameters in another way",)),
}


@pytest.mark.parametrize("change", OTHERS)
@pytest.mark.parametrize("name", [name for name in NAMED if name not in ("mtdnn", "perturb adamax")])
def test_other_parameters_are_refused_with_their_names(name, change):
    happens, match = OTHERS[change]
    model, optimizer = trained_with(NAMED[name])
    state = copy.deepcopy(optimizer.state_dict())
    happens(state)
    refused(model, optimizer, state, *match)


class Projected(torch.optim.Optimizer):
    """Somebody else's optimizer, whose moments are not of the parameter's shape, as GaLore's."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state |= {
                        "step": torch.zeros(()),
                        "exp_avg": torch.zeros(2),
                        "exp_avg_sq": torch.zeros_like(p),
                    }
                state["step"] += 1
                p.sub_(group["lr"] * p.grad.sign())


def test_an_optimizer_that_is_not_known_keeps_what_is_its_own():
    make = lambda m: attached(Projected(m.parameters(), LR), m)  # noqa: E731
    model, optimizer = trained_with(make)
    state = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(state)
    optimizer.step()
    state["state"][index_of(model, state, WEIGHT)]["sensitivity"] = torch.zeros(3, 7)
    refused(model, optimizer, state, "sensitivity")
    other = copy.deepcopy(optimizer.state_dict())
    other["state"][index_of(model, other, "head.weight")]["exp_avg_sq"] = torch.zeros(3, 7)
    refused(model, optimizer, other, "exp_avg_sq")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_our_entries_keep_their_dtype_and_are_tensors_of_their_own(dtype):
    """Entries of one element whose names begin with noise_: views of one tensor when they are saved."""
    model, optimizer = trained_with(OPTIMIZERS["perturb adamax"], dtype=dtype)
    row = torch.arange(1.0, 4.0, dtype=torch.float64) / 3
    state = optimizer.state[model.get_parameter(WEIGHT)]
    state |= {"noise_a": row[0], "noise_b": row[1], "noise_c": row[2]}
    optimizer.load_state_dict(optimizer.state_dict())
    loaded = optimizer.state[model.get_parameter(WEIGHT)]
    for i, key in enumerate(("noise_a", "noise_b", "noise_c")):
        assert loaded[key].dtype == torch.float64
        assert loaded[key] == row[i]
        loaded[key] += 1
    assert row[0] == 1 / 3
    assert loaded["noise_a"] == 4 / 3


def test_a_sensitivity_of_another_float_dtype_becomes_float32():
    model, optimizer = trained_with(OPTIMIZERS["perturb adamax"])
    state = copy.deepcopy(optimizer.state_dict())
    index = index_of(model, state, WEIGHT)
    state["state"][index]["sensitivity"] = state["state"][index]["sensitivity"].bfloat16()
    optimizer.load_state_dict(state)
    assert optimizer.state[model.get_parameter(WEIGHT)]["sensitivity"].dtype == torch.float32


def test_nothing_of_a_state_dict_is_changed_by_loading_it():
    _, optimizer = trained_with(NAMED["adamax"])
    state = shuffled(optimizer.state_dict(), seed=4)
    before = copy.deepcopy(state)
    restore(optimizer, fitted(optimizer, state))
    optimizer.load_state_dict(state)
    assert [group["params"] for group in state["param_groups"]] == [
        group["params"] for group in before["param_groups"]
    ]
    for index, entries in before["state"].items():
        assert all(torch.equal(value, state["state"][index][key]) for key, value in entries.items())


def test_a_plain_torch_optimizer_is_left_to_torch():
    model, _ = train_copy(make_network(), lambda m: torch.optim.Adamax(m.parameters(), lr=LR))
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
