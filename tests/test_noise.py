import dataclasses
import math

import numpy as np
import pytest
import torch

import pats
from pats._noise import eps_of, intensity, mean_of, moving_average_, sensitivity, sigma
from support.small_network import make_network

BAD = [
    ({"scale": "constant", "lam": -1e-6}, "lam is -1e-06, but must be a number of at least 0"),
    ({"scale": "constant", "lam": "x"}, "lam is 'x'"),
    ({"scale": "constant", "lam": math.nan}, "lam is nan"),
    ({"budget": -0.1}, "budget is -0.1, but must be a number of at least 0"),
    ({"budget": math.inf}, "budget is inf"),
    ({"steps": 0}, "steps is 0, but must be a whole number from 1"),
    ({"steps": 10.0}, "steps is 10.0"),
    ({"steps": True}, "steps is True"),
    ({"scale": "lr", "kappa": -1}, "kappa is -1, but must be a number of at least 0"),
    ({"gamma": -1}, "gamma"),
    ({"beta": 1.0}, "beta is 1.0, but must be at least 0 and below 1"),
    ({"beta": -0.1}, "beta"),
    ({"p": 1.5}, "p is 1.5, but must be 0 or between"),
    ({"p": 2**-13}, "p is"),
    ({"eps": -1e-8}, "eps"),
    ({"eps_mode": "none"}, "eps_mode is 'none', but must be one of: absolute, algorithm1, relative"),
    ({"intensity": "sd"}, "intensity is 'sd', but must be one of: variance, std"),
    ({"scale": "linear"}, "scale is 'linear', but must be one of: budget, lr, constant, langevin"),
    ({"signed": 1}, "signed is 1"),
    ({"seed": 0.5}, "seed is 0.5"),
    ({"seed": True}, "seed is True"),
    (
        {"lam": 1e-6},
        "lam is 1e-06, but scale='budget' does not use it: set scale='constant', or leave lam out",
    ),
    ({"kappa": 1.0}, "kappa is 1.0, but scale='budget' does not use it: set scale='lr'"),
    ({"scale": "lr", "lam": 2e-6}, "lam is 2e-06, but scale='lr' does not use it"),
    ({"scale": "constant", "budget": 0.04}, "budget is 0.04, but scale='constant' does not use it"),
    ({"ratio_max": 0}, "ratio_max is 0, but must be a number above 0"),
    ({"ratio_max": math.inf}, "ratio_max is inf"),
    ({"until": 0, "steps": 10}, "until is 0, but must be above 0 and at most 1"),
    ({"until": 1.5, "steps": 10}, "until is 1.5"),
    ({"scale": "lr", "steps": 0, "until": 0.5}, "steps is 0, but must be a whole number from 1"),
    ({"temperature": 1.0}, "temperature is 1.0, but scale='budget' does not use it: set scale='langevin'"),
    ({"scale": "langevin", "temperature": -1}, "temperature is -1, but must be a number of at least 0"),
    ({"examples": 10}, "examples is 10, but scale='budget' does not use it: set scale='langevin'"),
    ({"scale": "langevin", "examples": 0}, "examples is 0, but must be a whole number from 1"),
    ({"scale": "langevin", "examples": 2.0}, "examples is 2.0"),
    ({"scale": "langevin", "steps": 10}, "steps is 10, but scale='langevin' does not use it"),
    ({"scale": "lr", "steps": 10}, "steps is 10, but scale='lr' does not use it: set scale='budget'"),
    ({"keep": "often"}, "keep is 'often', but must be one of: walk, transient, anticorrelated"),
    (
        {"scale": "langevin", "keep": "transient"},
        "keep is 'transient', but scale='langevin' samples with noise that adds up in the weights: set "
        "keep='walk', or another scale",
    ),
    ({"scale": "langevin", "keep": "anticorrelated"}, "keep is 'anticorrelated', but scale='langevin'"),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[m for _, m in BAD])
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(pats.InputError) as caught:
        pats.Noise(**changes)
    assert str(caught.value).startswith(message)


def test_defaults_are_the_design():
    assert pats.Noise() == pats.Noise(
        2e-3, 0.75, 0.2, 1e-2, "relative", "variance", False, "budget", None, None, None, None, "walk", 0
    )
    assert pats.Noise() == pats.Noise(ratio_max=None, until=None, temperature=None, examples=None)
    paper = pats.Noise.paper(seed=4)
    assert (paper.scale, paper.size, paper.eps, paper.eps_mode) == ("constant", 2e-6, 1e-8, "absolute")
    assert (paper.gamma, paper.beta, paper.p, paper.seed) == (0.002, 0.75, 0.2, 4)
    sizes = [pats.Noise(scale=scale).size for scale in ("budget", "lr", "constant", "langevin")]
    assert sizes == [0.04, 1.0, 2e-6, 1.0]
    with pytest.raises(AttributeError):
        paper.lam = 1.0


