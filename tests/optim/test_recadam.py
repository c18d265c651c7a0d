"""RecAdam against its formulas in numpy, and the settings in which it is another optimizer."""

import copy

import numpy as np
import pytest
import torch

import pats
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

ROWS = {
    "default": {"t0": 8},
    "paper's place": {"t0": 8, "penalty_at": "previous"},
    "linear": {"schedule": "linear", "t0": 8},
    "constant": {"schedule": "constant", "w": 0.5},
    "decay": {"t0": 8, "weight_decay": 0.1, "w": 0.7},
    "uncorrected": {"t0": 8, "correct_bias": False, "betas": (0.8, 0.99), "eps": 1e-4},
}
GAMMA = 20.0  # lr·γ = 0.2


class ByHand:
    """methods.md's five lines, one parameter."""

    def __init__(self, theta, in_scope, **options):
        self.theta = theta.copy()
        self.anchor, self.t = theta + 0.3, 0
        self.m, self.v = np.zeros_like(theta), np.zeros_like(theta)
        defaults = {
            "betas": (0.9, 0.999),
            "eps": 1e-8,
            "weight_decay": 0.0,
            "schedule": "sigmoid",
            "k": 0.5,
            "t0": 250,
            "w": 1.0,
            "penalty_at": "moved",
            "correct_bias": True,
        }
        self.o = defaults | options | ({} if in_scope else {"w": 0.0})

    def step(self, g, lr):
        o, self.t = self.o, self.t + 1
        b1, b2 = o["betas"]
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        a = lr * (np.sqrt(1 - b2**self.t) / (1 - b1**self.t) if o["correct_bias"] else 1)
        ratio = self.m / (np.sqrt(self.v) + o["eps"])
        w = o["w"]
        if w > 0:
            lam = {
                "sigmoid": w / (1 + np.exp(-o["k"] * (self.t - o["t0"]))),
                "linear": w * min(1, self.t / o["t0"]),
                "constant": w,
            }[o["schedule"]]
            moved = self.theta - a * lam * ratio
            place = moved if o["penalty_at"] == "moved" else self.theta
            self.theta = moved - lr * (w - lam) * GAMMA * (place - self.anchor)
        else:
            self.theta = self.theta - a * ratio
        self.theta = self.theta - lr * o["weight_decay"] * self.theta


def ours(model, anchors=None, scope="layer", **options):
    return pats.optim.RecAdam(
        pats.param_groups(model, scope), lr=LR, **{"gamma": GAMMA, "anchors": anchors, **options}
    )


@pytest.mark.parametrize("row", ROWS)
def test_formula(row):
    weights = initial_weights()
    model = model_of(weights)
    anchors = {name: torch.tensor(weight + 0.3) for name, weight in weights.items()}
    hands = {name: ByHand(weight, name.startswith("layer"), **ROWS[row]) for name, weight in weights.items()}
    optimizer = ours(model, anchors, **ROWS[row])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 40)
    for t in range(STEPS):
        grads = gradients_at(weights, t)
        give_gradients(model, grads)
        optimizer.step()
        schedule.step()
        for name, parameter in model.named_parameters():
            if grads[name] is not None:
                hands[name].step(grads[name], LR * (1 - t / 40))
            assert_close(parameter, hands[name].theta, 1e-12)


def run(make, anchor_shift=0.0):
    weights = initial_weights()
    model = model_of(weights)
    optimizer = make(model, {name: torch.tensor(weight + anchor_shift) for name, weight in weights.items()})
    for t in range(STEPS):
        give_gradients(model, gradients_at(weights, t))
        optimizer.step()
    return {name: numpy_of(parameter) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("options", [{"w": 0.0}, {"schedule": "constant", "w": 1.0}])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_without_a_pull_it_is_adam_with_decoupled_decay(options, decay):
    """ε is outside the root and before the correction, as in the authors' code, so torch's is not it."""
    weights = initial_weights()
    hands = {name: ByHand(weight, False, weight_decay=decay) for name, weight in weights.items()}
    for t in range(STEPS):
        for name, grad in gradients_at(weights, t).items():
            if grad is not None:
                hands[name].step(grad, LR)
    found = run(lambda m, a: ours(m, a, weight_decay=decay, **options), 0.3)
    for name, theta in found.items():
        np.testing.assert_allclose(theta, hands[name].theta, rtol=1e-12, atol=1e-14)


def test_with_eps_zero_it_is_torchs_adam():
    weights = {"layer.w": np.linspace(-1, 1, 12)}
    models = [model_of(weights), model_of(weights)]
    optimizers = [
        ours(models[0], w=0.0, eps=0.0),
        torch.optim.AdamW(models[1].parameters(), lr=LR, eps=0.0, weight_decay=0.0),
    ]
    for t in range(STEPS):
        grads = {"layer.w": np.random.default_rng(t).standard_normal(12)}
        for model, optimizer in zip(models, optimizers, strict=True):
            give_gradients(model, grads)
            optimizer.step()
    np.testing.assert_allclose(numpy_of(models[0].layer.w), numpy_of(models[1].layer.w), rtol=1e-12)


def test_a_pull_of_one_returns_the_pretrained_weights():
    """lr·γ·(w - λ) = 1, with λ ≈ 0 long before t₀."""
    found = run(lambda m, a: ours(m, a, gamma=1 / LR, t0=10_000), 0.3)
    for name, theta in found.items():
        if name.startswith("layer"):
            np.testing.assert_allclose(theta, initial_weights()[name] + 0.3, rtol=1e-12)


def test_far_before_t0_a_step_is_the_pull_alone_and_large_values_do_not_overflow():
    weights = initial_weights()
    model = model_of(weights)
    optimizer = ours(model, {n: torch.tensor(w + 0.3) for n, w in weights.items()}, t0=1e6, k=1e3)
    give_gradients(model, gradients_at(weights, 0))
    optimizer.step()
    for name, parameter in model.named_parameters():
        if name.startswith("layer"):
            assert_close(parameter, weights[name] + LR * GAMMA * 0.3, 1e-12)


def test_anchors_are_in_the_state_and_survive_a_resume():
    weights = initial_weights()
    model = model_of(weights)
    optimizer = ours(model, t0=5)
    for t in range(5):
        give_gradients(model, gradients_at(weights, t))
        optimizer.step()
    anchor = optimizer.state[model.layer.get_submodule("0").weight]["anchor"]
    assert np.array_equal(numpy_of(anchor), weights["layer.0.weight"])
    resumed_model = copy.deepcopy(model)
    resumed = ours(resumed_model, t0=5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for t in range(5, 10):
        for one, opt in ((model, optimizer), (resumed_model, resumed)):
            give_gradients(one, gradients_at(weights, t))
            opt.step()
    for one, other in zip(model.parameters(), resumed_model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"schedule": "cosine"}, "sigmoid, linear, constant"),
        ({"penalty_at": "next"}, "moved, previous"),
        ({"gamma": -1.0}, "gamma is -1.0"),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] is 1.0"),
        ({"anchors": {}}, "no tensor of the right shape for 'layer"),
    ],
)
def test_bad_values(options, said):
    with pytest.raises(pats.InputError, match=said):
        ours(model_of(initial_weights()), **options)
    with pytest.raises(pats.InputError, match="in_scope"):
        pats.optim.RecAdam(model_of(initial_weights()).parameters(), lr=LR)
