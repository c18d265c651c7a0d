"""PATS against ``oracle.py``, which was written from the formulas alone."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

import pats
from support import oracle
from support.problem import (
    ADAMAX_PATHS,
    BASES,
    CONSTANT,
    LR,
    NOISES,
    ROWS,
    STEPS,
    ULP,
    account,
    assert_close,
    give_gradients,
    gradients_at,
    initial_weights,
    lr_at,
    model_of,
    numpy_of,
    ours_on,
    perturbed,
    sized,
    synchronise,
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """The matrices are small: threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CASES = [
    (base, path, row)
    for base, (_, paths, rows) in BASES.items()
    for path in paths
    for row in ROWS
    if row in rows
]


@functools.cache
def _expected(base, row):
    """Weights and sensitivities after every step, from the oracle."""
    noise, options = ROWS[row]
    weights = initial_weights()
    options = {"weight_decay": 0.0, **options}
    run = BASES[base][0](weights, LR, oracle.Noise(**noise), **options)
    trace = []
    for t in range(STEPS):
        run.lr = lr_at(t)
        run.step(gradients_at(weights, t))
        trace.append({n: (a.theta.copy(), a.sbar.copy()) for n, a in run.matrices.items()})
    return trace


@pytest.mark.parametrize(("base", "path", "row"), CASES)
def test_every_path_agrees_in_float64(base, path, row):
    noise, options = ROWS[row]
    weights = initial_weights()
    model = model_of(weights)
    options = {"lr": LR, "weight_decay": 0.0, **options}
    optimizer = BASES[base][1][path](model, pats.Noise(**noise), **options)
    tolerance = (1e-12 if path == "reference" else 1e-11) * (100 if noise.get("signed") else 1)
    for t, expected in enumerate(_expected(base, row)):
        for group in optimizer.param_groups:
            group["lr"] = lr_at(t)
        give_gradients(model, gradients_at(weights, t))
        optimizer.step()
        for name, parameter in model.named_parameters():
            theta, sbar = expected[name]
            assert_close(parameter, theta, tolerance)
            state = optimizer.state[parameter]
            if "sensitivity" in state:
                assert_close(state["sensitivity"], sbar, tolerance)
            else:
                assert not sbar.any()


@pytest.mark.parametrize("path", ADAMAX_PATHS)
def test_groups_carry_their_own_settings(path):
    weights = initial_weights()
    inside = [name for name in weights if name.startswith("layer.")]
    runs = [
        oracle.PATSAdamax({n: weights[n] for n in weights if n in inside}, LR, oracle.Noise(**CONSTANT)),
        oracle.PATSAdamax({n: weights[n] for n in weights if n not in inside}, LR, None),
    ]
    model = model_of(weights)
    optimizer = ADAMAX_PATHS[path](model, pats.Noise(**CONSTANT), scope=inside, lr=LR)
    for t in range(6):
        if t == 3:  # scheduled
            runs[0].noise = oracle.Noise(scale="constant", lam=1e-4, p=0.7, gamma=0.3)
            for group in optimizer.param_groups:
                group |= {"noise_lam": 1e-4, "noise_p": 0.7, "noise_gamma": 0.3}
        grads = gradients_at(weights, t)
        give_gradients(model, grads)
        optimizer.step()
        for run in runs:
            run.step(grads)
        for name, parameter in model.named_parameters():
            run = runs[name not in inside]
            assert_close(parameter, run.matrices[name].theta, 1e-11)


@pytest.mark.parametrize("path", ADAMAX_PATHS)
def test_matrices_larger_than_a_chunk(path):
    weights, noise = initial_weights(big=True), {"p": 0.5}
    run = oracle.PATSAdamax(weights, LR, oracle.Noise(**noise))
    model = model_of(weights)
    optimizer = ADAMAX_PATHS[path](model, pats.Noise(**noise), lr=LR)
    for t in range(2):
        run.step(gradients_at(weights, t))
        give_gradients(model, gradients_at(weights, t))
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert_close(parameter, run.matrices[name].theta, 1e-12)


# Two entries: θ·g overflows at a finite update; and values that reach the weight itself.
BROKEN = {"overflow": 1e307, "nan": math.nan, "inf": math.inf}


