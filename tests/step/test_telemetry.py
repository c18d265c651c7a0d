"""The telemetry tells the base update from the noise, on every path, and counts in bounded room."""

import copy
import itertools
import warnings

import pytest
import torch

import pats
from pats.step.telemetry import Totals
from support.misfit_states import LR
from support.small_network import backward, make_network

QUIET = {"p": 0.0}
LOUD = {"lam": 1e-1, "gamma": 0.0, "p": 1.0}  # about a hundred times the update


def attached(base, **more):
    def make(model, noise):
        optimizer = base(pats.param_groups(model), lr=LR, **more)
        return optimizer, pats.perturb(optimizer, model, noise)

    return make


def ours(cls, **more):
    def make(model, noise):
        optimizer = cls(pats.param_groups(model), lr=LR, noise=noise, **more)
        return optimizer, optimizer

    return make


PATHS = {
    "adamax": attached(torch.optim.Adamax),
    "adamax foreach": attached(torch.optim.Adamax, foreach=True),
    "adamw": attached(torch.optim.AdamW),
    "adamw fused": attached(torch.optim.AdamW, fused=True),
    "sgd": attached(torch.optim.SGD),
    "rmsprop": attached(torch.optim.RMSprop),
    "mtdnn": attached(pats.optim.MTDNNAdamax),
    "ours adamax": ours(pats.optim.Adamax),
    "ours adamax foreach": ours(pats.optim.Adamax, foreach=True),
    "ours adamax one by one": ours(pats.optim.Adamax, foreach=False),
    "ours adamw": ours(pats.optim.AdamW),
    "ours adamw, torch fused": ours(pats.optim.AdamW, fused=True, amsgrad=True),
}


def told(make, noise, dtype=torch.float32):
    """What one step tells, and by how much the base alone moves every matrix."""
    model = make_network(width=64, dtype=dtype)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer, handle = make(model, pats.Noise.paper(seed=1, **noise))
    backward(model, 0)
    optimizer.step()
    moved = {name: (p.detach() - before[name]).double() for name, p in model.named_parameters()}
    return handle.stats(), {name: change.square().mean().sqrt().item() for name, change in moved.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", PATHS)
def test_the_update_is_the_base_optimizers_alone(name, dtype):
    quiet, moved = told(PATHS[name], QUIET, dtype)
    loud, _ = told(PATHS[name], LOUD, dtype)
    seen = (
        0.5 if dtype == torch.bfloat16 or "ours" in name else 1e-3
    )  # a kernel observes some, before rounding
    for matrix, row in loud.items():
        assert row["update_rms"] == pytest.approx(quiet[matrix]["update_rms"], rel=1e-6)
        assert row["update_rms"] == pytest.approx(moved[matrix], rel=seen)
        assert quiet[matrix]["noise_over_update"] == 0.0
        if matrix.endswith("weight"):
            assert row["noise_rms"] > 30 * row["update_rms"]
            assert row["noise_over_update"] == row["noise_rms"] / row["update_rms"]


TALLIES = torch.zeros(8, 6, dtype=torch.float64)


def sums_of(names, spoilt):
    return torch.tensor([[1.0, float(name in spoilt), 0.0] for name in names], dtype=torch.float64)


def test_skipped_steps_are_counted_in_bounded_room():
    names = [f"expert.{i}" for i in range(8)]
    totals, expected = Totals(), dict.fromkeys(names, 0)
    for step, chosen in enumerate(itertools.islice(itertools.cycle(itertools.combinations(names, 4)), 300)):
        spoilt = chosen[step % 4 : step % 4 + 2]
        totals.add(chosen, sums_of(chosen, spoilt), TALLIES[:4])
        for name in spoilt:
            expected[name] += 1
    assert {name: skipped for name, (skipped, _) in totals.read().items()} == expected
    assert len(totals._sets) + len(totals._each) <= 16


def test_random_subsets_of_parameters_keep_nothing_for_ever():
    model = make_network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    handle = pats.perturb(optimizer, model)
    generator = torch.Generator().manual_seed(0)
    for step in range(60):
        backward(model, step)
        for parameter in model.parameters():
            if torch.rand((), generator=generator) < 0.5:
                parameter.grad = None
        optimizer.step()
    skipped = handle._stepper.telemetry._totals
    assert len(skipped._sets) <= 8
    assert set(skipped._each) <= set(handle.names)
    backward(model, 60)
    optimizer.step()
    assert {name: row["skipped"] for name, row in handle.stats().items()} == dict.fromkeys(handle.names, 0)


def spread_of(model):
    return {name: float(p.detach().double().std()) for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    "noise", [pats.Noise(budget=0.3, steps=40, eps=1.0), pats.Noise(scale="constant", lam=1e-6, eps=1.0)]
)
@pytest.mark.parametrize("kind", [torch.optim.SGD, pats.optim.Adamax])
def test_accumulated_noise_is_the_walk_of_the_noise_alone(kind, noise):
    """At a rate of 0 nothing else moves the weights."""
    model = make_network(width=48)
    before, spread = copy.deepcopy(model), spread_of(model)
    if kind is torch.optim.SGD:
        optimizer = kind(model.parameters(), lr=0.0)
        told = pats.perturb(optimizer, model, noise)
    else:
        optimizer = told = kind(pats.param_groups(model), lr=0.0, noise=noise)
    for step in range(40):
        backward(model, step)
        optimizer.step()
    original = dict(before.named_parameters())
    for name, parameter in model.named_parameters():
        if not name.endswith("linear.weight"):
            continue
        walked = float((parameter - original[name]).double().square().mean().sqrt())
        base = spread[name] if noise.scale == "budget" else spread_of(model)[name]
        # Σ q² against (Σ q)², which agree in expectation only.
        assert told.stats()[name]["accumulated"] == pytest.approx(walked / base, rel=0.1)


@pytest.mark.parametrize("lam", [1e-4, 1e-9])
def test_noise_without_a_budget_that_accumulates_too_much_warns_once(lam):
    model = make_network()
    optimizer = pats.optim.Adamax(pats.param_groups(model), noise=pats.Noise.paper(lam=lam))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(70):
            backward(model, step)
            optimizer.step()
    said = [str(w.message) for w in caught if "accumulated" in str(w.message)]
    assert len(said) == (lam == 1e-4)
    assert all("use pats.Noise() with a budget, which bounds it" in text for text in said)
