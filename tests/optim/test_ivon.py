"""IVON against Algorithm 1 in numpy, its limits, and its contracts of state."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy.special import ndtri

import pats
from pats import philox
from support.problem import (
    LR,
    STEPS,
    assert_close,
    give_gradients,
    gradients_at,
    initial_weights,
    model_of,
    numpy_of,
)
from support.resumed import states_after_resume
from support.small_network import backward, flat_weights, make_network

SEED = 11
ROWS = {
    "authors' defaults": {},
    "a learned Hessian": {"ess": 50.0, "betas": (0.8, 0.9), "hess_init": 0.3},
    "the paper's step": {"rescale": "none", "betas": (0.9, 0.99)},
    "the largest move": {"rescale": "radius", "clip_radius": 0.02, "betas": (0.9, 0.95)},
    "clipped": {"clip_radius": 1e-3, "delta": 0.1},
    "decay": {"weight_decay": 0.1, "delta": 0.01, "betas": (0.0, 0.5)},
    "no prior": {"delta": 0.0, "hess_init": 0.01, "betas": (0.9, 0.5)},
    "fixed": {"betas": (0.9, 1.0)},
}


class ByHand:
    """Algorithm 1 of one parameter, line by line."""

    def __init__(self, name, m, in_scope, **options):
        given = {"ess": 1000.0, "betas": (0.9, 0.99999), "hess_init": 1.0, "delta": 1e-4}
        given |= {"weight_decay": 0.0, "clip_radius": math.inf, "rescale": "hess_init"}
        self.o = given | options
        self.name, self.m, self.in_scope = name, m.copy(), in_scope
        self.g, self.h, self.t = np.zeros_like(m), np.full_like(m, self.o["hess_init"]), 0

    def noise(self):
        words = philox.words(SEED, self.name, self.t + 1, 0, self.m.size, purpose=7).numpy()
        z = ndtri((words.astype(np.float64) + 0.5) / 2**32).reshape(self.m.shape)
        return z * self.sigma() if self.in_scope else np.zeros_like(self.m)

    def sigma(self):
        return 1 / np.sqrt(self.o["ess"] * (self.h + self.o["delta"]))

    def step(self, gradient, lr):
        o, noise, sigma = self.o, self.noise(), self.sigma()
        self.t += 1
        beta1, beta2 = o["betas"]
        self.g = beta1 * self.g + (1 - beta1) * gradient
        if self.in_scope:
            estimate = gradient * noise / sigma**2
            correction = 0.5 * (1 - beta2) ** 2 * (self.h - estimate) ** 2 / (self.h + o["delta"])
            self.h = beta2 * self.h + (1 - beta2) * estimate + correction
        x = (self.g / (1 - beta1**self.t) + o["delta"] * self.m) / (self.h + o["delta"])
        x = np.clip(x, -o["clip_radius"], o["clip_radius"])
        alpha = {
            "hess_init": lr * (o["hess_init"] + o["delta"]),
            "none": lr,
            "radius": lr / o["clip_radius"],
        }[o["rescale"]]
        self.m = self.m - lr * o["weight_decay"] * self.m - alpha * x


def ours(model, scope="layer", **options):
    return pats.optim.IVON(pats.param_groups(model, scope), LR, **{"ess": 1000.0, "seed": SEED, **options})


@pytest.mark.parametrize("row", ROWS)
def test_formula(row):
    starts = initial_weights()
    model = model_of(starts)
    hands = {name: ByHand(name, m, name.startswith("layer"), **ROWS[row]) for name, m in starts.items()}
    optimizer = ours(model, **ROWS[row])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 40)
    for t in range(STEPS):
        grads = gradients_at(starts, t)
        means = [p.detach().clone() for p in model.parameters()]
        with optimizer.sampled():
            for name, parameter in model.named_parameters():
                assert_close(parameter, hands[name].m + hands[name].noise(), 1e-11)
        assert all(torch.equal(p, mean) for p, mean in zip(model.parameters(), means, strict=True))
        give_gradients(model, grads)
        optimizer.step()
        schedule.step()
        for name, parameter in model.named_parameters():
            if grads[name] is not None:
                hands[name].step(grads[name], LR * (1 - t / 40))
            np.testing.assert_allclose(numpy_of(parameter), hands[name].m, rtol=1e-9, atol=1e-12)
            if name in ("layer.0.weight", "one"):
                hessian = optimizer.state[parameter]["hessian"]
                np.testing.assert_allclose(numpy_of(hessian), hands[name].h, rtol=1e-9)


def test_the_precision_stays_positive_whatever_comes():
    """½(1-β₂)²(h - ĥ)²/(h + δ) keeps h + δ above half of what it was."""
    model = model_of({"w": np.zeros(10_000)})
    optimizer = ours(model, "w", betas=(0.9, 0.5), ess=1.0, hess_init=1e-3, delta=0.0)
    for t in range(10):
        with optimizer.sampled():
            pass
        model.w.grad = torch.tensor(10.0 ** (t % 4) * np.random.default_rng(t).standard_normal(10_000))
        optimizer.step()
        assert float(optimizer.state[model.w]["hessian"].min()) > 0


def test_it_learns_the_curvature_of_a_quadratic():
    """For ½Σc·θ² the estimate's mean is c; an average over many steps and entries comes near."""
    curvature = torch.tensor([0.5, 2.0, 8.0]).repeat_interleave(2000).double()
    model = model_of({"w": np.zeros(6000)})
    optimizer = ours(model, "w", betas=(0.9, 0.999), ess=100.0, hess_init=1.0, delta=0.0)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    for _ in range(6000):
        optimizer.zero_grad()
        with optimizer.sampled():
            (0.5 * curvature * model.w**2).sum().backward()
        optimizer.step()
    found = optimizer.state[model.w]["hessian"].view(3, -1).mean(1)
    torch.testing.assert_close(found, curvature[::2000], rtol=0.05, atol=0)


