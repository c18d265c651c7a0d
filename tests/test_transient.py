"""``keep="transient"``: there for the passes of training, and nowhere else."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import pats
from support import oracle
from support.small_network import backward, flat_weights, make_network

LR = 1e-2
NOISE = pats.Noise(keep="transient", budget=0.3, seed=3)
BASES = {
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=LR),
    "adamax, ours": lambda model: pats.optim.Adamax(pats.param_groups(model), lr=LR, foreach=False),
    "momentum": lambda model: torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9),
}


def attached(base="adamw", noise=NOISE, model=None, **options):
    model = make_network() if model is None else model
    optimizer = BASES[base](model)
    return model, optimizer, pats.perturb(optimizer, model, noise, **options)


def trained(steps=4, **given):
    """A model between two steps, its clean weights, and those with the noise in, which is there now."""
    model, optimizer, handle = attached(**given)
    for step in range(steps):
        backward(model, step)
        optimizer.step()
    clean = flat_weights(model)
    backward(model, steps)
    noisy = flat_weights(model)
    assert not torch.equal(clean, noisy)
    return model, optimizer, handle, clean, noisy


def inputs():
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(7))


# ------------------------------------------------------------------------------- what it computes


class Linear(nn.Module):
    """Its gradient can be written down: mean((X Wᵀ + b - Y)²)."""

    def __init__(self, weights):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.tensor(weights[name])) for name in ("weight", "bias"))

    def forward(self, x):
        return x @ self.weight.T + self.bias


SETTINGS = {
    "default": {"budget": 0.5},
    "steps": {"budget": 0.3, "steps": 9, "p": 1.0},
    "std": {"budget": 0.5, "intensity": "std", "signed": True},
    "constant": {"scale": "constant", "lam": 1e-2, "eps": 1e-8, "eps_mode": "absolute"},
    "lr": {"scale": "lr", "kappa": 3.0},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_it_is_the_formula(settings):
    rng = np.random.default_rng(0)
    weights = {"weight": rng.standard_normal((6, 5)), "bias": 0.1 * rng.standard_normal(6)}
    run = oracle.PATSAdamax(weights, LR, oracle.Noise(keep="transient", **settings))
    model = Linear(weights)
    optimizer = torch.optim.Adamax(model.parameters(), lr=LR, weight_decay=0.0)
    pats.perturb(optimizer, model, pats.Noise(keep="transient", **settings), scope="all")
    for _ in range(12):
        x, y = rng.standard_normal((8, 5)), rng.standard_normal((8, 6))
        weight, bias = run.present("weight"), run.present("bias")
        slope = 2 * (x @ weight.T + bias - y) / y.size
        optimizer.zero_grad()
        (model(torch.tensor(x)) - torch.tensor(y)).square().mean().backward()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), run.present(name), rtol=1e-11, atol=1e-13)
        run.step({"weight": slope.T @ x, "bias": slope.sum(0)})
        optimizer.step()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(
                parameter.detach().numpy(), run.matrices[name].theta, rtol=1e-11, atol=1e-13
            )
    assert any(matrix.q.any() for matrix in run.matrices.values()) or settings.get("steps")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("neutral", [{"budget": 0.0}, {"p": 0.0}], ids=str)
def test_without_noise_it_is_plain_training(base, neutral):
    model, optimizer, handle = attached(base, pats.Noise(keep="transient", **neutral))
    plain = make_network()
    other = BASES[base](plain)
    for step in range(4):
        for net, its in ((model, optimizer), (plain, other)):
            backward(net, step)
            its.step()
        assert torch.equal(flat_weights(model), flat_weights(plain))
    assert all(numbers["noise_rms"] == 0 for numbers in handle.stats().values())


def rms(noise, steps=25):
    """The noise that the passes see over the spread of the weights at first, mean square over steps."""
    model = make_network(width=40)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    pats.perturb(optimizer, model, noise, scope=r"linear\.weight")
    watched = {name: p for name, p in model.named_parameters() if "linear.weight" in name}
    spread = {name: float(p.detach().double().std()) for name, p in watched.items()}
    squares = []
    for step in range(steps):
        before = {name: p.detach().clone() for name, p in watched.items()}
        backward(model, step)
        if step > 3:  # the sensitivities of the first steps are few
            squares += [
                float((p.detach() - before[name]).double().square().mean()) / spread[name] ** 2
                for name, p in watched.items()
            ]
        optimizer.step()
    return (sum(squares) / len(squares)) ** 0.5


def test_its_size_is_the_budget():
    assert rms(pats.Noise(keep="transient", p=0.5)) == pytest.approx(0.02, rel=0.06)
    assert rms(pats.Noise(keep="transient", budget=0.1, p=0.5, intensity="std")) == pytest.approx(
        0.1, rel=0.06
    )
    faded = rms(pats.Noise(keep="transient", p=0.5, steps=25))
    assert 0.2 * 0.02 < faded < 0.6 * 0.02  # the root of the mean of ((T-t+1)/T)² from t = 4 on is 0.49


def test_noise_that_stays_has_no_such_size():
    """The control: nothing goes in before a forward pass."""
    assert rms(pats.Noise(p=0.5)) == 0


# ------------------------------------------------------------------------------- where it leaves no trace


def look_again(model):
    """A pass without gradients."""
    with torch.no_grad():
        model(inputs())


def evaluated(model):
    model.eval()
    model(inputs())
    model.train()


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


LOOKS = {
    "eval": evaluated,
    "no_grad": look_again,
    "inference_mode": torch.inference_mode()(lambda model: model(inputs())),
    "state_dict": lambda model: model.state_dict(),
    "state_dict of a part": lambda model: model.layers[1].state_dict(),
    "deepcopy": copy.deepcopy,
    "deepcopy of a part": lambda model: copy.deepcopy(model.layers[0].linear),
    "pickle": pickle.dumps,
    "torch.save": saved,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_nobody_who_looks_sees_it(look):
    model, _, _, clean, noisy = trained()
    look(model)
    assert torch.equal(flat_weights(model), clean)
    backward(model, 4)
    assert torch.equal(flat_weights(model), noisy)


def test_an_evaluation_computes_with_the_clean_weights():
    model, _, _, clean, _ = trained()
    twin = make_network()
    nn.utils.vector_to_parameters(clean, twin.parameters())
    for net in (model, twin):
        net.eval()
    assert torch.equal(model(inputs()), twin(inputs()))


def watched(module):
    """Whether anything of ours is left on a module."""
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks")
    return any(getattr(module, name) for name in hooks) or "__reduce_ex__" in vars(module)


@pytest.mark.parametrize("clone", [copy.deepcopy, saved], ids=["deepcopy", "torch.save"])
def test_a_copy_is_a_model_like_any_other(clone):
    model, _, _, clean, _ = trained()
    twin = clone(model)
    assert torch.equal(flat_weights(twin), clean)
    backward(twin, 4)
    assert torch.equal(flat_weights(twin), clean)
    assert not any(map(watched, twin.modules()))


@pytest.mark.parametrize("clone", [copy.deepcopy, saved], ids=["deepcopy", "torch.save"])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)], ids=str)
def test_a_copy_of_all_goes_on_to_the_bit(clone, order):
    given = trained()
    copies = dict(zip(order, clone(tuple(given[i] for i in order)), strict=True))
    for model, optimizer in ((given[0], given[1]), (copies[0], copies[1])):
        for step in range(4, 7):
            backward(model, step)
            optimizer.step()
    assert torch.equal(flat_weights(copies[0]), flat_weights(given[0]))


def test_remove_leaves_no_trace_and_no_hook():
    model, optimizer, handle, clean, _ = trained()
    handle.remove()
    assert torch.equal(flat_weights(model), clean)
    assert not any(map(watched, model.modules()))
    assert "__reduce_ex__" not in vars(optimizer)
    assert not any("noise_last" in state for state in optimizer.state.values())
    backward(model, 4)
    assert torch.equal(flat_weights(model), clean)


def test_clean_is_without_it_and_what_is_done_inside_is_too():
    model, _, handle, clean, noisy = trained()
    with handle.clean():
        assert torch.equal(flat_weights(model), clean)
        backward(model, 4)
        assert torch.equal(flat_weights(model), clean)
    backward(model, 4)
    assert torch.equal(flat_weights(model), noisy)


def test_weights_that_are_loaded_stay_as_they_were_loaded():
    model, _, _, _, _ = trained()
    other = make_network(seed=5)
    model.load_state_dict(other.state_dict())
    look_again(model)
    assert torch.equal(flat_weights(model), flat_weights(other))


class Broken(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("in the middle")


def test_an_exception_in_the_middle_of_a_step_leaves_no_trace():
    model, optimizer, _, clean, _ = trained()
    good = type(optimizer).step
    optimizer.step = torch.optim.Optimizer.profile_hook_step(Broken.step).__get__(optimizer)
    with pytest.raises(RuntimeError, match="in the middle"):
        optimizer.step()
    assert torch.equal(flat_weights(model), clean)
    del optimizer.step
    assert type(optimizer).step is good


def test_an_exception_in_a_forward_pass_leaves_no_trace():
    model, optimizer, _, clean, noisy = trained()
    look_again(model)
    with pytest.raises(RuntimeError):
        model(torch.randn(8, 4))
    assert torch.equal(flat_weights(model), clean)
    backward(model, 4)
    assert torch.equal(flat_weights(model), noisy)
    optimizer.step()


# ------------------------------------------------------------------------------- how people train


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
