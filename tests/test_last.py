"""``keep="anticorrelated"``: each step takes the noise of the last one back before it measures."""

import copy
import functools
import io
import warnings
from contextlib import suppress

import pytest
import torch

import pats
from pats import kernels
from pats._last import KEY, ROW, Drawn, drawn, nothing
from support.small_network import backward, flat_weights, make_network

LR = 1e-2
NOISE = pats.Noise(keep="anticorrelated", budget=0.3, seed=3)


def perturbed(base, noise, model, **options):
    optimizer = base(model.named_parameters(), lr=LR, **options)
    optimizer.handle = pats.perturb(optimizer, model, noise)
    return optimizer


def ours(cls, noise, model, **options):
    return cls(pats.param_groups(model), lr=LR, noise=noise, **options)


WAYS = {
    "adamax, one by one": functools.partial(ours, pats.optim.Adamax, foreach=False),
    "adamax, foreach": functools.partial(ours, pats.optim.Adamax, foreach=True),
    "adamax": functools.partial(ours, pats.optim.Adamax),
    "adamw, fused": functools.partial(ours, pats.optim.AdamW, fused=True),
    "adamw": functools.partial(ours, pats.optim.AdamW),
    "perturb adamax": functools.partial(perturbed, torch.optim.Adamax),
    "perturb adamw, fused": functools.partial(perturbed, torch.optim.AdamW, fused=True),
    "perturb momentum": functools.partial(perturbed, torch.optim.SGD, momentum=0.9),
}


@pytest.fixture(params=WAYS)
def make(request):
    return functools.partial(WAYS[request.param])


def stepped(model, optimizer, numbers):
    for step in numbers:
        backward(model, step)
        optimizer.step()
    return flat_weights(model)


def begun(make, steps=3, noise=NOISE):
    model = make_network()
    optimizer = make(noise, model)
    stepped(model, optimizer, range(steps))
    return model, optimizer


def saved(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# ------------------------------------------------------------------------------- what it computes


TORCHS = {
    "adamax, one by one": lambda model: torch.optim.Adamax(model.parameters(), lr=LR, foreach=False),
    "adamax, foreach": lambda model: torch.optim.Adamax(model.parameters(), lr=LR, foreach=True),
    "perturb adamax": lambda model: torch.optim.Adamax(model.parameters(), lr=LR),
    "perturb adamw, fused": lambda model: torch.optim.AdamW(model.parameters(), lr=LR, fused=True),
    "perturb momentum": lambda model: torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9),
}


@pytest.mark.parametrize("way", TORCHS)
@pytest.mark.parametrize("neutral", [{"budget": 0.0}, {"p": 0.0}], ids=str)
def test_without_noise_it_is_plain_training(way, neutral):
    model, plain = make_network(), make_network()
    stepped(model, WAYS[way](pats.Noise(keep="anticorrelated", **neutral), model), range(4))
    assert torch.equal(flat_weights(model), stepped(plain, TORCHS[way](plain), range(4)))


def test_the_layouts_agree_to_the_bit():
    """Where torch updates all; our kernel, which updates what is out of scope, differs by its 2 ulp."""
    trained = {name: stepped(*begun(make), range(3, 7)) for name, make in WAYS.items()}
    for name in ("adamax, foreach", "perturb adamax"):
        assert torch.equal(trained[name], trained["adamax, one by one"])
    for name, other in (("adamax", "perturb adamax"), ("adamw, fused", "perturb adamw, fused")):
        torch.testing.assert_close(trained[name], trained[other], rtol=1e-4, atol=1e-5)


def test_what_is_taken_back_is_what_was_added(make):
    """At a rate of zero the weights stay where they were, but for the noise of the last step."""
    model, optimizer = begun(make)
    for group in optimizer.param_groups:
        group["lr"] = group["weight_decay"] = 0.0
    stepped(model, optimizer, [3])
    for group in optimizer.param_groups:
        group["noise_budget"] = 0.0
    start = stepped(model, optimizer, [4])  # the noise is gone
    for group in optimizer.param_groups:
        group["noise_budget"] = 0.3
    for step in range(5, 25):
        assert not torch.equal(stepped(model, optimizer, [step]), start)
    for group in optimizer.param_groups:
        group["noise_budget"] = 0.0
    end = stepped(model, optimizer, [25])
    torch.testing.assert_close(end, start, rtol=1e-5, atol=1e-6)


