"""SAGE and NoisyTune against ``oracle.py``, and the properties that follow from SAGE's formulas."""

import math

import numpy as np
import pytest
import torch

import pats
from support import oracle
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

SAGE = {
    "adamax": (oracle.SAGEAdamax, pats.optim.SAGEAdamax),
    "adamw": (oracle.SAGEAdamW, pats.optim.SAGEAdamW),
}
SAGE_ROWS = {
    "default": {},
    "decay": {"weight_decay": 0.1},
    "paper": {"eps_mode": "paper", "eps": 1e-4},
    "betas": {"betas": (0.8, 0.99), "beta3": 0.9, "weight_decay": 0.01},
}


@pytest.mark.parametrize("base", SAGE)
@pytest.mark.parametrize("row", SAGE_ROWS)
def test_sage_agrees_in_float64(base, row):
    theirs, ours = SAGE[base]
    weights = initial_weights()
    model = model_of(weights)
    inside = [name for name in weights if name.startswith("layer.")]
    outside = [name for name in weights if name not in inside]
    runs = [
        theirs({n: weights[n] for n in names}, LR, in_scope=names is inside, **SAGE_ROWS[row])
        for names in (inside, outside)
    ]
    optimizer = ours(pats.param_groups(model, scope=inside), lr=LR, **SAGE_ROWS[row])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 40)
    for t in range(STEPS):
        grads = gradients_at(weights, t)
        give_gradients(model, grads)
        optimizer.step()
        schedule.step()
        for run in runs:
            run.step(grads, 1 - t / 40)
        for name, parameter in model.named_parameters():
            assert_close(parameter, runs[name in outside].matrices[name].theta, 1e-12)


def _sage_factors(base, thetas, grads, **options):
    """R of every step, as the ratio of the updates in scope and out of it at the same weights."""
    factors, runs = [], []
    for scope in ("a", "b"):
        model = model_of({"a": thetas[0], "b": thetas[0]})
        runs.append((model.a, model, SAGE[base][1](pats.param_groups(model, scope), 1.0, **options)))
    for theta, grad in zip(thetas, grads, strict=True):
        moved = []
        for parameter, model, optimizer in runs:
            parameter.data.copy_(torch.tensor(theta))
            give_gradients(model, {"a": grad, "b": None})
            optimizer.step()
            moved.append(numpy_of(parameter) - theta)
        factors.append(moved[0] / moved[1])
    return np.array(factors)


@pytest.mark.parametrize(("beta3", "mean"), [(0.6, 0.41), (0.75, 0.48), (0.85, 0.53), (0.9, 0.56)])
def test_sage_factor(beta3, mean):
    rng = np.random.default_rng(0)
    theta, grads = np.ones(20_000), rng.standard_normal((40, 20_000))
    grads[30, 0], grads[30, 1] = 0.0, 1e9
    limit = beta3 / (1 - beta3)
    factors = _sage_factors("adamax", [theta] * 40, grads, beta3=beta3)
    assert factors.min() >= 0
    assert factors.max() <= max(1.0, limit) * (1 + 1e-9)
    np.testing.assert_allclose(factors[0], limit, rtol=1e-6)  # the first step
    np.testing.assert_allclose(factors[30, 0], 1.0, rtol=1e-6)  # a dead gradient, a live history
    np.testing.assert_allclose(factors[30, 1], limit, rtol=1e-6)  # a gradient out of all proportion
    assert abs(factors[-1].mean() - mean) < 0.01


@pytest.mark.parametrize("base", SAGE)
def test_sage_stands_still_where_the_sensitivity_repeats_or_was_never_there(base):
    weights = initial_weights()
    model = model_of(weights)
    grads = {name: np.ones(weight.shape) for name, weight in weights.items()}
    optimizer = SAGE[base][1](pats.param_groups(model, "all"), lr=LR, weight_decay=0.1)
    give_gradients(model, grads)
    optimizer.step()
    bias = numpy_of(model.layer.get_submodule("0").bias)
    assert not bias[::3].any()  # an entry that is zero stays zero
    if base == "adamw":  # the bias-corrected average equals the first value: decay alone
        for name, parameter in model.named_parameters():
            assert_close(parameter, weights[name] * (1 - LR * 0.1), 1e-12)
    constant = _sage_factors(base, [np.ones(5)] * 200, [np.ones(5)] * 200, beta3=0.75)
    assert np.abs(constant[-1]).max() < 1e-9


def test_noisytune():
    weights = initial_weights(big=True) | initial_weights() | {"constant": np.full(7, 0.3)}
    model = model_of(weights)
    pats.noisytune_(model, intensity=0.3, seed=5, scope="all")
    for name, parameter in model.named_parameters():
        assert_close(parameter, oracle.noisytune(name, weights[name], 0.3, 5), 1e-13)
        if name in ("one", "scalar", "constant", "empty"):
            assert np.array_equal(numpy_of(parameter), weights[name])
    shift = (numpy_of(model.big) - weights["big"]) / weights["big"].std(ddof=1)
    assert 0.1499 < np.abs(shift).max() <= 0.15
    assert abs(shift.std() / (0.3 / math.sqrt(12)) - 1) < 0.01
    assert abs(shift.mean()) < 5 * 0.3 / math.sqrt(12 * shift.size)
