import math

import pytest
import torch
from torch import nn

import pats
from support.small_network import backward, flat_weights, make_network, train_copy

NOISE = pats.Noise.paper(lam=1e-4, seed=3)
LR = 1e-3

# Base optimizers, and what pats.optim offers for them.
BASES = {
    "adamax": (torch.optim.Adamax, pats.optim.Adamax),
    "adamw": (torch.optim.AdamW, pats.optim.AdamW),
    "sgd": (torch.optim.SGD, None),
    "momentum": (lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), None),
    "rmsprop": (torch.optim.RMSprop, None),
    "adagrad": (torch.optim.Adagrad, None),
    "adadelta": (torch.optim.Adadelta, None),
}


def perturbed(base, noise=NOISE, **more):
    def make(model):
        optimizer = base(model.parameters(), lr=LR)
        optimizer.handle = pats.perturb(optimizer, model, noise, **more)
        return optimizer

    return make


@pytest.mark.parametrize("name", BASES)
def test_any_base_optimizer(name):
    base, ours = BASES[name]
    plain, _ = train_copy(make_network(), lambda m: base(m.parameters(), lr=LR))
    noisy, optimizer = train_copy(make_network(), perturbed(base))
    inside = set(optimizer.handle.names)
    for (path, p), q in zip(noisy.named_parameters(), plain.parameters(), strict=True):
        assert torch.isfinite(p).all()
        assert torch.equal(p, q) == (False if path in inside else torch.equal(p, q)), path
        if path in inside:
            state = optimizer.state[p]
            assert int(state["step"]) == 5
            assert state["sensitivity"].shape == p.shape
    if ours is not None:
        same, _ = train_copy(
            make_network(), lambda m: ours(pats.param_groups(m), lr=LR, foreach=False, noise=NOISE)
        )
        assert torch.equal(flat_weights(noisy), flat_weights(same))


@pytest.mark.parametrize("off", [{"lam": 0.0}, {"p": 0.0}, {"gamma": 1e30}])
def test_no_noise_is_the_base_optimizer_bit_for_bit(off):
    plain, _ = train_copy(make_network(), lambda m: torch.optim.Adamax(m.parameters(), lr=LR))
    silent, _ = train_copy(make_network(), perturbed(torch.optim.Adamax, pats.Noise.paper(**off)))
    assert torch.equal(flat_weights(plain), flat_weights(silent))


def test_closure_is_measured_after_it_ran():
    plain, _ = train_copy(make_network(), perturbed(torch.optim.Adamax))
    model = make_network()
    optimizer = perturbed(torch.optim.Adamax)(model)
    for step in range(5):
        if step % 2:
            optimizer.step(lambda step=step: backward(model, step))
        else:
            loss = optimizer.step(closure=lambda step=step: backward(model, step))
            assert loss.ndim == 0
    assert torch.equal(flat_weights(plain), flat_weights(model))


def test_an_optimizer_that_calls_its_closure_twice_is_refused():
    model = make_network()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=LR, max_iter=4)
    pats.perturb(optimizer, model, NOISE)
    with pytest.raises(RuntimeError, match="LBFGS evaluates its closure more than once"):
        optimizer.step(lambda: backward(model, 0))


def test_nothing_is_written_before_the_base_optimizer_has_initialised():
    model = make_network()
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR)
    pats.perturb(optimizer, model, NOISE)
    sizes = []
    optimizer.register_step_pre_hook(lambda o, a, k: sizes.append(len(o.state)))
    backward(model, 0)
    optimizer.step()
    assert sizes == [0]
    assert "exp_avg" in optimizer.state[model.layers[0].linear.weight]


def test_grad_scale_divides_and_found_inf_skips():
    """A fused optimizer under GradScaler unscales the gradients itself, and skips the step itself."""
    base = lambda p, lr: torch.optim.AdamW(p, lr=lr, fused=True)  # noqa: E731
    expected, _ = train_copy(make_network(), perturbed(base), steps=2)
    model = make_network()
    optimizer = perturbed(base)(model)
    for step, overflow in ((0, True), (0, False), (1, True), (1, False)):
        backward(model, step)
        for parameter in model.parameters():
            parameter.grad.mul_(1024.0)
        optimizer.grad_scale, optimizer.found_inf = torch.tensor(1024.0), torch.tensor(float(overflow))
        before = flat_weights(model)
        optimizer.step()
        assert torch.equal(before, flat_weights(model)) == overflow
    assert torch.equal(flat_weights(expected), flat_weights(model))


def test_wrapped_optimizers_are_unwrapped():
    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer

    model = make_network()
    inner = torch.optim.Adamax(model.parameters(), lr=LR)
    pats.perturb(Wrapper(Wrapper(inner)), model, NOISE)
    assert inner.param_groups[0]["noise_lam"] == 1e-4
    with pytest.raises(pats.InputError, match="needs a torch optimizer, not a str"):
        pats.perturb("adam", model)