def rms(noise, way="perturb momentum", steps=25):
    """How far the weights are from a run without noise over their spread at first, mean square over steps."""
    model, still = make_network(width=40), make_network(width=40)
    named = [(name, p) for name, p in model.named_parameters() if "linear.weight" in name]
    spread = {name: float(p.detach().double().std()) for name, p in named}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    pats.perturb(optimizer, model, noise, scope=r"linear\.weight")
    squares = []
    for step in range(steps):
        backward(model, step)
        optimizer.step()
        if step > 3:
            pairs = zip(named, (still.get_parameter(name) for name, _ in named), strict=True)
            squares += [
                float((p.detach() - q.detach()).double().square().mean()) / spread[name] ** 2
                for (name, p), q in pairs
            ]
    return (sum(squares) / len(squares)) ** 0.5


def test_its_size_is_the_budget():
    assert rms(pats.Noise(keep="anticorrelated", p=0.5)) == pytest.approx(0.02, rel=0.06)
    std = pats.Noise(keep="anticorrelated", budget=0.1, p=0.5, intensity="std")
    assert rms(std) == pytest.approx(0.1, rel=0.06)
    faded = rms(pats.Noise(keep="anticorrelated", p=0.5, steps=25))
    assert 0.2 * 0.02 < faded < 0.6 * 0.02


def test_in_a_part_of_the_run_it_fades_to_zero_there():
    short = pats.Noise(keep="anticorrelated", steps=12)
    assert rms(pats.Noise(keep="anticorrelated", steps=24, until=0.5)) == rms(short) > 0


def test_noise_that_stays_adds_up_instead():
    """The control: the same noise, never taken back, walks away."""
    constant = {"scale": "constant", "lam": 1e-5, "p": 0.5}
    taken_back, walked = rms(pats.Noise(keep="anticorrelated", **constant)), rms(pats.Noise(**constant))
    assert walked > 2 * taken_back


# ------------------------------------------------------------------------------- what it keeps


@pytest.mark.parametrize("clone", [copy.deepcopy, None], ids=["deepcopy", "checkpoint"])
def test_it_goes_on_to_the_bit(make, clone):
    model, optimizer = begun(make)
    if clone is None:
        again = make_network(seed=4)
        other = make(NOISE, again)
        again.load_state_dict(saved(model.state_dict()))
        other.load_state_dict(saved(optimizer.state_dict()))
    elif hasattr(optimizer, "handle"):
        again, other, _ = clone((model, optimizer, optimizer.handle))
    else:
        again, other = clone((model, optimizer))
    assert torch.equal(stepped(model, optimizer, range(3, 6)), stepped(again, other, range(3, 6)))


def test_nothing_of_a_parameters_size_is_kept(make):
    model, optimizer = begun(make)
    plain = make_network()
    other = make(pats.Noise(budget=0.3, seed=3), plain)
    stepped(plain, other, range(3))
    for parameter, twin in zip(model.parameters(), plain.parameters(), strict=True):
        more = optimizer.state[parameter].keys() - other.state[twin].keys()
        assert more == ({KEY} if "sensitivity" in optimizer.state[parameter] else set())
        if more:
            assert optimizer.state[parameter][KEY].shape == (len(ROW),)