@pytest.mark.parametrize("path", ADAMAX_PATHS)
@pytest.mark.parametrize("value", BROKEN.values(), ids=list(BROKEN))
def test_a_non_finite_sensitivity_keeps_its_average_and_stops_the_noise(path, value):
    weights = initial_weights()
    weights["layer.0.weight"][3, 4] = 100.0
    model = model_of(weights)
    run = oracle.PATSAdamax(weights, LR, oracle.Noise())
    optimizer = ADAMAX_PATHS[path](model, pats.Noise(), lr=LR)
    for t in range(6):
        grads = gradients_at(weights, 10 + t)
        if t == 2:
            grads["layer.0.weight"][3, 4] = value
        run.step(grads)
        give_gradients(model, grads)
        optimizer.step()
        for name, parameter in model.named_parameters():
            assert_close(parameter, run.matrices[name].theta, 1e-11)
            assert_close(optimizer.state[parameter]["sensitivity"], run.matrices[name].sbar, 1e-11)
    skipped = {name: a.skipped for name, a in run.matrices.items()}
    assert skipped["layer.0.weight"] == (1 if value == 1e307 else 4)
    if hasattr(optimizer, "stats"):
        assert {name: told["skipped"] for name, told in optimizer.stats().items()} == skipped


@pytest.mark.parametrize("path", ADAMAX_PATHS)
@pytest.mark.parametrize("mode", ["absolute", "algorithm1", "relative"])
@pytest.mark.parametrize("eps", [0.0, 1e-8])
def test_zero_gradients_from_the_start_leave_every_bit(path, mode, eps):
    weights = {name: weight for name, weight in initial_weights().items() if weight.size}
    model = model_of(weights)
    optimizer = ADAMAX_PATHS[path](model, pats.Noise(eps=eps, eps_mode=mode, p=1.0), lr=LR)
    for _ in range(2):
        give_gradients(model, {name: np.zeros(weight.shape) for name, weight in weights.items()})
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert np.array_equal(numpy_of(parameter), weights[name]), name


# ------------------------------------------------------------------------------------ float32

FLOAT32 = [
    (base, path, row)
    for base, (_, paths, _) in BASES.items()
    for path in paths
    for row in ("default", "constant", "paper", "std", "std relative", "lr", "p 1", "gamma large", "signed")
    # Our fused AdamW under noise smaller than its update: nearer to the oracle than torch's own float32 is,
    # see test_every_entry_of_every_step_is_accurate in tests/optim/test_noisy.py.
    if (base, path, row) != ("adamw", "fused", "default")
]
TORCH = {"adamax": torch.optim.Adamax, "adamw": torch.optim.AdamW}


def _torchs_own_step(base, options, parameter, state, lr):
    """Torch's plain step on the same path from the same state."""
    twin = nn.Parameter(parameter.detach().clone())
    optimizer = TORCH[base]([twin], lr=lr, weight_decay=0.0, **options)
    if state:
        plain = {key: value.clone() for key, value in state.items() if key != "sensitivity"}
        optimizer.state[twin] = plain
    twin.grad = parameter.grad.clone()
    optimizer.step()
    return numpy_of(twin)


@pytest.mark.parametrize(("base", "path", "row"), FLOAT32)
def test_every_step_is_accurate_in_float32(base, path, row):
    """Against the oracle over the matrix; against torch's own step plus exact noise by entry.

    By entry torch's own Adamax is farther than the bound from the exact update wherever its first
    moment cancels, and the signed ratio has no bounded condition number; so the first comparison is
    by the matrix's largest values, without signed, and the second takes s̄ as it is stored.
    """
    noise, signed = oracle.Noise(**NOISES[row]), NOISES[row].get("signed")
    make, paths, _ = BASES[base]
    weights = initial_weights()
    model = model_of(weights, torch.float32)
    optimizer = paths[path](model, pats.Noise(**NOISES[row]), lr=LR, weight_decay=0.0)
    for t in range(8):
        lr = optimizer.param_groups[0]["lr"] = lr_at(t) / 10
        grads = gradients_at(weights, t, np.float32)
        give_gradients(model, grads)
        run = make({n: numpy_of(p) for n, p in model.named_parameters()}, lr, noise, weight_decay=0.0)
        theta = {name: np.abs(a.theta) for name, a in run.matrices.items()}
        own = {}
        for name, p in model.named_parameters():
            synchronise(run.matrices[name], optimizer.state.get(p))
            if p.grad is not None and path != "reference":
                state = optimizer.state.get(p)
                own[name] = _torchs_own_step(base, paths[path].keywords, p, state, lr)
        before = {name: a.sbar.copy() for name, a in run.matrices.items()}
        run.step(grads)
        optimizer.step()
        for name, p in model.named_parameters():
            a, grad = run.matrices[name], grads[name]
            if grad is None or not a.theta.size:
                continue
            state = optimizer.state[p]
            sbar = numpy_of(state["sensitivity"])
            if noise.accounted and not signed:
                np.testing.assert_allclose(account(state), (a.S, a.mean, a.F, a.size, a.E), rtol=1e-6)
            s = theta[name] * np.abs(grad)
            assert (np.abs(sbar - a.sbar) <= 4 * ULP * np.maximum(np.abs(before[name]), s)).all()
            if not signed:
                bound = max(np.max(x) for x in (theta[name], np.abs(a.delta), np.abs(a.q)))
                assert np.max(np.abs(numpy_of(p) - a.theta)) <= 4 * ULP * bound, (name, t)
            if name in own:
                z = oracle.draw(noise.seed, name, a.step, 0, a.theta.size, noise.p)
                q = noise.sigma(sbar, lr, np.float32, sized(noise, state), a.step) * z.reshape(sbar.shape)
                bound = np.maximum(np.maximum(theta[name], np.abs(a.delta)), np.abs(q))
                assert (np.abs(numpy_of(p) - (own[name] + q)) <= 4 * ULP * bound).all(), (name, t)


