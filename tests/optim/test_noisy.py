"""``fused=`` of the optimizers: which path is taken, and every step of it against float64, entry by entry."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import pats
from pats.kernels.cpu import library
from support import oracle
from support.problem import (
    BASES,
    LR,
    ROWS,
    ULP,
    account,
    give_gradients,
    gradients_at,
    initial_weights,
    lr_at,
    model_of,
    numpy_of,
    ours_on,
    sized,
    synchronise,
)
from support.small_network import backward, flat_weights, make_network, train_copy

pytestmark = pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")

OURS = {"adamax": pats.optim.Adamax, "adamw": pats.optim.AdamW}
SECOND = {"adamax": "exp_inf", "adamw": "exp_avg_sq"}
NOISE = pats.Noise.paper(lam=1e-4, seed=3)


def _synchronised(run, model, optimizer):
    """The oracle's matrices, moved to where the library stands."""
    for name, parameter in model.named_parameters():
        run.matrices[name].theta = numpy_of(parameter)
        synchronise(run.matrices[name], optimizer.state.get(parameter))


# Noise that does not stay is not the kernel's: it is drawn once more in torch (tests/test_last.py).
STRICT = [
    (base, row)
    for base in OURS
    for row in ROWS
    if row in BASES[base][2] and ROWS[row][0].get("keep", "walk") == "walk"
]


@pytest.mark.parametrize(("base", "row"), STRICT)
def test_every_entry_of_every_step_is_accurate(base, row):
    """Odd sizes, one element, none, no dimension, transposed; missing, zero and dead gradients."""
    settings, options = ROWS[row]
    noise, options = oracle.Noise(**settings), {"weight_decay": 0.0, **options}
    weights = initial_weights()
    model = model_of(weights, torch.float32)
    optimizer = ours_on(OURS[base], model, pats.Noise(**settings), lr=LR, fused=True, **options)
    run = BASES[base][0]({n: numpy_of(p) for n, p in model.named_parameters()}, LR, noise, **options)
    for t in range(8):
        lr = optimizer.param_groups[0]["lr"] = run.lr = lr_at(t) / 10
        grads = gradients_at(weights, t, np.float32)
        give_gradients(model, grads)
        _synchronised(run, model, optimizer)
        before = {name: (np.abs(a.theta), np.abs(a.sbar)) for name, a in run.matrices.items()}
        run.step(grads)
        optimizer.step()
        for name, p in model.named_parameters():
            a, grad = run.matrices[name], grads[name]
            if grad is None or not a.theta.size:
                continue
            theta, average = before[name]
            state = optimizer.state[p]
            sbar = numpy_of(state["sensitivity"])
            if noise.scale == "budget" and not noise.signed:  # the mean of signed entries cancels
                np.testing.assert_allclose(account(state), (a.S, a.mean, a.F, a.size, a.E), rtol=1e-6)
            assert (np.abs(sbar - a.sbar) <= 4 * ULP * np.maximum(average, theta * np.abs(grad))).all()
            # The noise that belongs to s̄ as it is stored: the ratio of Eq. 4 magnifies its rounding.
            z = oracle.draw(noise.seed, name, a.step, 0, a.theta.size, noise.p)
            q = noise.sigma(sbar, lr, np.float32, sized(noise, state), a.step) * z.reshape(sbar.shape)
            bound = np.maximum(np.maximum(theta, np.abs(a.delta)), np.abs(q))
            assert (np.abs(numpy_of(p) - (a.theta - a.q + q)) <= 4 * ULP * bound).all(), (name, t)


@pytest.mark.parametrize("base", OURS)
@pytest.mark.parametrize("value", [1e38, math.nan, math.inf, -math.inf])
def test_a_non_finite_sensitivity_keeps_its_average_and_stops_the_noise(base, value):
    model, twin = make_network(), make_network()
    optimizer = OURS[base](pats.param_groups(model), lr=LR, fused=True, noise=NOISE)
    plain = OURS[base](pats.param_groups(twin), lr=LR, foreach=False, noise=NOISE)
    broken = "layers.0.linear.weight"
    for step in range(4):
        backward(model, step)
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            q.grad = p.grad.clone()
        for net in (model, twin):
            if step == 2:
                with torch.no_grad():
                    net.get_parameter(broken)[1, 2] = 1e2
                net.get_parameter(broken).grad[1, 2] = value
        optimizer.step()
        plain.step()
        close = {"rtol": 1e-5, "atol": 1e-7, "equal_nan": True}
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p, q, **close)
            for key in optimizer.state[p]:
                torch.testing.assert_close(optimizer.state[p][key], plain.state[q][key], **close)
        if not all(p.isfinite().all() for p in model.parameters()):
            break
    skipped = {name: row["skipped"] for name, row in optimizer.stats().items()}
    assert skipped == {name: row["skipped"] for name, row in plain.stats().items()}
    assert skipped[broken] == 1