def test_a_row_says_all_that_a_draw_depends_on():
    noise = pats.Noise(p=0.3, gamma=0.1, eps=1e-3, intensity="std")
    there = Drawn(noise, 40, -0.25, 1e-5, 0.5, (2**32 - 1, 7), 12)
    back, inside = drawn(there.to_row(inside=True))
    assert inside
    assert (back.mean, back.lam, back.ceiling, back.stream, back.step) == (
        -0.25,
        1e-5,
        0.5,
        (2**32 - 1, 7),
        12,
    )
    assert (back.noise.p, back.noise.gamma, back.noise.intensity) == (0.3, 0.1, "std")
    assert back.noise.eps == 1e-3 * 0.25
    assert drawn(nothing()) is None
    assert drawn(Drawn(noise, 40, float("inf"), 1e-5, 0.5, (1, 2), 3).to_row(inside=True)) is None


@pytest.mark.parametrize(
    ("row", "why"),
    [(torch.zeros(3), "numbers"), (torch.full((len(ROW),), torch.nan), "NaN"), (1.0, "numbers")],
    ids=["short", "NaN", "no tensor"],
)
def test_a_row_that_cannot_be_is_refused(make, row, why):
    _, optimizer = begun(make)
    state = saved(optimizer.state_dict())
    index = next(index for index, each in state["state"].items() if KEY in each)
    state["state"][index][KEY] = row
    other = make(NOISE, make_network())
    with pytest.raises(pats.InputError, match=f"'{KEY}' of .*{why}.*nothing was loaded"):
        other.load_state_dict(state)


def test_settings_may_be_scheduled_and_the_old_ones_are_taken_back(make):
    changes = {
        "noise_p": 0.7,
        "noise_gamma": 0.4,
        "noise_eps": 0.1,
        "noise_intensity": "std",
        "noise_seed": 9,
    }
    for changed in (changes, {"noise_keep": "walk"}):
        model, optimizer = begun(make, noise=pats.Noise(keep="anticorrelated", scale="lr", seed=3))
        for group in optimizer.param_groups:
            group.update({"lr": 0.0, "weight_decay": 0.0})
        # A rate of zero: neither an update nor noise, only what is taken back.
        plain, other = copy.deepcopy((model, optimizer)) if "handle" not in vars(optimizer) else (None, None)
        if plain is None:
            plain, other, _ = copy.deepcopy((model, optimizer, optimizer.handle))
        for group in optimizer.param_groups:
            group.update(changed)
        assert torch.equal(stepped(model, optimizer, [3]), stepped(plain, other, [3]))
        gone = [KEY in state for state in optimizer.state.values()]
        assert any(gone) == ("noise_keep" not in changed)


@pytest.mark.parametrize("way", ["perturb adamax", "perturb momentum"])
def test_remove_takes_the_last_noise_back_and_clean_for_a_while(way):
    model, optimizer = begun(WAYS[way], noise=pats.Noise(keep="anticorrelated", scale="lr", seed=3))
    twin, other, _ = copy.deepcopy((model, optimizer, optimizer.handle))
    for group in other.param_groups:
        group["lr"] = 0.0
    clean = stepped(twin, other, [3])
    before = flat_weights(model)
    with optimizer.handle.clean():
        assert torch.equal(flat_weights(model), clean)
    assert torch.equal(flat_weights(model), before)
    optimizer.handle.remove()
    assert torch.equal(flat_weights(model), clean)
    assert not any(KEY in state for state in optimizer.state.values())


@pytest.mark.parametrize("end", ["clean", "remove", "an error"])
def test_noise_that_is_out_is_not_taken_out_again(end):
    model, optimizer = begun(
        WAYS["perturb adamax"], noise=pats.Noise(keep="anticorrelated", scale="lr", seed=3)
    )
    before = flat_weights(model)
    with optimizer.handle.clean():
        clean = flat_weights(model)
        assert not torch.equal(clean, before)
        if end == "clean":
            with optimizer.handle.clean():
                assert torch.equal(flat_weights(model), clean)
        elif end == "an error":
            with suppress(KeyError), optimizer.handle.clean():
                raise KeyError
        else:
            optimizer.handle.remove()
        assert torch.equal(flat_weights(model), clean)
    assert torch.equal(flat_weights(model), clean if end == "remove" else before)