def test_a_step_without_a_sample_leaves_the_hessian_alone():
    starts = initial_weights()
    model = model_of(starts)
    optimizer = ours(model, betas=(0.9, 0.5))
    give_gradients(model, gradients_at(starts, 0))
    optimizer.step()
    weight = model.layer.get_submodule("0").weight
    assert set(optimizer.state[weight]["hessian"].flatten().tolist()) == {1.0}


def test_an_estimate_that_is_not_finite_leaves_its_entry_alone():
    model = model_of({"w": np.ones(6)})
    optimizer = ours(model, "w", betas=(0.9, 0.5))
    with optimizer.sampled():
        pass
    model.w.grad = torch.tensor([1.0, math.inf, 1.0, math.nan, 1.0, 1.0]).double()
    optimizer.step()
    hessian = optimizer.state[model.w]["hessian"]
    assert torch.isfinite(hessian).all()
    assert [float(hessian[i]) for i in (1, 3)] == [1.0, 1.0]
    assert all(float(hessian[i]) != 1.0 for i in (0, 2, 4, 5))
    assert torch.isfinite(model.w).tolist() == [True, False, True, False, True, True]  # as in torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_resume_is_exact(dtype, tmp_path):
    def make(model):
        return pats.optim.IVON(pats.param_groups(model), 0.1, ess=50.0, betas=(0.9, 0.9), seed=3)

    def go(model, optimizer, steps):
        for step in steps:
            with optimizer.sampled():
                backward(model, step)
            optimizer.step()

    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for left, right in states_after_resume(make, go, dtype, tmp_path):
        assert left.keys() == right.keys() == {"step", "exp_avg", "hessian"}
        assert left["hessian"].dtype == right["hessian"].dtype == wide


def test_a_loaded_state_has_its_own_sample():
    model = make_network()
    optimizer = ours(model, "encoder")
    before = copy.deepcopy(optimizer.state_dict())
    with optimizer.sampled():
        first = flat_weights(model)
        backward(model, 0)
    optimizer.step()
    with optimizer.sampled():
        pass
    optimizer.load_state_dict(before)
    model.load_state_dict(make_network().state_dict())
    with optimizer.sampled():
        assert torch.equal(flat_weights(model), first)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ess": 0.0}, "ess is 0.0, but must be a number above 0"),
        ({"hess_init": -1.0}, "hess_init is -1.0"),
        ({"delta": -1.0}, "delta is -1.0"),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] is 1.0"),
        ({"betas": (0.9, 1.5)}, r"betas\[1\] is 1.5, but must be at least 0 and at most 1"),
        ({"clip_radius": 0.0}, "clip_radius is 0.0"),
        ({"rescale": "lr"}, "hess_init, radius, none"),
        ({"rescale": "radius"}, "give a finite one"),
    ],
)
def test_bad_values(options, said):
    with pytest.raises(pats.InputError, match=said):
        ours(model_of(initial_weights()), **options)
    with pytest.raises(pats.InputError, match="in_scope"):
        pats.optim.IVON(model_of(initial_weights()).parameters(), lr=LR, ess=1.0)


def test_sharded_weights_are_refused_in_a_sentence(monkeypatch):
    optimizer = ours(model_of(initial_weights()))
    monkeypatch.setattr("pats.step.shard.is_sharded", lambda tensor: True)
    with pytest.raises(pats.InputError, match="IVON needs whole weights"), optimizer.sampled():
        pass