VIEWS = {
    "unaligned": lambda: torch.zeros(100)[1:100],
    "row of a larger": lambda: torch.zeros(5, 60)[2],
    "column": lambda: torch.zeros(60, 3)[:, 1],
    "every second": lambda: torch.zeros(8, 20)[:, ::2],
    "transposed": lambda: torch.zeros(8, 20).t(),
}


@pytest.mark.parametrize("base", OURS)
@pytest.mark.parametrize("view", VIEWS)
def test_views_and_unaligned_storage(base, view):
    models = []
    for make in (VIEWS[view], lambda: torch.zeros(VIEWS[view]().shape)):
        model = nn.Module()
        storage = make()
        with torch.no_grad():
            storage.copy_(torch.randn(storage.shape, generator=torch.Generator().manual_seed(0)) * 0.05)
        model.weight = nn.Parameter(storage)
        optimizer = OURS[base](pats.param_groups(model, scope="all"), lr=LR, fused=True, noise=NOISE)
        for step in range(3):
            generator = torch.Generator().manual_seed(step)
            model.weight.grad = torch.empty_like(model.weight).copy_(
                torch.randn(storage.shape, generator=generator)
            )
            optimizer.step()
        models.append(model)
    assert torch.equal(models[0].weight, models[1].weight)


def test_mixed_dtypes_in_one_group():
    """Each as if it were alone: float64 goes torch's way, the others through the kernel."""
    dtypes = [torch.float32, torch.bfloat16, torch.float64, torch.float16]

    def made(chosen):
        model = nn.Module()
        for dtype in chosen:
            tensor = torch.randn(6, 7, generator=torch.Generator().manual_seed(1)).to(dtype)
            model.register_parameter("w_" + str(dtype)[6:], nn.Parameter(tensor))
        optimizer = pats.optim.Adamax(pats.param_groups(model, scope="all"), lr=LR, noise=NOISE)
        for step in range(3):
            for p in model.parameters():
                p.grad = torch.randn(6, 7, generator=torch.Generator().manual_seed(step)).to(p.dtype)
            optimizer.step()
        return model, optimizer

    together, optimizer = made(dtypes)
    assert set(optimizer.stats()) == {f"w_{str(dtype)[6:]}" for dtype in dtypes}
    for dtype in dtypes:
        name = "w_" + str(dtype)[6:]
        assert torch.equal(together.get_parameter(name), made([dtype])[0].get_parameter(name))


