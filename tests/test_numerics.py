"""Numbers at the edges of float32, and many steps, on every path against ``oracle.py`` in float64."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import pats
from pats.kernels import triton
from pats.kernels.cpu import library
from support import drift, oracle
from support.problem import ULP

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # its interpreter's NumPy
    pytest.mark.filterwarnings("ignore:a budget"),
]

SHAPE, STEPS, LR = (12, 20), 3, 1e-3
PATHS = ("reference", "eager", "cpu", "triton")


@pytest.fixture(params=PATHS)
def make(request, monkeypatch):
    """Makes Adamax with noise on one path."""
    if request.param == "triton" and (triton.kernels() is None or not triton.INTERPRETED):
        pytest.skip("no Triton in its interpreter")
    if request.param == "cpu" and library.LIBRARY is None:
        pytest.skip("the C kernel has not been built")
    cls = pats.optim.reference.PATSAdamax if request.param == "reference" else pats.optim.Adamax
    if request.param != "reference":
        monkeypatch.setenv("PATS_KERNEL", request.param)
    return lambda model, noise, lr: cls(pats.param_groups(model, "all"), lr=lr, noise=noise)


def stepped(make, weights, grads, noise, lr=LR):
    """The weights after a step for each gradient, all in float32, and their state."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.tensor(weights, dtype=torch.float32))
    optimizer = make(model, pats.Noise(**noise), lr)
    for grad in grads:
        model.weight.grad = torch.tensor(grad, dtype=torch.float32)
        optimizer.step()
    return model.weight.detach(), optimizer.state[model.weight]


def exact(weights, grads, noise):
    run = oracle.PATSAdamax({"weight": weights}, LR, oracle.Noise(**noise))
    for grad in grads:
        run.step({"weight": grad})
    return run.matrices["weight"]


def float32(values):
    return np.float32(values).astype(np.float64)


def spread(rng, low, high):
    """Numbers of either sign whose orders of magnitude are spread evenly."""
    return float32(rng.choice([-1, 1], SHAPE) * 10 ** rng.uniform(low, high, SHAPE))


