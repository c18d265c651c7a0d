"""``ratio_max``, ``until`` and ``scale="langevin"`` in every optimizer: what they bound, stop and mean."""

import math

import pytest
import torch
from torch import nn

import pats
from pats.kernels import triton
from pats.kernels.cpu import library
from support.small_network import backward, flat_weights, make_network, train_copy


def perturbed(model, noise):
    optimizer = torch.optim.SGD(model.named_parameters(), lr=1e-2)
    pats.perturb(optimizer, model, noise, scope="all")
    return optimizer


def ours(cls, **options):
    return lambda model, noise: cls(pats.param_groups(model, "all"), lr=1e-2, noise=noise, **options)


DOORS = {
    "kernel": (None, ours(pats.optim.Adamax)),
    "one by one": ("eager", ours(pats.optim.AdamW, foreach=False)),
    "triton": ("triton", ours(pats.optim.Adamax)),
    "reference": (None, ours(pats.optim.reference.PATSAdamax)),
    "perturb": (None, perturbed),
}


@pytest.fixture(params=DOORS)
def door(request, monkeypatch):
    kernel, make = DOORS[request.param]
    if kernel == "triton" and (triton.kernels() is None or not triton.INTERPRETED):
        pytest.skip("no Triton in its interpreter")
    if request.param == "kernel" and library.LIBRARY is None:
        pytest.skip("the C kernel has not been built")
    if kernel is not None:
        monkeypatch.setenv("PATS_KERNEL", kernel)
    return make


