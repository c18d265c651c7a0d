"""Everything around a training step: one table of situations, each run with every optimizer."""

import copy

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import pats
from support.small_network import backward, flat_weights, make_network

NOISE = pats.Noise.paper(lam=1e-4, seed=3)
LR = 1e-3


def perturbed(base, **options):
    def make(model, noise=NOISE, **more):
        optimizer = base(pats.param_groups(model), **{"lr": LR, **options, **more})
        pats.perturb(optimizer, model, noise)
        return optimizer

    return make


def ours(cls, **options):
    return lambda model, noise=NOISE, **more: cls(
        pats.param_groups(model), noise=noise, **{"lr": LR, **options, **more}
    )


OPTIMIZERS = {
    "perturb adamax": perturbed(torch.optim.Adamax),
    "perturb fused adamw": perturbed(torch.optim.AdamW, fused=True),
    "perturb sgd": perturbed(torch.optim.SGD),
    "adamax": ours(pats.optim.Adamax),
    "adamax, one by one": ours(pats.optim.Adamax, foreach=False),
    "adamw": ours(pats.optim.AdamW),
    "fused adamw": ours(pats.optim.AdamW, fused=True),
}


def batch(step, rows=8):
    generator = torch.Generator().manual_seed(1000 + step)
    return torch.randn(rows, 3, generator=generator, dtype=torch.float64).float()


def loss_of(model, x):
    return model(x).square().mean()


def run(make, prepare=lambda model: model, step=None, steps=4, **options):
    """Weights after a few steps; ``step(model, optimizer, t)`` says how each is made."""
    model = make_network()
    wrapped = prepare(model)
    optimizer = make(wrapped, **options)
    for t in range(steps):
        (step or plain_step)(wrapped, optimizer, t)
    assert {int(state["step"]) for state in optimizer.state.values()} == {steps}
    return flat_weights(model)


def plain_step(model, optimizer, t):
    optimizer.zero_grad()
    loss_of(model, batch(t)).backward()
    optimizer.step()


def accumulated(model, optimizer, t):
    """Four micro-batches; a factor of ¼ is exact, only the order of the sums differs."""
    optimizer.zero_grad()
    for part in batch(t).chunk(4):
        (loss_of(model, part) / 4).backward()
    optimizer.step()


def with_closure(model, optimizer, t):
    def closure():
        optimizer.zero_grad()
        loss = loss_of(model, batch(t))
        loss.backward()
        return loss

    assert optimizer.step(closure).ndim == 0


def scaled():
    """GradScaler whose third step overflows: it is skipped, and nothing is drawn or counted."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1000)

    def step(model, optimizer, t):
        for overflow in (True, False) if t == 2 else (False,):
            optimizer.zero_grad()
            loss = loss_of(model, batch(t)) * (float("inf") if overflow else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        assert scaler.get_scale() == (2.0**9 if t >= 2 else 2.0**10)

    return step


def unscaled():
    """As with clipping: gradients are unscaled before the step."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1000)

    def step(model, optimizer, t):
        optimizer.zero_grad()
        scaler.scale(loss_of(model, batch(t))).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()

    return step


def checkpointed(model):
    """Activations of every layer are computed again in the backward pass."""
    for layer in model.layers:
        forward = layer.forward
        layer.forward = lambda x, forward=forward: checkpoint(forward, x, use_reentrant=False)
    return model


def negated(model, optimizer, t):
    optimizer.zero_grad()
    (-loss_of(model, batch(t))).backward()
    optimizer.step()


# How the step is made, and the largest difference from the plain loop.
SITUATIONS = {
    "closure": (lambda: {"step": with_closure}, 0.0),
    "accumulation": (lambda: {"step": accumulated}, 1e-5),
    "loss scaling": (lambda: {"step": scaled()}, 0.0),
    "loss scaling, unscaled before": (lambda: {"step": unscaled()}, 0.0),
    "maximize": (lambda: {"step": negated, "maximize": True}, 0.0),
    "gradient checkpointing": (lambda: {"prepare": checkpointed}, 0.0),
    "a tensor as learning rate": (lambda: {"lr": torch.tensor(LR)}, 1e-7),
}


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_reaches_the_weights_of_the_plain_loop(name, situation):
    options, tolerance = SITUATIONS[situation]
    if situation == "a tensor as learning rate" and name in ("adamax", "perturb adamax"):
        pytest.skip("torch's foreach Adamax takes a tensor only with capturable=True")
    plain, other = run(OPTIMIZERS[name]), run(OPTIMIZERS[name], **options())
    assert (plain - other).abs().max() <= tolerance


def test_situations_are_told_apart():
    """The negative control: another batch, scale or sign does not reach the same weights."""
    plain = run(OPTIMIZERS["adamax"])
    for step in (negated, lambda model, optimizer, t: plain_step(model, optimizer, t + 1)):
        assert (run(OPTIMIZERS["adamax"], step=step) - plain).abs().max() > 1e-5


def test_compiled_model():
    """The names do not change, so the noise does not either."""
    plain = run(OPTIMIZERS["adamax"])
    compiled = run(OPTIMIZERS["adamax"], lambda model: torch.compile(model, backend="aot_eager"))
    assert (plain - compiled).abs().max() <= 1e-7


