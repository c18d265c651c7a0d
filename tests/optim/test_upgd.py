"""UPGD against its formula in numpy, around several optimizers, and where it must do nothing."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri

import pats
from pats import philox
from support.problem import LR, STEPS, give_gradients, gradients_at, initial_weights, model_of, numpy_of
from support.resumed import states_after_resume
from support.small_network import backward, flat_weights, make_network

SEED = 5
ROWS = {
    "default": {"sigma": 0.1},
    "the paper's factor": {"sigma": 1.0, "factor": 1.0, "beta": 0.9},
    "no noise": {"sigma": 0.0},
    "local": {"utility": "local", "sigma": 0.1, "beta": 0.5},
    "update not gated": {"gate": "noise", "sigma": 0.5, "beta": 0.0},
    "no gate": {"gate": "off", "sigma": 0.5},
}


def noise_of(name, step, shape):
    words = philox.words(SEED, name, step, 0, math.prod(shape), purpose=8).numpy()
    return ndtri((words.astype(np.float64) + 0.5) / 2**32).reshape(shape)


class ByHand:
    """The paper's algorithm for SGD over all parameters together, and one base update more: Adam's."""

    def __init__(self, weights, base, beta=0.999, sigma=1e-3, utility="global", gate="all", factor=2.0):
        self.theta = {name: weight.copy() for name, weight in weights.items()}
        self.u = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.m, self.v = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
        self.t = dict.fromkeys(weights, 0)
        self.base, self.beta, self.sigma, self.factor = base, beta, sigma, factor
        self.utility, self.gate = utility, gate

    def step(self, grads, lr):
        present = [name for name, grad in grads.items() if grad is not None and grad.size]
        corrected = {}
        for name in present:
            self.t[name] += 1
            self.u[name] = self.beta * self.u[name] + (1 - self.beta) * -self.theta[name] * grads[name]
            corrected[name] = self.u[name] / (1 - self.beta ** self.t[name])
        top = max(corrected[name].max() for name in present)
        for name in present:
            u = corrected[name]
            if self.utility == "local":
                norm = np.sqrt((u**2).sum(-1, keepdims=True)) if u.ndim else np.abs(u)
                share = u / np.maximum(norm, 1e-12)
            else:
                share = u / top if top > 0 else np.zeros_like(u)
            scaled = 1 / (1 + np.exp(-share))
            kept = self.factor * (1 - scaled) if self.gate != "off" else np.ones_like(u)
            noise = self.sigma * noise_of(name, self.t[name], u.shape)
            update = self.update(name, grads[name]) * (kept if self.gate == "all" else 1)
            self.theta[name] = self.theta[name] - lr * (update + noise * kept)

    def update(self, name, g):
        if self.base == "sgd":
            return g
        self.m[name] = 0.9 * self.m[name] + 0.1 * g
        self.v[name] = 0.999 * self.v[name] + 0.001 * g**2
        m, v = self.m[name] / (1 - 0.9 ** self.t[name]), self.v[name] / (1 - 0.999 ** self.t[name])
        return m / (np.sqrt(v) + 1e-8)


BASES = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=LR),
    "adam": lambda groups: torch.optim.AdamW(groups, lr=LR, weight_decay=0.0),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("row", ROWS)
def test_formula(row, base):
    starts = initial_weights()
    model, hand = model_of(starts), ByHand(starts, base, **ROWS[row])
    optimizer = BASES[base](pats.param_groups(model, "all"))
    pats.optim.UPGD(optimizer, seed=SEED, **ROWS[row])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 40)
    for t in range(STEPS):
        grads = gradients_at(starts, t)
        give_gradients(model, grads)
        optimizer.step()
        schedule.step()
        hand.step(grads, LR * (1 - t / 40))
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(numpy_of(parameter), hand.theta[name], rtol=1e-9, atol=1e-12)
            if hand.t[name] and parameter.numel():
                held = numpy_of(optimizer.state[parameter]["sensitivity"])
                np.testing.assert_allclose(held, -hand.u[name], rtol=1e-9, atol=1e-18)
                assert int(optimizer.state[parameter]["step"]) == hand.t[name]


def test_the_utility_is_minus_the_signed_sensitivity_of_pats():
    starts = initial_weights()
    models = [model_of(starts), model_of(starts)]
    optimizers = [BASES["adam"](pats.param_groups(model, "all")) for model in models]
    pats.optim.UPGD(optimizers[0], beta=0.75, gate="off", sigma=0.0)
    silent = pats.Noise(beta=0.75, signed=True, p=0.0)
    pats.perturb(optimizers[1], models[1], silent, scope="all")
    for t in range(4):
        for model, optimizer in zip(models, optimizers, strict=True):
            give_gradients(model, gradients_at(starts, t))
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        held = [o.state[p]["sensitivity"] for o, p in zip(optimizers, (one, other), strict=True)]
        assert torch.equal(*held)


@pytest.mark.parametrize("make", [torch.optim.Adamax, torch.optim.AdamW, torch.optim.SGD, pats.optim.Adamax])
def test_without_noise_and_gate_it_is_the_optimizer_to_the_bit(make):
    models = [make_network(), make_network()]
    optimizers = [make(pats.param_groups(model), lr=0.01, weight_decay=0.1) for model in models]
    pats.optim.UPGD(optimizers[0], gate="off", sigma=0.0)
    for step in range(5):
        for model, optimizer in zip(models, optimizers, strict=True):
            backward(model, step)
            optimizer.step()
    assert torch.equal(*map(flat_weights, models))


def test_out_of_scope_is_plain_and_remove_ends_it():
    models = [make_network(), make_network()]
    optimizers = [torch.optim.SGD(pats.param_groups(model), lr=0.01) for model in models]
    gate = pats.optim.UPGD(optimizers[0], sigma=0.1)
    for model, optimizer in zip(models, optimizers, strict=True):
        backward(model, 0)
        optimizer.step()
    head, inside = "head.weight", "layers.0.linear.weight"
    assert torch.equal(*(dict(model.named_parameters())[head] for model in models))
    assert not torch.equal(*(dict(model.named_parameters())[inside] for model in models))
    models[0].load_state_dict(models[1].state_dict())
    gate.remove()
    gate.remove()
    for model, optimizer in zip(models, optimizers, strict=True):
        backward(model, 1)
        optimizer.step()
    assert torch.equal(*map(flat_weights, models))


@pytest.mark.parametrize("base", [torch.optim.Adamax, torch.optim.SGD])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_resume_is_exact(base, dtype, tmp_path):
    def make(model):
        optimizer = base(pats.param_groups(model), lr=0.01)
        pats.optim.UPGD(optimizer, sigma=1.0, seed=3)
        return optimizer

    def go(model, optimizer, steps):
        for step in steps:
            backward(model, step)
            optimizer.step()

    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for left, right in states_after_resume(make, go, dtype, tmp_path):
        assert left.keys() == right.keys()
        if "sensitivity" in left:
            assert left["sensitivity"].dtype == right["sensitivity"].dtype == wide


def test_gradients_that_are_not_finite():
    """The entry keeps its utility, its parameter gets no noise in that step, and the update is the base's."""
    model = model_of({"a": np.ones(4), "b": np.ones(4)})
    optimizer = torch.optim.SGD(pats.param_groups(model, "all"), lr=0.1)
    pats.optim.UPGD(optimizer, sigma=1.0, gate="noise", beta=0.5, seed=SEED)
    model.a.grad = torch.tensor([1.0, math.nan, 1.0, 1.0]).double()
    model.b.grad = torch.ones(4).double()
    optimizer.step()
    assert numpy_of(model.a)[[0, 2, 3]].tolist() == [0.9] * 3
    assert math.isnan(numpy_of(model.a)[1])
    assert optimizer.state[model.a]["sensitivity"].tolist() == [0.5, 0.0, 0.5, 0.5]
    assert len(set(model.b.tolist())) == 4
    assert torch.isfinite(model.b).all()