@pytest.mark.parametrize(
    "noise",
    [
        pats.Noise(),
        pats.Noise(budget=0.1, steps=7, until=0.5),
        pats.Noise.paper(),
        pats.Noise(scale="lr", seed=5, ratio_max=3.0),
        pats.Noise(scale="langevin", examples=9),
    ],
)
def test_a_group_says_the_same_and_names_the_size(noise):
    group = noise.to_group()
    names = {"budget": "budget", "lr": "kappa", "constant": "lam", "langevin": "temperature"}
    size = f"noise_{names[noise.scale]}"
    assert group[size] == noise.size
    again = pats.Noise.from_group(group)
    assert again == dataclasses.replace(noise, **{size.removeprefix("noise_"): noise.size})


LANGEVIN_0 = {"scale": "langevin", "temperature": 0.0}


@pytest.mark.parametrize(
    "size", [{}, {"p": 0.0}, {"budget": 0.0}, {"scale": "constant", "lam": 0.0}, LANGEVIN_0]
)
def test_silent_settings(size):
    assert pats.Noise(**size).silent == bool(size)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (pats.Noise(scale="constant", lam=2.0), 2.0),
        (pats.Noise(scale="lr", kappa=3.0), 9e-4),
        (pats.Noise(scale="lr", kappa=3.0, intensity="std"), 3e-2),
    ],
)
def test_lam_t(noise, expected):
    assert noise.lam_t(1e-2) == pytest.approx(expected)


def test_the_last_step_with_noise():
    assert [pats.Noise(steps=steps, until=until).last for steps, until in ((50, 0.3), (1, 0.1), (7, 1))] == [
        15,
        1,
        7,
    ]
    assert (pats.Noise().last, pats.Noise(until=0.5).last, pats.Noise(steps=9).last) == (None, None, 9)
    half = pats.Noise(scale="lr", until=0.5, steps=10)
    assert [half.lam_t(0.1, step) > 0 for step in (1, 5, 6, 10)] == [True, True, False, False]
    heat = pats.Noise(scale="langevin", until=0.5, steps=10, examples=4, temperature=3.0, p=0.5)
    assert [heat.heat(0.1, step) for step in (5, 6)] == [pytest.approx(0.5 * 2 * 0.1 * 3 / 4), 0.0]


def test_what_a_run_gives_is_what_is_used_and_lacking():
    told = pats.Noise().for_run(steps=7, examples=9)
    assert told == pats.Noise(steps=7)
    assert pats.Noise(steps=3).for_run(7, 9) == pats.Noise(steps=3)
    assert pats.Noise.paper().for_run(7, 9) == pats.Noise.paper()
    assert pats.Noise.paper(until=0.5).for_run(7, 9) == pats.Noise.paper(until=0.5, steps=7)
    langevin = pats.Noise(scale="langevin")
    assert langevin.for_run(7, 9) == pats.Noise(scale="langevin", examples=9)
    assert langevin.for_run() == langevin


# What the ratio is bounded by: the rule's own bound, and the user's.
BOUNDS = [
    ({"scale": "constant"}, math.inf),
    ({"scale": "constant", "ratio_max": 5.0}, 5.0),
    ({"scale": "lr"}, 100.0),
    ({"scale": "lr", "intensity": "std"}, 100.0),
    ({"scale": "lr", "intensity": "std", "ratio_max": 500.0}, 500.0),
]


@pytest.mark.parametrize(("settings", "ratio"), BOUNDS)
def test_the_largest_deviation_is_that_of_the_largest_ratio(settings, ratio):
    noise = pats.Noise(**settings)
    for lam in (2e-6, 1.0):
        r = lam * ratio
        expected = math.sqrt(r) if noise.intensity == "variance" else r
        assert noise.ceiling(lam) == pytest.approx(expected)
    assert noise.ceiling(0.0) == math.inf


