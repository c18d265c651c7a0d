"""A step that reuses what the last one found, against one that looks everything up."""

import copy
from functools import partial

import pytest
import torch

import pats
from pats.kernels.cpu import library
from pats.step.replay import Recording
from support.small_network import backward, make_network

pytestmark = pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")

NOISE = pats.Noise(scale="constant", lam=1e-4, seed=3)
OPTIMIZERS = {
    "adamax": partial(pats.optim.Adamax, noise=NOISE),
    "adamw": partial(pats.optim.AdamW, noise=NOISE),
    "adamax, budget": partial(pats.optim.Adamax, noise=pats.Noise(budget=0.3, steps=7, seed=3)),
    "adamax, no noise": partial(pats.optim.Adamax, fused=True),
}


def set_all(**settings):
    def change(model, optimizer, monkeypatch):
        for group in optimizer.param_groups:
            group.update(settings)

    return change


def freeze(model, optimizer, monkeypatch):
    model.layers[0].linear.weight.requires_grad_(False)
    model.layers[0].linear.weight.grad = None


def thaw(model, optimizer, monkeypatch):
    model.layers[1].linear.weight.requires_grad_(True)


def load(model, optimizer, monkeypatch):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def forget(model, optimizer, monkeypatch):
    optimizer.state.clear()


def replace_state(model, optimizer, monkeypatch):
    state = optimizer.state[model.layers[0].linear.weight]
    state["exp_avg"] = state["exp_avg"] * 2


def replace_account(model, optimizer, monkeypatch):
    state = optimizer.state[model.layers[0].linear.weight]
    for key in ("noise_spent", "exp_avg"):  # without a budget there is no such key before
        state[key] = state.get(key, torch.zeros(())) * 2


def replace_counter(model, optimizer, monkeypatch):
    optimizer.state[model.layers[0].linear.weight]["step"] = torch.tensor(40.0)


def count_on(model, optimizer, monkeypatch):
    optimizer.state[model.layers[0].linear.weight]["step"] += 5


def widen(model, optimizer, monkeypatch):
    weight = model.layers[0].linear.weight
    weight.data = weight.data.t().contiguous().t()


def widen_average(model, optimizer, monkeypatch):
    average = optimizer.state[model.layers[0].linear.weight]["sensitivity"]
    average.data = average.data.t().contiguous().t()


def leave_out(model, optimizer, monkeypatch):
    optimizer.param_groups[0]["params"].pop()
    optimizer.param_groups[0]["param_names"].pop()


def ask_for_eager(model, optimizer, monkeypatch):
    monkeypatch.setenv("PATS_KERNEL", "eager")


# What happens between two steps, and whether the next one may still use what the last one found.
CHANGES = {
    "nothing": (lambda *_: None, True),
    "rate": (set_all(lr=5e-3), True),
    "counter moved": (count_on, True),
    "transposed": (widen, True),
    "average transposed": (widen_average, False),
    "betas": (set_all(betas=(0.8, 0.99)), False),
    "decay": (set_all(weight_decay=0.1), False),
    "gate": (set_all(noise_p=0.7), False),
    "account": (replace_account, False),
    "maximize": (set_all(maximize=True), False),
    "foreach": (set_all(foreach=True), False),
    "frozen": (freeze, False),
    "thawed": (thaw, False),
    "loaded": (load, False),
    "forgotten": (forget, False),
    "state": (replace_state, False),
    "counter": (replace_counter, False),
    "left out": (leave_out, False),
    "kernel": (ask_for_eager, False),
}


def trained(cls, change, monkeypatch, looks_up):
    """Tensors and telemetry after three steps, a change and two more; whether a replay served those."""
    model = make_network()
    optimizer = cls(pats.param_groups(model), lr=1e-2)
    model.layers[1].linear.weight.requires_grad_(False)
    served = []
    with monkeypatch.context() as patched:
        renew = Recording.renew
        patched.setattr(
            Recording, "renew", lambda self: served.append(not looks_up and renew(self)) or served[-1]
        )
        for step in range(5):
            if step == 3:
                change(model, optimizer, patched)
            optimizer.zero_grad()
            backward(model, step)
            optimizer.step()
    tensors = [*model.parameters()]
    tensors += [value for parameter in model.parameters() for value in optimizer.state[parameter].values()]
    return tensors, optimizer.stats(), served


# fused=True and no noise: without the kernel that is an error, whatever the last step found; no average.
PAIRS = [
    (name, change)
    for name in OPTIMIZERS
    for change in CHANGES
    if "no noise" not in name or change not in ("kernel", "average transposed")
]


@pytest.mark.parametrize(("name", "change"), PAIRS)
def test_same_bits_as_a_step_that_looks_everything_up(name, change, monkeypatch):
    cls = OPTIMIZERS[name]
    happens, served_then = CHANGES[change]
    found, stats, served = trained(cls, happens, monkeypatch, looks_up=False)
    expected, told, looked_up = trained(cls, happens, monkeypatch, looks_up=True)
    assert len(found) == len(expected) > 20
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert stats == told
    assert served[:2] == [True, True]
    assert served[2] is served_then
    assert not any(looked_up)


def test_scaled_gradients_are_looked_up(monkeypatch):
    model = make_network()
    optimizer = pats.optim.Adamax(pats.param_groups(model), lr=1e-2, noise=NOISE)
    for step in range(2):
        backward(model, step)
        optimizer.step()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.found_inf = torch.ones(())
    assert not optimizer._replay.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_gradients_die_with_their_step():
    model = make_network()
    optimizer = pats.optim.Adamax(pats.param_groups(model), lr=1e-2, noise=NOISE)
    for step in range(3):
        backward(model, step)
        optimizer.step()
    recording = optimizer._replay._recording
    assert recording is not None
    jobs = [entry.job for entry in recording._entries]
    assert jobs
    assert all(job.grad.numel() == 0 for job in jobs)


def test_what_changes_at_every_step_is_hardly_looked_out_for(monkeypatch):
    made = []
    init = Recording.__init__
    monkeypatch.setattr(Recording, "__init__", lambda self, *given: made.append(1) or init(self, *given))
    model = make_network()
    optimizer = pats.optim.Adamax(pats.param_groups(model), lr=1e-2, noise=NOISE)

    def steps(count, every):
        made.clear()
        for step in range(count):
            backward(model, step)
            if every and step % every == 0:
                set_all(noise_lam=1e-4 / (1 + step))(model, optimizer, None)
            optimizer.step()
        return len(made)

    assert steps(70, every=1) <= 8
    assert 1 <= steps(130, every=0) <= 2
    assert steps(70, every=2) == 35  # of use at the steps between
    assert optimizer._replay._recording is not None