@pytest.mark.parametrize("base", OURS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_gradient_that_comes_later_and_frozen_layers(base, dtype):
    model = make_network(dtype=dtype)
    optimizer = OURS[base](pats.param_groups(model), lr=LR, fused=True, noise=NOISE)
    late, frozen = model.layers[1].linear.weight, model.layers[0].linear.bias
    for step in range(6):
        backward(model, step)
        if step < 2:
            late.grad = None
        if step in (2, 3):
            frozen.grad = None
        before = flat_weights(model)
        optimizer.step()
        assert not torch.equal(before, flat_weights(model))
    assert [int(optimizer.state[p]["step"]) for p in (late, frozen, model.head.weight)] == [4, 4, 6]


@pytest.mark.parametrize("base", OURS)
def test_none_takes_the_kernel_and_says_no_with_foreach(base):
    def run(**more):
        model, optimizer = train_copy(
            make_network(), lambda m: OURS[base](pats.param_groups(m), lr=LR, **more)
        )
        return flat_weights(model), optimizer

    fused = run(noise=NOISE, fused=True)[0]
    assert torch.equal(run(noise=NOISE)[0], fused)
    for other in ({"fused": False}, {"foreach": False}, {"foreach": True}):
        plain = run(noise=NOISE, **other)[0]
        assert not torch.equal(plain, fused)
        torch.testing.assert_close(plain, fused, rtol=1e-5, atol=1e-7)
    torchs = {"adamax": torch.optim.Adamax, "adamw": torch.optim.AdamW}[base]
    model, _ = train_copy(make_network(), lambda m: torchs(m.parameters(), lr=LR))
    assert torch.equal(run()[0], flat_weights(model))


def test_fused_adamax_without_noise_stays_near_torch():
    model, twin = make_network(), make_network()
    ours = pats.optim.Adamax(model.parameters(), lr=LR, fused=True)
    theirs = torch.optim.Adamax(twin.parameters(), lr=LR)
    for step in range(5):
        with torch.no_grad():
            for p, q in zip(model.parameters(), twin.parameters(), strict=True):
                p.copy_(q)
                for key in ("exp_avg", "exp_inf"):
                    if step:
                        ours.state[p][key].copy_(theirs.state[q][key])
        backward(model, step)
        backward(twin, step)
        size = flat_weights(twin).abs().clamp(min=LR)
        ours.step()
        theirs.step()
        assert ((flat_weights(model) - flat_weights(twin)).abs() <= 2 * 2.0**-23 * size).all()


@pytest.mark.parametrize("base", OURS)
@pytest.mark.parametrize(("one", "other"), [({"fused": True}, {"foreach": True}), ({"foreach": True}, {})])
def test_a_checkpoint_goes_on_on_the_other_path(base, one, other):
    alone, _ = train_copy(
        make_network(), lambda m: OURS[base](pats.param_groups(m), lr=LR, noise=NOISE), steps=6
    )
    model, first = train_copy(
        make_network(), lambda m: OURS[base](pats.param_groups(m), lr=LR, noise=NOISE, **one), steps=3
    )
    second = OURS[base](pats.param_groups(model), lr=LR, noise=NOISE, **other)
    state = copy.deepcopy(first.state_dict())
    second.load_state_dict(state)
    for step in range(3, 6):
        backward(model, step)
        second.step()
    torch.testing.assert_close(flat_weights(alone), flat_weights(model), rtol=1e-5, atol=1e-7)


def test_stochastic_rounding_needs_its_names_and_a_seed_decides_it():
    def run(seed):
        make = lambda m: pats.optim.Adamax(  # noqa: E731
            pats.param_groups(m), lr=LR, noise=pats.Noise(seed=seed, budget=0.0), stochastic_rounding=True
        )
        return flat_weights(train_copy(make_network(dtype=torch.bfloat16), make)[0])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    with pytest.raises(pats.InputError, match="parameter's name"):
        pats.optim.Adamax(make_network(dtype=torch.bfloat16).parameters(), stochastic_rounding=True)
    with pytest.raises(pats.InputError, match="foreach=True"):
        pats.optim.AdamW(pats.param_groups(make_network()), foreach=True, stochastic_rounding=True)


@pytest.mark.parametrize("noise", [None, NOISE], ids=["no noise", "noise"])
def test_true_raises_where_it_cannot_be_had(noise, monkeypatch):
    groups = lambda dtype: pats.param_groups(make_network(dtype=dtype))  # noqa: E731
    with pytest.raises(pats.InputError, match=r"fused=True cannot be had: .* not torch\.float64 on cpu"):
        pats.optim.Adamax(groups(torch.float64), fused=True, noise=noise)
    with pytest.raises(pats.InputError, match="contradict"):
        pats.optim.Adamax(groups(torch.float32), fused=True, foreach=True, noise=noise)
    model = make_network()
    optimizer = pats.optim.Adamax(pats.param_groups(model), fused=True, noise=noise)
    model.double()
    backward(model, 0)
    with pytest.raises(pats.InputError, match="fused=True cannot be had for"):
        optimizer.step()
    monkeypatch.setenv("PATS_KERNEL", "eager")
    with pytest.raises(pats.InputError, match="PATS_KERNEL asks for eager"):
        pats.optim.Adamax(groups(torch.float32), fused=True, noise=noise)
    monkeypatch.delenv("PATS_KERNEL")
    monkeypatch.setattr(library, "LIBRARY", None)
    with pytest.raises(pats.InputError, match="has not been built"):
        pats.optim.Adamax(groups(torch.float32), fused=True, noise=noise)
    train_copy(
        make_network(), lambda m: pats.optim.Adamax(pats.param_groups(m), noise=noise)
    )  # None falls back


REFUSED = {
    "without a scope": ({"param_names": ["c"]}, "needs names and in_scope"),
    "a twin": (
        {"param_names": ["layers.0.linear.weight"], "in_scope": True},
        "twice|two parameters|same name",
    ),
    "complex": ({"param_names": ["c"], "in_scope": True, "complex": True}, "noise is for real numbers"),
    "transient": ({"param_names": ["c"], "in_scope": True, "noise_keep": "transient"}, "transient"),
}


@pytest.mark.parametrize("base", OURS)
@pytest.mark.parametrize("what", REFUSED)
def test_a_group_that_is_refused_is_not_there(base, what):
    more, said = REFUSED[what]
    model = make_network()
    optimizer = OURS[base](pats.param_groups(model), lr=LR, noise=NOISE)
    dtype = torch.complex64 if more.get("complex") else torch.float32
    parameter = nn.Parameter(torch.ones(3, dtype=dtype))
    before = len(optimizer.param_groups)
    with pytest.raises(pats.InputError, match=said):
        optimizer.add_param_group(
            {"params": [parameter], **{k: v for k, v in more.items() if k != "complex"}}
        )
    assert len(optimizer.param_groups) == before
    backward(model, 0)
    optimizer.step()