@pytest.mark.parametrize("name", ["perturb adamax", "adamax"])
def test_compiled_step(name):
    """What PATS adds stays out of the graph; torch's compiled update differs in the last bit."""
    torch._dynamo.reset()
    recompiled = torch._dynamo.utils.counters["recompiles"]

    def step(model, optimizer, t):
        if t == 0:
            optimizer.compiled = torch.compile(optimizer.step, backend="eager")
        optimizer.zero_grad()
        loss_of(model, batch(t)).backward()
        optimizer.compiled()

    plain, compiled = run(OPTIMIZERS[name]), run(OPTIMIZERS[name], step=step)
    assert (plain - compiled).abs().max() <= 2e-7
    assert not recompiled


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learning_rate_zero(name):
    """A first step of warm-up: the weights move by the noise alone, with scale="lr" not at all."""
    for noise, moves in ((NOISE, True), (pats.Noise(scale="lr", kappa=1.0), False)):
        model = make_network()
        before = flat_weights(model)
        optimizer = OPTIMIZERS[name](model, noise)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        backward(model, 0)
        optimizer.step()
        assert (not torch.equal(before, flat_weights(model))) == moves
        assert torch.isfinite(flat_weights(model)).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_group_added_later_is_perturbed(name):
    """Gradual unfreezing: the second layer is thawed after two steps."""
    model = make_network()
    late = list(model.layers[1].parameters())
    for parameter in late:
        parameter.requires_grad_(False)
    optimizer = OPTIMIZERS[name](model)
    weight = model.layers[1].linear.weight
    for step in range(4):
        if step == 2:
            for parameter in late:
                parameter.requires_grad_(True)
            inside = [group for group in pats.param_groups(model) if group["in_scope"]]
            names = [n for group in inside for n in group["param_names"] if n.startswith("layers.1")]
            named = dict(model.named_parameters())
            optimizer.add_param_group(
                {"params": [named[n] for n in names], "param_names": names, "in_scope": True}
            )
        backward(model, step)
        before = weight.detach().clone()
        optimizer.step()
        assert torch.equal(before, weight) == (step < 2)
    assert int(optimizer.state[weight]["step"]) == 2
    assert "sensitivity" in optimizer.state[weight]


def test_a_layer_thawed_in_place_is_perturbed():
    """The optimizer holds it all along; ``perturb`` finds that it trains now."""
    model = make_network()
    weight = model.layers[1].linear.weight
    weight.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    handle = pats.perturb(optimizer, model, NOISE)
    assert "layers.1.linear.weight" not in handle.names
    for step in range(4):
        weight.requires_grad_(step >= 2)
        backward(model, step)
        optimizer.step()
        assert ("layers.1.linear.weight" in handle.names) == (step >= 2)
    assert int(optimizer.state[weight]["step"]) == 2
    # Frozen again, it keeps its state and is left alone.
    weight.requires_grad_(False)
    backward(model, 4)
    before = weight.detach().clone()
    optimizer.step()
    assert torch.equal(before, weight)


def test_tied_weights_are_noised_once():
    model = make_network()
    model.layers[1].linear.weight = model.layers[0].linear.weight
    assert pats.scope(model, "linear.weight") == ["layers.0.linear.weight"]
    silent = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    pats.perturb(optimizer, model, pats.Noise(scale="constant", p=1.0), scope="linear.weight")
    backward(model, 0)
    optimizer.step()
    weight, before = model.layers[0].linear.weight, silent.layers[0].linear.weight
    state = optimizer.state[weight]
    r = 2e-6 * (
        state["sensitivity"].mean() / (state["sensitivity"] * 1.0 + 1e-2 * state["sensitivity"].mean())
    )
    drawn = pats.philox.draw(0, "layers.0.linear.weight", 1, 0, weight.numel(), 1.0).view_as(weight)
    expected = before + (r - 2e-6 * 2e-3).clamp(min=0).sqrt() * drawn
    torch.testing.assert_close(weight, expected.float(), rtol=1e-5, atol=1e-7)


def test_zero_adapters_do_not_blow_up():
    """LoRA's B starts at zero: no sensitivity, hence no noise in its first step, and little after it."""
    peft = pytest.importorskip("peft")
    model = make_network()
    model.config = None
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["linear"]))
    names = pats.scope(adapted)
    assert names
    assert all("lora_" in name for name in names)
    optimizer = torch.optim.Adamax(adapted.parameters(), lr=LR)
    pats.perturb(optimizer, adapted, pats.Noise.paper(p=1.0))
    named = dict(adapted.named_parameters())
    b = next(parameter for name, parameter in named.items() if "lora_B" in name)
    silent = copy.deepcopy(adapted)
    plain = torch.optim.Adamax(silent.parameters(), lr=LR)
    for step in range(3):
        for net, opt in ((adapted, optimizer), (silent, plain)):
            opt.zero_grad()
            loss_of(net, batch(step)).backward()
            opt.step()
        if step == 0:
            other = next(p for name, p in silent.named_parameters() if "lora_B" in name)
            assert torch.equal(b, other)
        assert torch.isfinite(b).all()
        assert b.abs().max() < 0.1
