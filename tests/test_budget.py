"""``scale="budget"``: what a run accumulates, whatever trains it, and what becomes of the account."""

import copy
import hashlib
import itertools
import math
import warnings

import pytest
import torch
from torch import nn

import pats
from pats._budget import KEYS, fade, share
from pats.kernels.cpu import library
from support.budget_runs import SCHEDULES, TRAINERS, accumulated, give_gradients, matrices
from support.small_network import backward, flat_weights, make_network, train_copy


@pytest.mark.parametrize("known", [True, False], ids=["steps known", "steps unknown"])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_default_accumulates_what_it_promises(trainer, known):
    noise = pats.Noise(steps=1000 if known else None)
    for share_of_spread in accumulated(TRAINERS[trainer], noise, 1000).values():
        assert 0.03 <= share_of_spread <= 0.045


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("intensity", ["variance", "std"])
@pytest.mark.parametrize("steps", [50, 200])
def test_short_runs_spend_their_budget_too(steps, intensity, schedule):
    noise = pats.Noise(steps=steps, intensity=intensity)
    for heavy in (False, True):
        found = accumulated(TRAINERS["Adamax 1e-4"], noise, steps, schedule, heavy)
        assert all(0.75 * 0.04 <= share_of_spread <= 0.045 for share_of_spread in found.values())


def test_the_literal_reading_is_no_such_thing():
    """The control: constant noise takes no notice of the spread, so the small matrix drowns."""
    found = accumulated(TRAINERS["Adamax 1e-4"], pats.Noise.paper(), 200)
    assert found["wide.bias"] > 5
    assert not any(0.03 <= share_of_spread <= 0.045 for share_of_spread in found.values())


def test_no_weight_gets_more_than_four_times_the_budget():
    """Exact zeros, which no gradient moves, get the largest noise of all."""
    model, still = matrices(), matrices()
    optimizer, _ = TRAINERS["Adamax 1e-4"](model, pats.Noise(budget=0.1, steps=300))
    for step in range(300):
        give_gradients(model, step)
        for parameter in model.parameters():
            parameter.grad[::5] = 0.0
        optimizer.step()
    for (name, parameter), before in zip(model.named_parameters(), still.parameters(), strict=True):
        before = before.detach()
        zeros = before[::5] == 0
        moved = parameter.detach()[::5][zeros]
        most = 4 * 0.1 * float(before.std())
        assert float(moved.square().mean().sqrt()) <= 1.1 * most, name
        assert float(moved.abs().max()) > 0.5 * 0.1 * float(before.std()), name


@pytest.mark.parametrize("steps", [50, 1000])
def test_shares_fall_to_nothing_at_the_end(steps):
    shares = [share(steps, t) for t in range(1, steps + 3)]
    assert shares[-2:] == [0.0, 0.0]
    assert all(0 < part <= 1 / 16 for part in shares[:-2])
    left = 1.0
    for part in shares:
        left -= left * part
    assert left < 0.2
    # While 1/16 does not bind, the amplitude √(left · share) falls linearly, to 0 behind the last step.
    left, amplitudes = 1.0, []
    for part in itertools.takewhile(lambda part: part < 1 / 16, shares):
        amplitudes.append(math.sqrt(left * part))
        left -= left * part
    assert len(amplitudes) >= 4
    expected = [amplitudes[0] * (steps - done) / steps for done in range(len(amplitudes))]
    assert amplitudes == pytest.approx(expected, rel=1e-9)


def test_what_nothing_is_spent_of_fades():
    assert [fade(4, step) for step in range(1, 8)] == [1.0, 9 / 16, 4 / 16, 1 / 16, 0.0, 0.0, 0.0]
    assert [fade(None, step) for step in (1, 501)] == [1.0, math.exp(-1)]


def test_a_changed_budget_applies_to_what_is_left():
    model = matrices()
    optimizer, told = TRAINERS["Adamax 1e-4"](model, pats.Noise(steps=200))
    square = 0.0
    spread = float(model.square.weight.detach().double().std())
    for step in range(200):
        if step == 100:
            for group in optimizer.param_groups:
                group["noise_budget"] = 0.2
        if step == 150:
            for group in optimizer.param_groups:
                group["noise_steps"] = 150
        give_gradients(model, step)
        optimizer.step()
        square += told.stats()["square.weight"]["noise_rms"] ** 2
        if step >= 150:
            assert told.stats()["square.weight"]["noise_rms"] == 0
    assert 0.1 < math.sqrt(square) / spread < 0.2


EVERY_PATH = {
    "in C": ("cpu", TRAINERS["Adamax 1e-4"]),
    "plain torch": ("eager", TRAINERS["Adamax 1e-4"]),
    "triton": ("triton", TRAINERS["Adamax 1e-4"]),
    "perturb": (None, TRAINERS["SGD 1e-2"]),
    "reference": (
        None,
        lambda model, noise: (
            pats.optim.reference.PATSAdamax(pats.param_groups(model, "all"), lr=1e-4, noise=noise),
            None,
        ),
    ),
}