LANGEVIN = {"scale": "langevin", "examples": 60}
STD = {"intensity": "std", "eps": 1e-12, "eps_mode": "absolute"}
NOISES = {
    "bounded": pats.Noise(scale="lr", intensity="std", ratio_max=4.0, seed=2),
    "bounded budget": pats.Noise(intensity="std", ratio_max=1.5, budget=0.5, steps=9, seed=2),
    "part of a run": pats.Noise(scale="constant", lam=1e-4, until=0.7, steps=9, seed=2),
    "part of a budget": pats.Noise(budget=0.5, until=0.8, steps=9, seed=2),
    "langevin": pats.Noise(seed=2, **LANGEVIN),
    "part of a run, taken back": pats.Noise(
        scale="constant", lam=1e-4, until=0.7, steps=9, ratio_max=2.0, keep="anticorrelated", seed=2
    ),
    "part of a budget, taken back": pats.Noise(
        budget=0.5, until=0.8, steps=9, ratio_max=2.0, keep="anticorrelated", seed=2
    ),
    "part of langevin": pats.Noise(seed=2, until=0.7, steps=9, intensity="std", ratio_max=9.0, **LANGEVIN),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_a_resumed_run_has_the_same_bits(door, noise, tmp_path):
    whole, _ = train_copy(make_network(blocks=1), lambda m: door(m, noise), steps=8)
    half, optimizer = train_copy(make_network(blocks=1), lambda m: door(m, noise), steps=4)
    torch.save({"model": half.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint.pt")
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    model = make_network(seed=9, blocks=1)
    model.load_state_dict(saved["model"])
    again = door(model, noise)
    again.load_state_dict(saved["optimizer"])
    for step in range(4, 8):
        backward(model, step)
        again.step()
    assert torch.equal(flat_weights(model), flat_weights(whole))


PLAIN = {
    "no temperature": (pats.Noise(scale="langevin", examples=60, temperature=0.0), pats.Noise(p=0.0)),
    "the whole run": (pats.Noise(scale="constant", until=1.0, steps=5), pats.Noise(scale="constant")),
    "the whole budget": (pats.Noise(until=1.0, steps=5), pats.Noise(steps=5)),
    "no bound that binds": (pats.Noise(scale="lr", ratio_max=100.0), pats.Noise(scale="lr")),
    "a budget's bound that does not bind": (pats.Noise(ratio_max=1e9), pats.Noise()),
}


@pytest.mark.parametrize(("setting", "same"), PLAIN.values(), ids=PLAIN)
def test_a_neutral_setting_changes_no_bit(door, setting, same):
    one, _ = train_copy(make_network(blocks=1), lambda m: door(m, setting), steps=5)
    other, _ = train_copy(make_network(blocks=1), lambda m: door(m, same), steps=5)
    assert torch.equal(flat_weights(one), flat_weights(other))


@pytest.mark.parametrize("noise", [NOISES[name] for name in NOISES if "part of" in name], ids=str)
def test_nothing_is_added_after_the_last_step(door, noise):
    for first, is_moved in ((4, True), (noise.last, False)):
        # Not a copy: that of an optimizer has no perturbation, which would take the last noise back.
        (model, optimizer), (twin, still) = (
            train_copy(make_network(blocks=1), lambda m: door(m, noise), steps=first) for _ in range(2)
        )
        for group in still.param_groups:
            group["noise_p"] = 0.0
        for network, chosen in ((model, optimizer), (twin, still)):
            backward(network, first)
            chosen.step()
        assert torch.equal(flat_weights(model), flat_weights(twin)) != is_moved


def zeros(seed=0):
    """A matrix with exact zeros, which no gradient moves: their sensitivity is zero for ever."""
    model = nn.Module()
    generator = torch.Generator().manual_seed(seed)
    value = 0.05 * torch.randn(40, 30, generator=generator)
    value[::4] = 0.0
    model.weight = nn.Parameter(value)
    return model


SIZED = {
    "lr": pats.Noise(scale="lr", p=1.0, **STD),
    "lr, bounded": pats.Noise(scale="lr", p=1.0, ratio_max=7.0, **STD),
    "lr, signed": pats.Noise(scale="lr", p=1.0, signed=True, **STD),
    "lr, variance": pats.Noise(scale="lr", p=1.0, eps=1e-30, eps_mode="absolute"),
    "budget": pats.Noise(steps=30, p=1.0, **STD),
    "budget, bounded": pats.Noise(steps=30, p=1.0, ratio_max=7.0, **STD),
    "langevin": pats.Noise(p=1.0, **LANGEVIN, **STD),
    "langevin, bounded": pats.Noise(p=1.0, ratio_max=7.0, **LANGEVIN, **STD),
}


@pytest.mark.parametrize("noise", SIZED.values(), ids=SIZED)
def test_a_weight_that_is_exactly_zero_gets_bounded_noise(door, noise):
    """The draw is below 6; what remains is σ: the ratio's bound, or 4 times the root mean square."""
    model, lr = zeros(), 1e-2
    spread = float(model.weight.detach().std())
    optimizer = door(model, noise)
    ratio = noise.ratio_max or 100.0
    largest = {
        "lr": lr * (ratio if noise.intensity == "std" else math.sqrt(ratio)),
        "budget": 4 * 0.04 * spread,
        "langevin": 4 * math.sqrt(2 * lr / 60),
    }[noise.scale]
    for step in range(4):
        generator = torch.Generator().manual_seed(step)
        grad = 1e-3 * torch.randn(model.weight.shape, generator=generator)
        grad[::4] = 0.0
        before = model.weight.detach().clone()
        model.weight.grad = grad
        optimizer.step()
        moved = (model.weight.detach() - before)[::4]
        assert float(moved.abs().max()) <= 6 * largest
    assert noise.signed or bool(moved.any())  # signed, the mean may be negative: then nobody gets noise


def test_the_papers_own_scale_has_no_bound():
    """The control: with its own tiny ε a zero weight is thrown far away."""
    model = zeros()
    optimizer = DOORS["kernel"][1](model, pats.Noise.paper(intensity="std", eps=1e-12, p=1.0))
    model.weight.grad = torch.where(model.weight == 0, 0.0, 1e-3 * torch.ones_like(model.weight))
    optimizer.step()
    assert float(model.weight.detach().abs().max()) > 1.0


def test_the_std_reading_moves_the_insensitive_and_spares_the_average():
    """κ = 1/ratio_max: σ is the learning rate at the bound, and a small part of it at the average."""
    model, lr = nn.Module(), 1e-3
    model.weight = nn.Parameter(torch.ones(100, 100))
    model.weight.grad = torch.ones(100, 100)
    model.weight.grad[:10] = 1e-4
    noise = pats.Noise(scale="lr", intensity="std", kappa=0.02, ratio_max=50.0, p=1.0)
    optimizer = torch.optim.SGD(model.named_parameters(), lr=lr)
    pats.perturb(optimizer, model, noise, scope="all")
    before = model.weight.detach() - lr * model.weight.grad
    optimizer.step()
    moved = (model.weight.detach() - before).abs()
    assert float(moved[:10].square().mean().sqrt()) == pytest.approx(lr, rel=0.1)
    assert float(moved[10:].square().mean().sqrt()) == pytest.approx(0.02 * 0.9 * lr, rel=0.1)


def test_langevin_noise_has_its_temperature():
    """Mean square of an entry's noise: 2·lr·T/n, whatever R; at every step but the first, which has no F."""
    model = zeros()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=1e-2)
    noise = pats.Noise(scale="langevin", examples=500, temperature=0.3, p=1.0)
    told, square = pats.perturb(optimizer, model, noise, scope="all"), []
    for step in range(30):
        generator = torch.Generator().manual_seed(step)
        model.weight.grad = 1e-3 * torch.randn(model.weight.shape, generator=generator)
        optimizer.step()
        square.append(told.stats()["weight"]["noise_rms"] ** 2)
    assert square[0] == 0
    assert sum(square[5:]) / 25 == pytest.approx(2 * 1e-2 * 0.3 / 500, rel=0.1)
    spread = float(optimizer.state[model.weight]["noise_spread"])
    assert told.stats()["weight"]["accumulated"] == pytest.approx(math.sqrt(sum(square)) / spread, rel=0.05)


def test_langevin_noise_needs_no_spread_and_says_nothing_of_it(recwarn):
    model = nn.Module()
    model.weight = nn.Parameter(torch.ones(20, 20))
    optimizer = torch.optim.SGD(model.named_parameters(), lr=1e-2)
    pats.perturb(optimizer, model, pats.Noise(scale="langevin", examples=50, p=1.0), scope="all")
    for _ in range(2):
        model.weight.grad = torch.ones(20, 20)
        optimizer.step()
    assert float(model.weight.detach().std()) > 0
    assert not [warning for warning in recwarn if "budget" in str(warning.message)]


UNREADY = {
    "until": (
        {"scale": "lr", "until": 0.3},
        "until is 0.3, a share of the run's steps, but their number is not known: set steps (in Trainer, the "
        "callback pats.hf.NoiseSteps() sets it)",
    ),
    "langevin": (
        {"scale": "langevin"},
        "scale='langevin' divides by the number of training examples, which is not known: set examples (in "
        "Trainer, the callback pats.hf.NoiseSteps() sets it)",
    ),
}


@pytest.mark.parametrize(("settings", "said"), UNREADY.values(), ids=UNREADY)
def test_what_is_not_known_is_asked_for_at_the_first_step(door, settings, said):
    model = make_network(blocks=1)
    optimizer = door(model, pats.Noise(**settings))
    before = flat_weights(model).clone()
    backward(model, 0)
    with pytest.raises(pats.InputError) as caught:
        optimizer.step()
    assert str(caught.value) == said
    assert torch.equal(flat_weights(model), before)
    for group in optimizer.param_groups:
        group |= {"noise_steps": 10, "noise_examples": 10 if settings["scale"] == "langevin" else None}
        if settings["scale"] == "langevin":
            group["noise_steps"] = None
    optimizer.step()
    assert not torch.equal(flat_weights(model), before)


def test_a_checkpoint_without_the_settings_has_none_of_them():
    """Earlier versions did not know them."""
    noise = pats.Noise(budget=0.3, steps=6, seed=1)
    whole, _ = train_copy(make_network(blocks=1), lambda m: DOORS["kernel"][1](m, noise), steps=6)
    half, optimizer = train_copy(make_network(blocks=1), lambda m: DOORS["kernel"][1](m, noise), steps=3)
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        for name in ("ratio_max", "until", "temperature", "examples"):
            del group[f"noise_{name}"]
    again = DOORS["kernel"][1](half, pats.Noise(budget=0.3, steps=6, seed=1, ratio_max=1.1, until=0.5))
    with pytest.warns(UserWarning, match="noise_ratio_max None instead of 1.1, noise_until None instead of"):
        again.load_state_dict(saved)
    for step in range(3, 6):
        backward(half, step)
        again.step()
    assert torch.equal(flat_weights(half), flat_weights(whole))
