import math
from dataclasses import replace

import pytest
import torch

from pats import InputError
from pats.measure.check import check
from pats.run import Run


@pytest.fixture
def run(tiny_bert, reviews):
    return Run(model=str(tiny_bert), data=str(reviews), epochs=4, batch_size=20, warmup=0.1)


def test_kinds_and_steps(run):
    state = torch.get_rng_state()
    found = check(run)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.steps, found.batches) == (16, 4)  # an epoch has no more batches
    assert len(found.accumulated) == 12
    assert "bert.encoder.layer.*.attention.self.query.weight" in found.accumulated
    # Biases are zero in a random model, hence insensitive.
    assert {name for name, value in found.accumulated.items() if value} == {
        name for name in found.accumulated if name.endswith("weight")
    }
    assert found == check(run)


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({"epochs": 16}, 2.0),
        ({"options": {"lam": 8e-6}}, 2.0),
        ({"options": {"p": 0.8}}, 2.0),
        ({"lr": 1.0}, 1.0),
        ({"options": {"p": 0.0}}, 0.0),
    ],
)
def test_how_it_grows(run, changes, factor):
    run = replace(run, method="pats-paper")
    before, after = check(run).accumulated, check(replace(run, **changes)).accumulated
    for name, value in before.items():
        assert after[name] == pytest.approx(factor * value, rel=1e-9)


@pytest.mark.parametrize("intensity", ["variance", "std"])
def test_schedule(run, intensity):
    options = {"scale": "lr", "kappa": 1.0, "intensity": intensity}
    runs = [replace(run, options=options, schedule=s, warmup=0.0) for s in ("constant", "linear")]
    constant, linear = (check(one).accumulated for one in runs)
    share = math.sqrt(sum((1 - t / 16) ** 2 for t in range(16)) / 16)
    for name, value in constant.items():
        assert linear[name] == pytest.approx(share * value, rel=1e-9)


def test_a_budget_is_what_it_promises(run):
    """16 steps, the first of which has no noise, cannot spend it all; neither rate nor p matters."""
    told = check(run).accumulated
    weights = {value for value in told.values() if value}
    assert len(weights) == 1
    assert 0.75 * 0.04 < weights.pop() < 0.04
    for changes in ({"lr": 1.0}, {"options": {"p": 1.0}}):
        assert check(replace(run, **changes)).accumulated == told
    for name, value in check(replace(run, options={"budget": 0.4})).accumulated.items():
        assert value == pytest.approx(10 * told[name])
    assert check(replace(run, options={"budget": 0.4})).warnings != ()


def test_large_noise_warns(run):
    run = replace(run, method="pats-paper")
    assert check(replace(run, options={"lam": 1e-12})).warnings == ()
    (said,) = check(replace(run, options={"lam": 1e-2})).warnings
    assert "0.25" in said


@pytest.mark.parametrize(
    ("changes", "count", "said"),
    [({"method": "sage"}, 8, "not of 'sage'"), ({}, 0, "count is 0")],
)
def test_wrong_input(run, changes, count, said):
    with pytest.raises(InputError, match=said):
        check(replace(run, **changes), count=count)
