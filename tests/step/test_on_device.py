"""Steps of the Triton kernels that use what the last one found, against steps that look everything up.

A stale table would have the kernels write where they must not, so every row of ``CHANGES`` says whether the
next step may still be served. Natively on a GPU, else in Triton's interpreter.
"""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from pats.kernels import triton as path
from pats.kernels.triton.plan import Plan
from pats.step.on_device import Halves, Whole
from support.device_training import DEVICE, OPTIMIZERS, fill, network, weight

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not path.INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1 from the start"
)


@pytest.fixture(autouse=True)
def in_triton(monkeypatch):
    monkeypatch.setenv("PATS_KERNEL", "triton")


def set_all(**settings):
    def change(model, optimizer, monkeypatch):
        for group in optimizer.param_groups:
            group.update(settings)

    return change


def move(model, optimizer, monkeypatch):
    weight(model).data = weight(model).data.clone()


def move_state(key):
    def change(model, optimizer, monkeypatch):
        state = optimizer.state[weight(model)]
        if key in state and isinstance(state[key], torch.Tensor):
            state[key].data = state[key].data.clone()

    return change


def replace_state(key):
    def change(model, optimizer, monkeypatch):
        state = optimizer.state[weight(model)]
        if key in state:
            state[key] = state[key].clone()

    return change


def transpose(model, optimizer, monkeypatch):
    weight(model).data = weight(model).data.t().contiguous().t()


def turn(model, optimizer, monkeypatch):
    """The same memory, read in another order."""
    weight(model).data = weight(model).data.t()


def replace_parameter(model, optimizer, monkeypatch):
    old = weight(model)
    new = nn.Parameter(old.detach().clone())
    model.layer[0].weight = new
    for group in optimizer.param_groups:
        group["params"] = [new if one is old else one for one in group["params"]]
    optimizer.state[new] = optimizer.state.pop(old)
    if hasattr(optimizer, "handle"):
        optimizer.handle._find()


def freeze(model, optimizer, monkeypatch):
    weight(model).requires_grad_(False)


def thaw(model, optimizer, monkeypatch):
    model.layer[1].bias.requires_grad_(True)


def leave_out(model, optimizer, monkeypatch):
    for group in optimizer.param_groups:
        for index, one in enumerate(group["params"]):
            if one is model.head.weight:
                del group["params"][index], group["param_names"][index]


def rename(model, optimizer, monkeypatch):
    if not hasattr(optimizer, "handle"):
        for group in optimizer.param_groups:
            group["param_names"] = [f"other.{name}" for name in group["param_names"]]


def load(model, optimizer, monkeypatch):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def count_on(model, optimizer, monkeypatch):
    optimizer.state[weight(model)]["step"] += 5


# What happens between two steps, and whether the next one may still use what the last one found; a set has
# the optimizers for which it may, since they have no such thing.
CHANGES = {
    "nothing": (lambda *_: None, True),
    "rate": (set_all(lr=5e-3), True),
    "counter moved on": (count_on, True),
    "betas": (set_all(betas=(0.8, 0.99)), False),
    "decay": (set_all(weight_decay=0.1), False),
    "gate": (set_all(noise_p=0.7), False),
    "seed": (set_all(noise_seed=4), False),
    "maximize": (set_all(maximize=True), False),
    "scope": (set_all(in_scope=True), False),
    "names": (rename, {"perturb", "perturb, no counter"}),
    "storage": (move, False),
    "first moment moved": (move_state("exp_avg"), {"perturb, no counter"}),
    "sensitivity moved": (move_state("sensitivity"), {"no noise"}),
    "sensitivity": (replace_state("sensitivity"), {"no noise"}),
    "account": (replace_state("noise_spent"), {"adamw", "no noise", "perturb"}),
    "counter": (replace_state("step"), False),
    "transposed": (transpose, False),
    "turned": (turn, False),
    "replaced": (replace_parameter, False),
    "frozen": (freeze, False),
    "thawed": (thaw, False),
    "left out": (leave_out, False),
    "loaded": (load, False),
    "kernel": (lambda m, o, monkeypatch: monkeypatch.setenv("PATS_KERNEL", "eager"), False),
}


def trained(name, change, monkeypatch, looks_up):
    """Tensors and telemetry after three steps, a change and two more; whether what was found served those."""
    model = network()
    optimizer = OPTIMIZERS[name](model)
    model.layer[1].bias.requires_grad_(False)
    served = []
    with monkeypatch.context() as patched:
        for cls in (Whole, Halves):
            patched.setattr(cls, "renew", watched(cls.renew, served, looks_up))
        for step in range(5):
            if step == 3:
                change(model, optimizer, patched)
            fill(model, step)
            optimizer.step()
    tensors = [parameter.detach() for parameter in model.parameters()]
    for parameter in model.parameters():
        tensors += [value for value in optimizer.state[parameter].values() if isinstance(value, torch.Tensor)]
    return tensors, getattr(optimizer, "handle", optimizer), served


def watched(renew, served, looks_up):
    def watch(self):
        served.append(not looks_up and renew(self))
        return served[-1]

    return watch


# fused=True and no noise: without the kernel that is an error, whatever the last step found.
PAIRS = [(name, change) for name in OPTIMIZERS for change in CHANGES]
PAIRS.remove(("no noise", "kernel"))