@pytest.mark.parametrize("path", EVERY_PATH)
def test_noise_at_every_other_step_is_counted_too(path, monkeypatch):
    """A step is charged with its own p, whatever that of the next one."""
    kernel, make = EVERY_PATH[path]
    if kernel == "cpu" and library.LIBRARY is None:
        pytest.skip("the C kernel has not been built")
    if kernel is not None:
        monkeypatch.setenv("PATS_KERNEL", kernel)
    model = matrices()
    optimizer, _ = make(model, pats.Noise(steps=10))
    for step in range(9):
        for group in optimizer.param_groups:
            group["noise_p"] = 0.0 if step % 2 else 0.2
        give_gradients(model, step)
        optimizer.step()
    for parameter in model.parameters():
        assert 0.1 * 0.04**2 < float(optimizer.state[parameter]["noise_spent"]) <= 0.04**2


BEGUN_ANEW = {
    "the state of the start loaded": lambda optimizer, start: optimizer.load_state_dict(start),
    "the state cleared": lambda optimizer, start: optimizer.state.clear(),
}


@pytest.mark.parametrize("door", ["optim", "one by one", "reference", "perturb"])
@pytest.mark.parametrize("how", BEGUN_ANEW)
def test_a_run_that_begins_anew_has_its_whole_budget(door, how):
    """As for every fold of a cross-validation, with one optimizer."""
    model = make_network()
    optimizer = RESUMED[door](model, pats.Noise(budget=0.3, steps=12))
    start, first = copy.deepcopy((model.state_dict(), optimizer.state_dict())), None
    for _ in range(2):
        for step in range(6):
            backward(model, step)
            optimizer.step()
        if first is None:
            first = flat_weights(model).clone()
            model.load_state_dict(start[0])
            BEGUN_ANEW[how](optimizer, start[1])
    assert torch.equal(flat_weights(model), first)


def test_weights_without_spread_get_noise_once_they_have_one():
    model = matrices()
    with torch.no_grad():
        model.square.weight.zero_()
        model.wide.weight.fill_(1.0)
    optimizer, told = TRAINERS["Adamax 1e-4"](model, pats.Noise(steps=100))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(3):
            give_gradients(model, step)
            optimizer.step()
            if step == 0:
                spread = model.square.weight.detach().double().std()
    assert [str(w.message) for w in caught] == [
        "all entries of 'square.weight' and 1 more are equal, and a noise budget is a share of the weights' "
        "spread: they get no noise until they differ"
    ]
    assert float(optimizer.state[model.square.weight]["noise_spread"]) == float(spread.float())
    assert told.stats()["square.weight"]["noise_rms"] > 0


def test_the_account_is_five_numbers_in_the_state():
    for dtype in (torch.float32, torch.bfloat16):
        model = matrices(dtype=dtype)
        optimizer, _ = TRAINERS["Adamax 1e-4"](model, pats.Noise())
        give_gradients(model, 0)
        optimizer.step()
        for parameter in model.parameters():
            state = optimizer.state[parameter]
            assert set(state) == {"step", "exp_avg", "exp_inf", "sensitivity", *KEYS}
            assert all(state[key].shape == () and state[key].dtype == torch.float64 for key in KEYS)
    model = matrices()
    optimizer, _ = TRAINERS["Adamax 1e-4"](model, pats.Noise.paper())
    give_gradients(model, 0)
    optimizer.step()
    assert not set(optimizer.state[model.square.weight]) & set(KEYS)


RESUMED = {
    "optim": lambda model, noise: pats.optim.Adamax(pats.param_groups(model), lr=1e-2, noise=noise),
    "one by one": lambda model, noise: pats.optim.AdamW(
        pats.param_groups(model), lr=1e-2, noise=noise, foreach=False
    ),
    "reference": lambda model, noise: pats.optim.reference.PATSAdamax(
        pats.param_groups(model), lr=1e-2, noise=noise
    ),
    "perturb": lambda model, noise: perturbed_encoder(model, noise),
}


def perturbed_encoder(model, noise):
    optimizer = torch.optim.SGD(model.named_parameters(), lr=1e-2)
    pats.perturb(optimizer, model, noise)
    return optimizer


