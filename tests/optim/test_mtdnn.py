"""MT-DNN's two Adamax against their formulas, and SAGE with its factor at 1."""

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


def by_hand(theta, grads, era, lr=LR, b1=0.9, b2=0.999, decay=0.0):
    eps = 1e-6 if era == "a" else 1e-8
    theta, m, u, t = theta.copy(), np.zeros_like(theta), np.zeros_like(theta), 0
    for g in grads:
        if g is None:
            continue
        t += 1
        m, u = b1 * m + (1 - b1) * g, np.maximum(b2 * u, np.abs(g) + eps)
        if era == "a":
            theta = theta - lr * (m / (u + eps) + decay * theta)
        else:
            theta = theta * (1 - lr * decay)
            theta = theta - lr / (1 - b1**t) * m / u
    return theta


def trained(make):
    weights = initial_weights()
    model = model_of(weights)
    optimizer = make(model)
    for t in range(STEPS):
        give_gradients(model, gradients_at(weights, t))
        optimizer.step()
    return dict(model.named_parameters())


@pytest.mark.parametrize("era", ["a", "b"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_formula(era, decay):
    found = trained(
        lambda model: pats.optim.MTDNNAdamax(model.parameters(), lr=LR, era=era, weight_decay=decay)
    )
    weights = initial_weights()
    for name, parameter in found.items():
        grads = [gradients_at(weights, t)[name] for t in range(STEPS)]
        assert_close(parameter, by_hand(weights[name], grads, era, decay=decay), 1e-12)


def test_b_is_torchs_adamax_but_for_the_decay():
    ours = trained(lambda model: pats.optim.MTDNNAdamax(model.parameters(), lr=LR, weight_decay=0.0))
    torchs = trained(lambda model: torch.optim.Adamax(model.parameters(), lr=LR))
    for name, parameter in ours.items():
        assert_close(parameter, numpy_of(torchs[name]), 1e-12)


def test_a_starts_slowly():
    model = model_of({"w": np.zeros(1)})
    optimizer = pats.optim.MTDNNAdamax(model.parameters(), lr=1.0, weight_decay=0.0, era="a")
    steps = []
    for _ in range(3):
        before = model.w.item()
        give_gradients(model, {"w": np.ones(1)})
        optimizer.step()
        steps.append(before - model.w.item())
    np.testing.assert_allclose(steps, [0.1, 0.19, 0.271], rtol=1e-5)


class FactorOne(pats.optim.SAGEAdamax):
    def _factor(self, theta, grad, group, correction=1.0):
        return torch.ones_like(super()._factor(theta, grad, group, correction))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sage_with_its_factor_at_one_is_era_a(decay):
    sage = trained(lambda model: FactorOne(pats.param_groups(model, "all"), lr=LR, weight_decay=decay))
    plain = trained(
        lambda model: pats.optim.MTDNNAdamax(model.parameters(), lr=LR, era="a", weight_decay=decay)
    )
    for name, parameter in sage.items():
        assert_close(parameter, numpy_of(plain[name]), 1e-12)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"era": "c"}, "era is 'c'"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] is 1.0"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
    ],
)
def test_bad_values(options, said):
    with pytest.raises(pats.InputError, match=said):
        pats.optim.MTDNNAdamax([torch.zeros(1)], **options)