# s̄, settings, expected r for λ = 1
CASES = [
    ([1.0, 3.0], {"eps": 0.0, "gamma": 0.0}, [2.0, 2 / 3]),
    ([1.0, 3.0], {"eps": 0.0, "gamma": 1.0}, [1.0, 0.0]),
    ([1.0, 3.0], {"eps": 1.0, "gamma": 0.0}, [1.0, 0.5]),
    ([1.0, 3.0], {"eps": 1.0, "eps_mode": "algorithm1", "gamma": 0.0}, [2 / 1.5, 2 / 3.5]),
    ([1.0, 3.0], {"eps": 1.0, "eps_mode": "relative", "gamma": 0.0}, [2 / 3, 2 / 5]),
    ([0.0, 2.0], {"eps": 0.0, "gamma": 0.0}, [0.0, 0.5]),  # 1/0 is not finite and counts as 0
    ([0.0, 2.0], {"eps": 1e-2, "eps_mode": "relative", "gamma": 0.0}, [100.0, 1 / 2.01]),
    ([0.0, 0.0], {"eps": 0.0, "gamma": 0.0}, [0.0, 0.0]),  # 0/0 is 0
    ([0.0, 0.0], {"eps": 0.5, "eps_mode": "relative"}, [0.0, 0.0]),
    ([-1.0, 3.0], {"eps": 0.0, "gamma": 0.0, "signed": True}, [0.0, 1 / 3]),  # negative ratio: no noise
]


@pytest.mark.parametrize(("average", "settings", "expected"), CASES)
def test_intensity(average, settings, expected):
    noise = pats.Noise(**({"eps_mode": "absolute"} | settings))
    s = torch.tensor(average, dtype=torch.float64)
    mean = float(mean_of(s.sum(), [2], s.dtype))
    r = intensity(s, mean, 2, 1.0, noise)
    assert r.tolist() == pytest.approx(expected)
    assert sigma(r, noise).tolist() == pytest.approx([math.sqrt(x) for x in expected])


def test_std_reading_takes_r_itself():
    r = torch.tensor([4.0])
    assert sigma(r, pats.Noise(intensity="std")).item() == 4.0
    assert sigma(r, pats.Noise(intensity="variance")).item() == 2.0


def test_moving_average_keeps_entries_that_are_not_finite():
    average = torch.tensor([1.0, 1.0, 1.0])
    s = sensitivity(torch.tensor([2.0, -2.0, 1.0]), torch.tensor([1.0, 3.0, math.nan]))
    assert moving_average_(average, s, 0.75) == 1
    assert average.tolist() == [1.25, 2.25, 1.0]


def test_signed_sensitivity():
    assert sensitivity(torch.tensor([2.0]), torch.tensor([-3.0]), signed=True).item() == -6.0


def test_mean_is_rounded_once():
    sums = torch.tensor([2 + 2**-29, 1 + 2**-30], dtype=torch.float64)
    assert mean_of(sums, [2, 0], torch.float32).tolist() == [1.0, 1.0]
    assert mean_of(sums, [2, 0], torch.float64).tolist() == [1.0 + 2**-30, 1.0 + 2**-30]


@pytest.mark.parametrize(
    ("mode", "numel", "expected"),
    [
        ("absolute", 8, (0.5, 0.0)),
        ("algorithm1", 8, (0.0625, 0.0)),
        ("algorithm1", 0, (0.5, 0.0)),
        ("relative", 8, (0.0, 0.5)),
    ],
)
def test_eps_is_two_numbers(mode, numel, expected):
    assert eps_of(pats.Noise(eps=0.5, eps_mode=mode), numel) == expected


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2.0**64), (torch.float64, 2.0**512)])
def test_a_sensitivity_whose_square_overflows_leaves_its_average(dtype, bound):
    below = float(torch.nextafter(torch.tensor(bound, dtype=dtype), torch.tensor(0.0, dtype=dtype)))
    average = torch.ones(5, dtype=dtype)
    s = torch.tensor([below, bound, -bound, math.inf, math.nan], dtype=dtype)
    assert [*torch.isfinite(s * s)] == [True, False, False, False, False]
    left = moving_average_(average, s, 0.5)
    assert int(left) == 4
    assert average.tolist() == [0.5 * below + 0.5, 1, 1, 1, 1]


@pytest.mark.parametrize("name", ["budget", "p", "gamma"])
def test_numpys_floats_are_saved_as_plain_ones(tmp_path, name):
    model = make_network()
    optimizer = torch.optim.AdamW(model.parameters())
    pats.perturb(optimizer, model, pats.Noise(**{name: np.float64(0.25)}))
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    (group,) = torch.load(tmp_path / "o.pt", weights_only=True)["param_groups"]
    assert type(group[f"noise_{name}"]) is float