@pytest.mark.parametrize("door", RESUMED)
@pytest.mark.parametrize("steps", [12, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_run_has_the_same_bits(door, steps, dtype, tmp_path):
    if door == "reference" and dtype == torch.bfloat16:
        dtype = torch.float64
    noise = pats.Noise(budget=0.3, steps=steps, seed=2)
    whole, _ = train_copy(make_network(dtype=dtype), lambda m: RESUMED[door](m, noise), steps=9)
    half, optimizer = train_copy(make_network(dtype=dtype), lambda m: RESUMED[door](m, noise), steps=4)
    torch.save({"model": half.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint.pt")
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    model = make_network(seed=9, dtype=dtype)
    model.load_state_dict(saved["model"])
    again = RESUMED[door](model, noise)
    again.load_state_dict(saved["optimizer"])
    for step in range(4, 9):
        backward(model, step)
        again.step()
    assert torch.equal(flat_weights(model), flat_weights(whole))
    forgetful = make_network(seed=9, dtype=dtype)
    forgetful.load_state_dict(saved["model"])
    control = RESUMED[door](forgetful, noise)
    for state in saved["optimizer"]["state"].values():
        if "noise_spent" in state:
            state["noise_spent"] += 0.05
    control.load_state_dict(saved["optimizer"])
    for step in range(4, 9):
        backward(forgetful, step)
        control.step()
    assert not torch.equal(flat_weights(forgetful), flat_weights(whole))


def test_a_copy_has_an_account_of_its_own():
    model, optimizer = train_copy(
        make_network(), lambda m: RESUMED["optim"](m, pats.Noise(budget=0.3)), steps=3
    )
    other_model, other = copy.deepcopy((model, optimizer))
    for m, o in ((model, optimizer), (other_model, other)):
        for step in range(3, 6):
            backward(m, step)
            o.step()
    assert torch.equal(flat_weights(model), flat_weights(other_model))


def test_an_earlier_checkpoint_goes_on_with_its_own_noise():
    """Version 0.1.0 knew no budget: its groups lack the settings, and its noise was the literal one."""
    noise = pats.Noise.paper(lam=1e-4, seed=1)
    whole, _ = train_copy(make_network(), lambda m: RESUMED["optim"](m, noise), steps=6)
    half, optimizer = train_copy(make_network(), lambda m: RESUMED["optim"](m, noise), steps=3)
    saved = optimizer.state_dict()
    for group in saved["param_groups"]:
        del group["noise_budget"], group["noise_steps"]
    again = RESUMED["optim"](half, pats.Noise())
    with pytest.warns(UserWarning, match="replace the present ones"):
        again.load_state_dict(saved)
    for step in range(3, 6):
        backward(half, step)
        again.step()
    assert torch.equal(flat_weights(half), flat_weights(whole))


# Weights and sensitivities after 20 steps of Noise.paper(), as version 0.1.0 computed them.
LITERAL = {
    ("float32", "adamax", "paper"): "eacbe580e5c446eb",
    ("float32", "adamax", "std"): "e1849c842f3f1ec5",
    ("float32", "adamax", "signed"): "75bfbee81b20373a",
    ("float32", "adamw", "paper"): "d1fb3bc812f83891",
    ("float32", "adamw", "std"): "fb15ed63abc5b79f",
    ("float32", "adamw", "signed"): "7067ffe1fa663cbd",
    ("bfloat16", "adamax", "paper"): "695964bbddf6bd6a",
    ("bfloat16", "adamax", "std"): "52ec392c0834f477",
    ("bfloat16", "adamax", "signed"): "0d7f0046cc84c0a9",
    ("bfloat16", "adamw", "paper"): "6d3f94288b68cfce",
    ("bfloat16", "adamw", "std"): "ac77ae5a47c78375",
    ("bfloat16", "adamw", "signed"): "05cd370196a0a83e",
}
READINGS = {"paper": {}, "std": {"intensity": "std", "lam": 1e-4}, "signed": {"signed": True, "p": 1.0}}


@pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")
@pytest.mark.parametrize(("dtype", "name", "reading"), LITERAL)
def test_the_literal_reading_is_unchanged_to_the_bit(dtype, name, reading):
    generator = torch.Generator().manual_seed(5)
    model = nn.Module()
    model.a = nn.Parameter((torch.randn(37, 41, generator=generator) * 0.05).to(getattr(torch, dtype)))
    model.b = nn.Parameter((torch.randn(53, generator=generator) * 0.05).to(getattr(torch, dtype)))
    cls = pats.optim.Adamax if name == "adamax" else pats.optim.AdamW
    noise = pats.Noise.paper(seed=3, **READINGS[reading])
    optimizer = cls(pats.param_groups(model, "all"), noise=noise, fused=True)
    for step in range(20):
        for parameter in model.parameters():
            parameter.grad = (torch.randn(parameter.shape, generator=generator) * 1e-2).to(parameter.dtype)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / 25)
        optimizer.step()
    digest = hashlib.blake2b(digest_size=8)
    for parameter in model.parameters():
        for tensor in (parameter.detach(), optimizer.state[parameter]["sensitivity"]):
            digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    assert digest.hexdigest() == LITERAL[dtype, name, reading]
