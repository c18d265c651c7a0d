"""``keep="transient"`` in the ways in which people train, and who is refused."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import pats
from support.small_network import backward, flat_weights, make_network
from support.transient_noise import BASES, LOOKS, LR, NOISE, attached, inputs, look_again, saved, trained


def stepped(model, optimizer, numbers):
    for step in numbers:
        backward(model, step)
        optimizer.step()
    return flat_weights(model)


@pytest.fixture(scope="module")
def expected():
    model, optimizer, _ = attached()
    return stepped(model, optimizer, range(6))


def test_looking_at_it_does_not_change_the_training(expected):
    model, optimizer, _ = attached()
    for step in range(6):
        for look in LOOKS.values():
            look(model)
        loss = model(batch(step)).square().mean()
        for look in LOOKS.values():
            look(model)
        optimizer.zero_grad()
        loss.backward()  # finds the weights of its forward pass
        for look in LOOKS.values():
            look(model)
        optimizer.step()
    assert torch.equal(flat_weights(model), expected)


def batch(step):
    generator = torch.Generator().manual_seed(1000 + step)
    return torch.randn(8, 3, generator=generator, dtype=torch.float64).float()


@pytest.mark.parametrize("attach_first", [True, False], ids=["attached first", "loaded first"])
@pytest.mark.parametrize("between", [None, look_again], ids=["as it is", "looked at"])
def test_a_resumed_run_goes_on_to_the_bit(expected, attach_first, between):
    model, optimizer, _ = attached()
    stepped(model, optimizer, range(3))
    if between is not None:
        between(model)
    else:
        backward(model, 3)  # saved in the middle of a step
    kept = saved({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    again = make_network(seed=9)
    again.load_state_dict(kept["model"])
    other = BASES["adamw"](again)
    if attach_first:
        pats.perturb(other, again, NOISE)
        other.load_state_dict(kept["optimizer"])
        assert torch.equal(stepped(again, other, range(3, 6)), expected)
    else:
        other.load_state_dict(kept["optimizer"])
        with pytest.warns(UserWarning, match="noise of the last step was rounded"):
            pats.perturb(other, again, NOISE)
        stepped(again, other, range(3, 6))


def test_a_closure(expected):
    model, optimizer, _ = attached()
    for step in range(6):
        optimizer.step(lambda step=step: backward(model, step))
    assert torch.equal(flat_weights(model), expected)


def test_all_passes_of_a_step_see_the_same_weights():
    model, optimizer, _, _, noisy = trained()
    for step in range(3):
        backward(model, step)
        look_again(model)
    backward(model, 4)
    assert torch.equal(flat_weights(model), noisy)
    optimizer.step()


class Recomputed(nn.Module):
    """The small network, whose blocks, or the whole of which, are recomputed in the backward pass."""

    def __init__(self, network, reentrant):
        super().__init__()
        self.embed, self.layers, self.head = network.embed, network.layers, network.head
        self.reentrant = reentrant

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return self.head(x)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("look", [None, look_again], ids=["at once", "looked at in between"])
def test_recomputed_activations_are_those_of_the_same_weights(expected, reentrant, look):
    model = Recomputed(make_network(), reentrant)
    _, optimizer, _ = attached(model=model)
    for step in range(6):
        optimizer.zero_grad()
        loss = model(batch(step)).square().mean()
        if look is not None:
            look(model)
        loss.backward()
        optimizer.step()
    assert torch.equal(flat_weights(model), expected)


def test_the_whole_model_recomputed(expected):
    model, optimizer, _ = attached()
    for step in range(6):
        optimizer.zero_grad()
        checkpoint(model, batch(step), use_reentrant=False).square().mean().backward()
        optimizer.step()
    assert torch.equal(flat_weights(model), expected)
    x = batch(0).requires_grad_()
    loss = checkpoint(model, x, use_reentrant=True).square().mean()
    with pytest.raises(pats.InputError, match="use_reentrant=False"):
        loss.backward()
    assert torch.equal(flat_weights(model), expected)


def test_steps_that_gradscaler_skips_leave_the_noise_for_the_next(expected):
    model, optimizer, _ = attached()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    for step in range(6):
        for factor in (torch.inf, 1.0) if step == 3 else (1.0,):
            optimizer.zero_grad()
            scaler.scale(factor * model(batch(step)).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update(2.0**4)
    assert torch.allclose(flat_weights(model), expected, rtol=1e-5, atol=1e-7)


def test_tied_weights_get_it_once():
    model = make_network()
    model.layers[1].linear = model.layers[0].linear
    _, _, _, clean, _ = trained(model=model)
    look_again(model)
    assert torch.equal(flat_weights(model), clean)


def test_a_part_that_is_called_alone():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = make_network()

        def loss(self, x):
            return self.network(x).square().mean()

    model = Wrapped()
    _, optimizer, _ = attached(model=model)
    for step in range(3):
        optimizer.zero_grad()
        model.loss(batch(step)).backward()
        optimizer.step()
    clean = flat_weights(model)
    model.loss(batch(3)).backward()
    assert not torch.equal(flat_weights(model), clean)
    look_again(model.network)
    assert torch.equal(flat_weights(model), clean)


def test_half_precision_comes_back_to_the_bit():
    model, _, _, clean, _ = trained(model=make_network(dtype=torch.bfloat16))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    model.state_dict()
    assert torch.equal(flat_weights(model), clean)


def test_the_settings_of_a_checkpoint_decide():
    model, optimizer, _, clean, noisy = trained()
    kept = saved(optimizer.state_dict())
    again = make_network()
    again.load_state_dict(model.state_dict())
    other = BASES["adamw"](again)
    pats.perturb(other, again)
    with pytest.warns(UserWarning, match="noise_keep 'transient' instead of 'walk'"):
        other.load_state_dict(kept)
    backward(again, 4)
    assert torch.equal(flat_weights(again), noisy)
    # One of before there was such noise says that it stays.
    for group in kept["param_groups"]:
        del group["noise_keep"]
    for state in kept["state"].values():
        state.pop("noise_last", None)
    with pytest.warns(UserWarning, match="noise_keep 'walk' instead of 'transient'"):
        other.load_state_dict(kept)
    look_again(again)
    backward(again, 4)
    assert torch.equal(flat_weights(again), clean)


def test_stats_tell_what_is_there():
    model, _, handle, clean, noisy = trained()
    told = handle.stats()
    start = 0
    for name, parameter in model.named_parameters():
        part = slice(start, start := start + parameter.numel())
        if name in told:
            square = float((noisy[part] - clean[part]).double().square().mean())
            assert told[name]["noise_rms"] == pytest.approx(square**0.5, rel=1e-4)
            spread = told[name]["noise_rms"] / told[name]["accumulated"] if square else 1.0
            assert told[name]["accumulated"] == pytest.approx(square**0.5 / spread, rel=1e-4)


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


COMPILED = {
    "before": (lambda model: torch.compile(model, backend="eager"), True),
    "before, one graph": (lambda model: torch.compile(model, backend="eager", fullgraph=True), True),
    "after": (lambda model: torch.compile(model, backend="eager"), False),
    "in place": (compiled_in_place, False),
}


@pytest.mark.parametrize("way", COMPILED)
def test_a_compiled_model(expected, way):
    torch._dynamo.reset()
    compiled, attach_to_it = COMPILED[way]
    model = make_network()
    net = compiled(model)
    optimizer = BASES["adamw"](model)
    pats.perturb(optimizer, net if attach_to_it else model, NOISE)
    for step in range(6):
        optimizer.zero_grad()
        loss = net(batch(step)).square().mean()
        look_again(net)
        loss.backward()
        optimizer.step()
    assert torch.equal(flat_weights(model), expected)


# ------------------------------------------------------------------------------- who is refused


@pytest.mark.parametrize("make", [pats.optim.Adamax, pats.optim.AdamW, pats.optim.reference.PATSAdamax])
def test_an_optimizer_alone_is_refused(make):
    with pytest.raises(pats.InputError, match=r"keep is 'transient'.*pats\.perturb"):
        make(pats.param_groups(make_network()), lr=LR, noise=NOISE)
    model = make_network()
    optimizer = make(pats.param_groups(model), lr=LR, noise=pats.Noise())
    for group in optimizer.param_groups:
        group["noise_keep"] = "transient"
    backward(model, 0)
    before = flat_weights(model)
    with pytest.raises(pats.InputError, match=r"keep is 'transient'"):
        optimizer.step()
    assert torch.equal(flat_weights(model), before)


def test_noise_that_no_pass_meets_is_said():
    model, optimizer, _ = attached(noise=pats.Noise(keep="transient", scale="constant", lam=1e-4))
    stepped(model, optimizer, range(2))
    with pytest.warns(UserWarning, match="has met no training forward pass"):
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepped(model, optimizer, range(2))


def test_copies_of_data_parallel_are_refused():
    model, _, _, _, _ = trained()
    replica = model._replicate_for_data_parallel()
    replica.embed, replica.layers, replica.head = model.embed, model.layers, model.head
    with pytest.raises(pats.InputError, match=r"nn\.DataParallel"):
        replica(inputs())