def test_where_no_weight_is_useful_all_are_gated_alike():
    model = model_of({"w": np.ones(3)})
    optimizer = torch.optim.SGD(pats.param_groups(model, "all"), lr=0.1)
    pats.optim.UPGD(optimizer, sigma=0.0)
    model.w.grad = torch.tensor([1.0, 2.0, 3.0]).double()  # every weight harms
    optimizer.step()
    np.testing.assert_allclose(numpy_of(model.w), 1 - 0.1 * np.array([1.0, 2.0, 3.0]), rtol=1e-12)


def test_useful_weights_move_less():
    model = model_of({"w": np.array([1.0, -1.0, 0.0])})
    optimizer = torch.optim.SGD(pats.param_groups(model, "all"), lr=0.1)
    pats.optim.UPGD(optimizer, sigma=0.0)
    model.w.grad = -torch.ones(3).double()
    optimizer.step()
    moved = np.abs(numpy_of(model.w) - [1.0, -1.0, 0.0]) / 0.1
    phi = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(moved, [2 * (1 - phi), 2 * phi, 1.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beta": 1.0}, "beta is 1.0"),
        ({"sigma": -1.0}, "sigma is -1.0"),
        ({"factor": math.inf}, "factor is inf"),
        ({"utility": "some"}, "global, local"),
        ({"gate": "half"}, "all, noise, off"),
    ],
)
def test_bad_values(options, said):
    model = make_network()
    with pytest.raises(pats.InputError, match=said):
        pats.optim.UPGD(torch.optim.SGD(pats.param_groups(model), lr=LR), **options)
    with pytest.raises(pats.InputError, match="in_scope and names"):
        pats.optim.UPGD(torch.optim.SGD(model.parameters(), lr=LR))


def test_closures_are_refused_and_none_is_not_one():
    model = make_network()
    optimizer = torch.optim.SGD(pats.param_groups(model), lr=LR)
    pats.optim.UPGD(optimizer)
    backward(model, 0)
    optimizer.step(None)
    with pytest.raises(RuntimeError, match="without a closure"):
        optimizer.step(lambda: backward(model, 1))


def test_sharded_weights_are_refused_in_a_sentence(monkeypatch):
    model = make_network()
    optimizer = torch.optim.SGD(pats.param_groups(model), lr=LR)
    pats.optim.UPGD(optimizer)
    backward(model, 0)
    before = flat_weights(model)
    monkeypatch.setattr("pats.step.shard.is_sharded", lambda tensor: True)
    with pytest.raises(pats.InputError, match="UPGD needs whole weights"):
        optimizer.step()
    assert torch.equal(flat_weights(model), before)