def test_a_step_that_fails_takes_nothing_back_twice():
    model, optimizer = begun(WAYS["perturb adamax"], noise=pats.Noise(keep="anticorrelated", scale="lr"))
    twin, other, _ = copy.deepcopy((model, optimizer, optimizer.handle))
    other.param_groups[0]["lr"] = 0.0
    clean = stepped(twin, other, [3])
    good, optimizer.step = optimizer.step, None

    def broken(self, closure=None):
        raise RuntimeError("in the middle")

    optimizer.step = torch.optim.Optimizer.profile_hook_step(broken).__get__(optimizer)
    for _ in range(2):
        backward(model, 3)
        with pytest.raises(RuntimeError, match="in the middle"):
            optimizer.step()
        assert torch.equal(flat_weights(model), clean)
    optimizer.step = good


def test_a_skipped_step_leaves_the_noise_for_the_next():
    model, optimizer = begun(WAYS["perturb adamw, fused"])
    before = flat_weights(model)
    backward(model, 3)
    optimizer.grad_scale, optimizer.found_inf = torch.ones(()), torch.ones(())
    optimizer.step()
    assert torch.equal(flat_weights(model), before)
    del optimizer.grad_scale, optimizer.found_inf
    expected = stepped(*begun(WAYS["perturb adamw, fused"]), range(3, 6))
    assert torch.equal(stepped(model, optimizer, range(3, 6)), expected)


def test_a_matrix_with_a_gradient_that_is_not_finite_has_no_noise_until_the_next(make):
    model, optimizer = begun(make)
    backward(model, 3)
    weight = model.layers[0].linear.weight
    weight.grad[0, 0] = 1e38  # finite, but not times a weight of 10
    with torch.no_grad():
        weight[0, 0] = 1e3
    optimizer.step()
    assert drawn(optimizer.state[weight][KEY]) is None
    other = model.layers[1].linear.weight
    assert drawn(optimizer.state[other][KEY]) is not None


# ------------------------------------------------------------------------------- which path does it


def test_the_path_says_that_it_is_plain_torch():
    assert "keep" in kernels.info("cpu", "anticorrelated").why
    assert kernels.info("cpu", "anticorrelated").path == "eager"
    assert kernels.info("cpu") == kernels.info("cpu", "walk")
    weight = torch.zeros(3)
    noise = pats.Noise(keep="anticorrelated")
    job = kernels.MatrixJob(weight, weight, "w", 3, kernels.whole(3), noise, weight, last=nothing())
    path, why = kernels.choose_path(job, None)
    assert path is kernels.eager
    assert "keep" in why


def test_adamax_fused_is_refused_at_once():
    model = make_network()
    with pytest.raises(pats.InputError, match=r"fused=True cannot be had.*keep"):
        pats.optim.Adamax(pats.param_groups(model), lr=LR, noise=NOISE, fused=True)


def test_nobody_is_warned(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begun(make, steps=20)


@pytest.mark.parametrize(("start", "count"), [(0, 64), (3, 61), (2**34 + 1, 50), (5, 1), (8, 0)])
@pytest.mark.parametrize("p", [0.2, 1.0])
def test_the_words_in_c_are_those_in_torch(monkeypatch, start, count, p):
    last, _ = drawn(Drawn(pats.Noise(p=p), 9, 1.0, 1e-2, 1.0, (7, 2**32 - 1), 2**32 + 5).to_row(inside=True))
    average = torch.rand(count, generator=torch.Generator().manual_seed(0))
    pieces = (kernels.Piece(0, count, start, max(count, 1), max(count, 1)),)

    def found():
        gates = [index for _, index in kernels.eager.open_gates(last, pieces, average.device)]
        draws = [each[1:] for each in kernels.eager.draws(last, average, pieces)]
        return [*gates, *(tensor for draw in draws for tensor in draw)]

    here = found()
    monkeypatch.setattr("pats.kernels.cpu.library.LIBRARY", None)
    there = found()
    assert len(here) == len(there)
    assert all(map(torch.equal, here, there))
