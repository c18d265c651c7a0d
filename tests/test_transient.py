"""``keep="transient"``: there for the passes of training, and nowhere else."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import pats
from support import oracle
from support.small_network import backward, flat_weights, make_network
from support.transient_noise import BASES, LOOKS, LR, attached, inputs, look_again, saved, trained

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
    "part of a run": {"budget": 0.3, "steps": 12, "until": 0.6, "p": 1.0},
    "part of a run, lr": {"scale": "lr", "kappa": 3.0, "steps": 12, "until": 0.5},
    "bounded": {"budget": 0.5, "ratio_max": 1.2},
    "bounded lr std": {"scale": "lr", "intensity": "std", "ratio_max": 2.0},
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


def test_in_a_part_of_the_run_it_fades_to_zero_there():
    short = pats.Noise(keep="transient", steps=12)
    assert rms(pats.Noise(keep="transient", steps=24, until=0.5)) == rms(short) > 0


def test_noise_that_stays_has_no_such_size():
    """The control: nothing goes in before a forward pass."""
    assert rms(pats.Noise(p=0.5)) == 0


# ------------------------------------------------------------------------------- where it leaves no trace


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


@pytest.mark.parametrize("size", [3, 300])
def test_a_tensor_of_another_shape_put_in_its_place_stays_as_it_is(size):
    model, _, handle, _, _ = trained()
    parameter = dict(model.named_parameters())[handle.names[0]]  # the noise is in it now
    parameter.data = torch.arange(float(size))
    handle.remove()
    assert torch.equal(parameter.data, torch.arange(float(size)))


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


class Silent(nn.Module):
    """Keeps its loss to itself."""

    def __init__(self):
        super().__init__()
        self.net = make_network()

    def forward(self, x):
        self.loss = self.net(x).square().mean()


@pytest.mark.parametrize("handling", [False, True])
def test_a_pass_that_returns_nothing_within_an_except_clause_has_not_failed(handling):
    model, optimizer, _ = attached(model=Silent())
    for _ in range(3):
        model(inputs())
        model.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    clean = flat_weights(model)
    try:
        raise KeyError if handling else StopIteration
    except (KeyError, StopIteration) as error:
        if isinstance(error, KeyError):
            model(inputs())
    if not handling:
        model(inputs())
    assert not torch.equal(flat_weights(model), clean)
    model.loss.backward()
    optimizer.step()


def test_an_exception_in_a_forward_pass_leaves_no_trace():
    model, optimizer, _, clean, noisy = trained()
    look_again(model)
    with pytest.raises(RuntimeError):
        model(torch.randn(8, 4))
    assert torch.equal(flat_weights(model), clean)
    backward(model, 4)
    assert torch.equal(flat_weights(model), noisy)
    optimizer.step()
