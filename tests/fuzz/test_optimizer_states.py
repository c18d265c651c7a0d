"""State dicts of optimizers: other names, shapes, groups, settings and noise streams."""

import copy

import pytest
import torch
from hypothesis import strategies as st

from pats._noise import GROUP_KEYS
from support.fuzzing.damage import TEXTS, values
from support.fuzzing.door import Fault, fuzzed
from support.misfit_states import OPTIMIZERS, SPOILT, copied_tensors, same_tensors, trained_with

DOOR = "optimizer states"

NUMBERS = (-1.0, 0, 1e300, 2**70, float("nan"), float("inf"), None, "3", [1], True)
TENSORS = (
    *(torch.tensor(float("nan")), torch.tensor(-1.0), torch.ones(2), torch.tensor(1.0, device="meta")),
    *(torch.tensor(1 + 1j), torch.tensor(True), torch.zeros(0), torch.tensor(3), torch.zeros(1, 1, 1)),
)
KEYS = (
    "step",
    "sensitivity",
    "exp_avg",
    "exp_inf",
    "exp_avg_sq",
    "noise_spread",
    "noise_mean",
    "noise_last",
    "anchor",
)


KINDS = (
    *(
        "spoil",
        "spoil",
        "entry",
        "entry",
        "drop",
        "noise",
        "noise",
        "rng",
        "name",
        "names",
        "order",
        "groups",
    ),
    *("params", "state", "shape", "group"),
)


@st.composite
def edits(draw):
    """A change of a state dict in place."""
    kind = draw(st.sampled_from(KINDS))
    return (
        kind,
        draw(st.randoms(use_true_random=False)),
        draw(st.one_of(values(), st.sampled_from(NUMBERS))),
        draw(TEXTS),
    )


def apply(edit, state):
    kind, random, value, text = edit
    groups, entries = state["param_groups"], state["state"]
    group = random.choice(groups) if isinstance(groups, list) and groups else {}
    entry = random.choice([*entries.values()]) if isinstance(entries, dict) and entries else {}
    if not isinstance(group, dict) or not isinstance(entry, dict):
        return
    if kind == "spoil":
        shaped = [key for key, one in entry.items() if isinstance(one, torch.Tensor) and one.ndim == 2]
        if shaped:
            key = random.choice(shaped)
            spoil, _ = random.choice([*SPOILT.values()])
            entry[key] = spoil(entry[key])
    elif kind == "entry":
        entry[random.choice([*entry, *KEYS, text])] = random.choice((value, *NUMBERS, *TENSORS))
    elif kind == "drop" and entry:
        del entry[random.choice([*entry])]
    elif kind == "noise":
        group[random.choice(sorted(GROUP_KEYS))] = random.choice((value, *NUMBERS, text))
    elif kind == "rng":
        group["noise_rng_version"] = random.choice((0, 2, 99, value))
    elif kind == "name" and isinstance(group.get("param_names"), list) and group["param_names"]:
        group["param_names"][random.randrange(len(group["param_names"]))] = random.choice((text, value))
    elif kind == "names":
        named = group.get("param_names") if isinstance(group.get("param_names"), list) else []
        group["param_names"] = random.choice((value, [text], [], None, named[:-1]))
    elif kind == "order":
        if isinstance(group.get("params"), list):
            random.shuffle(group["params"])
        if isinstance(groups, list) and random.random() < 0.5:
            random.shuffle(groups)
    elif kind == "groups" and isinstance(groups, list):
        if random.random() < 0.5:
            groups.append(copy.deepcopy(random.choice((group, {}, value))))
        elif groups:
            groups.pop()
    elif kind == "params":
        group["params"] = random.choice((value, [], [99], [0, 0], None))
    elif kind == "state" and isinstance(entries, dict):
        entries[random.choice((0, 1, 99, -1, text))] = random.choice((value, {}, {"step": value}))
    elif kind == "shape":
        state[random.choice(("state", "param_groups"))] = random.choice((value, [], {}, None))
    elif kind == "group":
        group.pop(random.choice([*group, "in_scope"]), None)


def kept_optimizers():
    """An optimizer after three steps, and its state dict; made once, loaded again after each input."""
    made = {}

    def of(name):
        if name not in made:
            model, optimizer = trained_with(OPTIMIZERS[name])
            made[name] = model, optimizer, copy.deepcopy(optimizer.state_dict())
        return made[name]

    return of, made


@pytest.fixture(scope="module")
def trained():
    return kept_optimizers()


@fuzzed(st.tuples(st.sampled_from([*OPTIMIZERS]), st.lists(edits(), min_size=1, max_size=2)), share=6.2)
def test_a_state_dict_is_loaded_or_refused(door, trained, tried):
    of, made = trained
    name, changes = tried
    model, optimizer, good = of(name)
    bad = copy.deepcopy(good)
    for edit in changes:
        apply(edit, bad)
    before = copied_tensors(model, optimizer)
    settings = copy.deepcopy(optimizer.state_dict()["param_groups"])

    def load():
        optimizer.load_state_dict(bad)
        optimizer.step()

    made.pop(name)  # made anew, unless it is refused as it should be
    if door.tried(load) is None:
        return
    if not same_tensors(before, copied_tensors(model, optimizer)):
        raise Fault("a refused state dict changed the optimizer or the model")
    if optimizer.state_dict()["param_groups"] != settings:
        raise Fault("a refused state dict changed the settings")
    made[name] = model, optimizer, good