EVERY = {"p": 1.0}
CONSTANT = {"scale": "constant", **EVERY}
ABSOLUTE = {"eps": 1e-8, "eps_mode": "absolute", **CONSTANT}
NOISES = {
    "budget": {"steps": 5, **EVERY},
    "relative": CONSTANT,
    "paper": ABSOLUTE,
    "no eps": CONSTANT | {"eps": 0.0, "eps_mode": "absolute"},
    "algorithm1": ABSOLUTE | {"eps_mode": "algorithm1"},
    "lr std": {"scale": "lr", "intensity": "std", "kappa": 0.01, **EVERY},
    "signed": CONSTANT | {"signed": True},
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("wide", ["gradients", "weights"])
def test_sensitivities_over_thirty_orders_of_magnitude(make, noise, wide):
    rng = np.random.default_rng(4)
    weights = float32(0.05 * rng.standard_normal(SHAPE)) if wide == "gradients" else spread(rng, -30, 0)
    draw = (lambda: spread(rng, -30, 0)) if wide == "gradients" else (lambda: spread(rng, -2, 0))
    grads = [draw() for _ in range(STEPS)]
    expected = exact(weights, grads, noise)
    found, _ = stepped(make, weights, grads, noise)
    # Some units a step; signed, the mean cancels, and so does what is known of it.
    units = 16 * STEPS * (20 if noise.get("signed") else 1)
    size = np.maximum(np.abs(expected.theta), np.abs(expected.q)) + LR
    assert (np.abs(found.double().numpy() - expected.theta) <= units * ULP * size).all()


@pytest.mark.parametrize("power", [-60, -30, 30, 60])
@pytest.mark.parametrize("noise", [NOISES["relative"], NOISES["budget"], NOISES["no eps"]], ids=str)
def test_the_size_of_a_gradient_does_not_change_the_noise(make, noise, power):
    """A power of two changes no bit: with a relative ε, or none, the ratio has no unit."""
    rng = np.random.default_rng(5)
    weights = float32(0.05 * rng.standard_normal(SHAPE))
    grads = [float32(rng.standard_normal(SHAPE)) for _ in range(STEPS)]
    plain, _ = stepped(make, weights, grads, noise, 0.0)  # the update itself has an ε of its own
    scaled, _ = stepped(make, weights, [grad * 2.0**power for grad in grads], noise, 0.0)
    assert not np.array_equal(plain.numpy(), weights)
    assert torch.equal(scaled, plain)


DENORMAL = {
    "products": (1e-18, 1e-20),  # θ·g below 2⁻¹²⁶
    "gradients": (1.0, 1e-38),
    "weights": (1e-38, 1e-2),
}


@pytest.mark.parametrize(("of_weights", "of_gradients"), DENORMAL.values(), ids=DENORMAL)
def test_denormal_sensitivities_are_numbers_like_others(make, of_weights, of_gradients):
    """They are coarse, 2⁻¹⁴⁹ apart, and that is all: not flushed to zero, which would end the noise."""
    rng, grid = np.random.default_rng(6), 2.0**-149
    weights = float32(0.05 * of_weights * rng.standard_normal(SHAPE))
    grads = [float32(of_gradients * rng.standard_normal(SHAPE))]
    expected = exact(weights, grads, CONSTANT)
    found, state = stepped(make, weights, grads, CONSTANT, 0.0)
    average = state["sensitivity"].double().numpy()
    assert 0 < average.max() < 2.0**-126
    assert np.abs(average - expected.sbar).max() <= 2 * grid
    mean = expected.sbar.mean()  # that and s̄_j + ε are known to two points of the grid
    known = 2 * grid / mean + 2 * grid / (expected.sbar + 1e-2 * mean)
    off = np.abs(found.double().numpy() - weights - expected.q)
    assert (
        off <= known * np.abs(expected.q) + 16 * ULP * np.maximum(np.abs(weights), np.abs(expected.q))
    ).all()


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize(
    ("value", "shape"), [(0.05, SHAPE), (-2.0, SHAPE), (0.0, SHAPE), (0.05, (1, 1)), (0.05, ())]
)
def test_matrices_of_one_value(make, noise, value, shape):
    """Every sensitivity is the mean: σ² is λ·(1/(1+ε) - γ). A budget has no spread, hence adds nothing."""
    weights, grads = float32(np.full(shape, value)), [float32(np.full(shape, 1e-3))] * STEPS
    expected = exact(weights, grads, noise)
    found, state = stepped(make, weights, grads, noise)
    size = np.abs(expected.theta) + np.abs(expected.q) + LR
    assert (np.abs(found.double().numpy() - expected.theta) <= 16 * STEPS * ULP * size).all()
    if "steps" in noise:
        assert float(state["noise_spread"]) <= 1e-15
        assert np.ptp(found.numpy()) == 0
    elif value and noise == CONSTANT:
        sigma = math.sqrt(2e-6 * (1 / 1.01 - 2e-3))
        first, _ = stepped(make, weights, grads[:1], noise, 0.0)
        z = oracle.draw(0, "weight", 1, 0, math.prod(shape), 1.0).reshape(shape)
        assert np.allclose(first.double().numpy() - weights, sigma * z, atol=8 * ULP * abs(value))


@pytest.mark.parametrize("name", ["Adamax", "AdamW"])
def test_drift_of_some_hundred_steps(name):
    """The soak of the same name takes 100,000, and every optimizer."""
    rows = drift.drift(name, 300)
    assert [row["type"] for row in rows] == list(drift.NATIVE)
    for row in rows:
        assert 0 < row["drift"] <= row["bound"], row
        assert row["drift"] <= row.get("likely", math.inf), row


@pytest.mark.parametrize("kernel", ["eager", "triton"])
def test_drift_on_the_other_paths(monkeypatch, kernel):
    if kernel == "triton" and (triton.kernels() is None or not triton.INTERPRETED):
        pytest.skip("no Triton in its interpreter")
    monkeypatch.setenv("PATS_KERNEL", kernel)
    (row,) = drift.drift("Adamax", 40, ("float32",))
    assert row["drift"] <= row["likely"] <= row["bound"], row


@pytest.mark.parametrize("noise", [pats.Noise.paper(p=1.0), pats.Noise(p=1.0)], ids=["paper", "default"])
@pytest.mark.parametrize("door", ["own", "perturb"])
@pytest.mark.parametrize("huge", [3e38, -3e38, 1e21])
def test_a_gradient_that_stays_huge_stops_the_noise_of_its_matrix_and_is_counted(make, noise, door, huge):
    """Finite, but not its square: with the paper's absolute ε it threw the whole matrix 4e13 away."""
    model = nn.Module()
    generator = torch.Generator().manual_seed(0)
    for name in ("weight", "other"):
        model.register_parameter(name, nn.Parameter(0.05 + 0.01 * torch.rand(SHAPE, generator=generator)))
    if door == "own":
        optimizer = make(model, noise, LR)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        handle = pats.perturb(optimizer, model, noise, scope="all")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(STEPS):
        for parameter in model.parameters():
            parameter.grad = torch.full(SHAPE, 1e-3)
        model.weight.grad[1, 2] = huge
        optimizer.step()
    moved = {name: float((p.detach() - before[name]).abs().max()) for name, p in model.named_parameters()}
    assert moved["weight"] <= 1.01 * STEPS * LR  # the update alone
    assert moved["other"] > 0
    state = optimizer.state[model.weight]
    assert float(state["sensitivity"].max()) < 1e-3
    if door == "perturb":
        told = handle.stats()
        assert (told["weight"]["skipped"], told["other"]["skipped"]) == (STEPS, 0)
        assert moved["weight"] == 0