@pytest.mark.parametrize(("name", "change"), PAIRS)
def test_what_makes_a_plan_anew(name, change, monkeypatch):
    """No kernel is run, which the interpreter would take long for."""
    monkeypatch.setattr(Plan, "_launch", lambda *_: None)
    happens, still = CHANGES[change]
    _, _, served = trained(name, happens, monkeypatch, looks_up=False)
    assert served[:2] == [True, True]
    assert served[2] is (still if isinstance(still, bool) else name in still)


@pytest.mark.parametrize("change", ["rate", "storage"])
@pytest.mark.parametrize("name", ["adamax", "perturb, no counter"])
def test_same_bits_as_a_step_that_looks_everything_up(name, change, monkeypatch):
    happens, still = CHANGES[change]
    found, teller, served = trained(name, happens, monkeypatch, looks_up=False)
    expected, told, looked_up = trained(name, happens, monkeypatch, looks_up=True)
    assert len(found) == len(expected) > 10
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert teller.stats() == told.stats() != {}
    assert served == [True, True, still, True]
    assert not any(looked_up)


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_gradients_die_with_their_step(name):
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(4):
        fill(model, step)
        grads = [weakref.ref(parameter.grad) for parameter in model.parameters()]
        optimizer.step()
        model.zero_grad(set_to_none=True)
        gc.collect()
        assert not any(ref() is not None for ref in grads)


LAUNCHES = {"adamax": 5, "adamw": 5, "no noise": 3, "perturb": 6, "apart": 6}


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches_and_copies_of_a_step_are_few(name, monkeypatch):
    """The matrices of this network have no sizes that are multiples of 16 but one: two kinds of launch."""
    launches, copies = [], []
    launch, send = Plan._launch, Plan.send
    monkeypatch.setattr(
        Plan, "_launch", lambda self, *given: launches.append(given[0].__name__) or launch(self, *given)
    )
    monkeypatch.setattr(Plan, "send", lambda self, *given: copies.append(1) or send(self, *given))
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(3):
        fill(model, step)
        launches.clear()
        copies.clear()
        optimizer.step()
        assert len(launches) <= LAUNCHES[name] + 1, launches
        assert len(copies) <= 2


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_subsets_of_gradients_that_take_turns_keep_their_plans(name, monkeypatch):
    made = []
    init = Plan.__init__
    monkeypatch.setattr(Plan, "__init__", lambda self, *given: made.append(1) or init(self, *given))
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(8):
        fill(model, step)
        (model.layer[0] if step % 2 else model.layer[1]).weight.grad = None
        optimizer.step()
    assert len(made) == 2


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_gradients_that_are_not_contiguous_are_looked_up_at_every_step(name):
    """They are worked on in copies, so that their addresses say nothing."""

    def trained(looks_up):
        model = network()
        optimizer = OPTIMIZERS[name](model)
        stepper = optimizer._stepper if name == "adamax" else optimizer.handle._stepper
        for step in range(4):
            fill(model, step)
            weight(model).grad = weight(model).grad.t().contiguous().t()
            if looks_up:
                stepper.replay.forget()
            optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    assert all(map(torch.equal, trained(looks_up=True), trained(looks_up=False)))


@pytest.mark.parametrize("name", ["adamax", "perturb"])
def test_autograd_is_told_of_every_change_of_a_parameter(name, monkeypatch):
    monkeypatch.setattr(Plan, "_launch", lambda *_: None)
    model = network()
    optimizer = OPTIMIZERS[name](model)
    for step in range(4):
        fill(model, step)
        before = weight(model)._version
        optimizer.step()
        assert weight(model)._version > before


def sent(name, monkeypatch, count):
    """How often each of some steps sends its words, and the numbers of the noise in the last ones."""
    monkeypatch.setattr(Plan, "_launch", lambda *_: None)
    copies, send = [], Plan.send
    monkeypatch.setattr(
        Plan, "send", lambda self, words: copies.append(words.steps.tolist()) or send(self, words)
    )
    model = network()
    optimizer = OPTIMIZERS[name](model)
    found = []
    for step in range(5):
        fill(model, step)
        copies.clear()
        count(step, model, optimizer)
        optimizer.step()
        found.append((len(copies), set(copies[-1])))
    return found


@pytest.mark.parametrize("name", ["perturb", "perturb, no counter"])
def test_both_halves_send_once_where_the_step_is_the_one_expected(name, monkeypatch):
    found = sent(name, monkeypatch, lambda *_: None)
    assert found[2:] == [(1, {3.0}), (1, {4.0}), (1, {5.0})]


@pytest.mark.parametrize("what", ["rate", "steps"])
def test_the_second_half_sends_again_what_the_base_optimizer_has_changed(what, monkeypatch):
    def count(step, model, optimizer):
        if step == 3:

            def happens(*_):
                for group in optimizer.param_groups:
                    group["lr"] *= 0.5
                    for parameter in group["params"] if what == "steps" else ():
                        optimizer.state[parameter]["step"] += 2

            optimizer._optimizer_step_post_hooks[-1] = happens
            optimizer._optimizer_step_post_hooks.move_to_end(-1, last=False)
        elif step == 4:
            del optimizer._optimizer_step_post_hooks[-1]

    found = sent("perturb", monkeypatch, count)
    assert found[2:4] == [(1, {3.0}), (2, {6.0 if what == "steps" else 4.0})]