# ------------------------------------------------------------------------------------ torch's own bits

PLAIN = {
    "adamax": {
        "default": {},
        "decay": {"weight_decay": 0.1},
        "maximize": {"maximize": True},
        "decay, maximize": {"weight_decay": 0.1, "maximize": True},
        "capturable": {"capturable": False, "betas": (0.8, 0.99), "eps": 1e-4},
        "tensor lr": {"lr": torch.tensor(1e-2)},
    },
}
PLAIN["adamw"] = PLAIN["adamax"] | {
    "amsgrad": {"amsgrad": True},
    "amsgrad, maximize": {"amsgrad": True, "maximize": True, "weight_decay": 0.0},
}
IMPLEMENTATIONS = {
    "adamax": [{}, {"foreach": False}, {"foreach": True}],
    "adamw": [{}, {"foreach": False}, {"foreach": True}, {"fused": True}],
}
OURS = {"adamax": pats.optim.Adamax, "adamw": pats.optim.AdamW}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("base", "implementation", "row"),
    [(base, i, row) for base in PLAIN for i in IMPLEMENTATIONS[base] for row in PLAIN[base]],
    ids=str,
)
def test_no_noise_is_torchs_optimizer_bit_for_bit(base, implementation, row, dtype):
    weights = initial_weights()
    theirs, ours = model_of(weights, dtype), model_of(weights, dtype)
    options = {"lr": LR, **PLAIN[base][row], **implementation}
    try:
        reference = TORCH[base](theirs.parameters(), **options)
    except ValueError:  # a combination that torch refuses
        with pytest.raises(ValueError, match="lr"):
            OURS[base](ours.parameters(), noise=None, **options)
        return
    optimizer = OURS[base](ours.parameters(), noise=None, **options)
    for t in range(7):
        for model, stepper in ((theirs, reference), (ours, optimizer)):
            give_gradients(model, gradients_at(weights, t))
            stepper.step()
    for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.equal(p, q)
        assert optimizer.state[q].keys() == reference.state[p].keys()
        assert all(torch.equal(optimizer.state[q][k], v) for k, v in reference.state[p].items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("base", OURS)
@pytest.mark.parametrize("row", ["default", "signed", "lr", "decay, maximize"])
def test_perturb_on_torchs_optimizer_is_our_optimizer(base, foreach, row, dtype):
    noise, options = ROWS[row]
    weights = initial_weights()
    models = [model_of(weights, dtype) for _ in range(2)]
    settings = {"lr": LR, "foreach": foreach, **options}
    optimizers = [
        perturbed(TORCH[base], models[0], pats.Noise(**noise), **settings),
        ours_on(OURS[base], models[1], pats.Noise(**noise), **settings),
    ]
    for t in range(7):
        for model, optimizer in zip(models, optimizers, strict=True):
            give_gradients(model, gradients_at(weights, t))
            optimizer.step()
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(p, q)
        ours = optimizers[1].state[q]
        assert all(torch.equal(ours[key], value) for key, value in optimizers[0].state[p].items())
    assert not torch.equal(models[0].one, model_of(weights, dtype).one)