def test_parameters_are_found_by_name_after_they_were_replaced():
    model = make_network()
    optimizer = torch.optim.Adamax(pats.param_groups(model), lr=LR)
    handle = pats.perturb(optimizer, model, NOISE)
    for group in optimizer.param_groups:
        group["params"] = [nn.Parameter(p.detach().clone()) for p in group["params"]]
        for p in group["params"]:
            p.grad = torch.ones_like(p)
    optimizer.step()
    assert set(handle.stats()) == set(handle.names)


def test_a_parameter_in_scope_but_not_in_the_groups_raises():
    model = make_network()
    optimizer = torch.optim.Adamax(model.head.parameters(), lr=LR)
    with pytest.raises(pats.InputError, match=r"layers\.0\.linear\.weight.*not among the optimizer's"):
        pats.perturb(optimizer, model, NOISE)


def test_twice_is_refused_and_remove_restores_the_base_optimizer():
    model = make_network()
    optimizer = perturbed(torch.optim.Adamax)(model)
    with pytest.raises(pats.InputError, match="carries PATS already"):
        pats.perturb(optimizer, model)
    optimizer.handle.remove()
    optimizer.handle.remove()
    assert not any(key.startswith("noise_") for key in optimizer.param_groups[0])
    for step in range(5):
        backward(model, step)
        optimizer.step()
    plain, _ = train_copy(make_network(), lambda m: torch.optim.Adamax(m.parameters(), lr=LR))
    assert torch.equal(flat_weights(model), flat_weights(plain))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_gradient_costs_one_matrix_its_noise_once(bad):
    model = make_network()
    optimizer = perturbed(torch.optim.SGD)(model)
    backward(model, 0)
    optimizer.step()
    weight = model.layers[0].linear.weight
    old = optimizer.state[weight]["sensitivity"].clone()
    backward(model, 1)
    weight.grad[2, 3] = bad
    optimizer.param_groups[0]["lr"] = 0.0
    with torch.no_grad():
        before = weight.clone()
    optimizer.step()
    new = optimizer.state[weight]["sensitivity"]
    assert new[2, 3] == old[2, 3]
    assert torch.isfinite(new).all()
    assert (new != old).sum() >= new.numel() - 1 - (weight == 0).sum()
    untouched = torch.ones_like(weight, dtype=torch.bool)
    untouched[2, 3] = False  # 0 · inf in the base update
    assert torch.equal(before[untouched], weight[untouched])
    skipped = {name: row["skipped"] for name, row in optimizer.handle.stats().items()}
    assert skipped.pop("layers.0.linear.weight") == 1
    assert set(skipped.values()) == {0}


def test_no_gradient_at_all_warns_once():
    model = make_network()
    optimizer = perturbed(torch.optim.Adamax)(model)
    with pytest.warns(UserWarning, match="no gradient in any parameter in scope"):
        optimizer.step()
    optimizer.step()


def test_the_noise_leaves_torch_generators_alone():
    before = torch.get_rng_state()
    train_copy(make_network(), perturbed(torch.optim.Adamax))
    assert torch.equal(before, torch.get_rng_state())


def test_stats_tell_what_was_added():
    noise = pats.Noise(scale="constant", p=0.5, lam=1e-6, seed=1)
    model, optimizer = train_copy(make_network(width=64), perturbed(torch.optim.Adamax, noise), steps=3)
    row = optimizer.handle.stats()["layers.1.linear.weight"]
    assert abs(row["gated"] - 0.5) < 0.05
    assert row["zero"] == 0.0
    assert 0 < row["noise_rms"] < row["sigma_max"] <= 10 * math.sqrt(1e-6)  # relative eps of 1e-2
    assert row["noise_over_weight"] == pytest.approx(
        row["noise_rms"] / model.layers[1].linear.weight.detach().double().std().item()
    )


def test_settings_in_the_group_can_be_scheduled():
    model = make_network()
    optimizer = perturbed(torch.optim.SGD)(model)
    optimizer.param_groups[0]["noise_lam"] = 0.0
    backward(model, 0)
    optimizer.step()
    assert all(row["noise_rms"] == 0 for row in optimizer.handle.stats().values())
    optimizer.param_groups[0]["noise_beta"] = 1.0
    with pytest.raises(pats.InputError, match=r"beta is 1\.0, but must be at least 0 and below 1"):
        optimizer.step()


def test_lr_scale_follows_the_schedule():
    noise = pats.Noise(scale="lr", kappa=2.0)
    rms = {}
    for lr in (1e-3, 1e-4, 0.0):
        model = make_network(width=64)
        optimizer = torch.optim.Adamax(model.parameters(), lr=torch.tensor(lr) if lr else lr)
        handle = pats.perturb(optimizer, model, noise)
        backward(model, 0)
        optimizer.step()
        rms[lr] = handle.stats()["layers.0.linear.weight"]["noise_rms"]
    assert rms[1e-3] == pytest.approx(10 * rms[1e-4], rel=1e-4)
    assert rms[0.0] == 0.0
