import math

import pytest
import torch
from torch import nn

from pats.methods import MicroBatch, PassClock, Training, create
from support import by_hand
from support.toy_classifier import Trial, make_toy, toy_inputs

LAYER = "body.layers.0.0.weight"
LARGE = {"sigma": 0.3}  # so that the noise shows

# Options, and the share of the growth at step 4 of 9.
HALF_COSINE = (1 - math.cos(math.pi * 3 / 9)) / 2
CONFIGURATIONS = {
    "default": ({}, 5e-4),
    "filter": (LARGE, 0.3),
    "isotropic": ({**LARGE, "scale": "none"}, 0.3),
    "growing": ({**LARGE, "growth": 14.0}, 0.3 * (1 + 14 * HALF_COSINE)),
    "mixed": ({**LARGE, "mix": 0.3}, 0.3),
    "clean": ({**LARGE, "mix": 0.0}, 0.3),
    "scope": ({**LARGE, "scope": "encoder"}, 0.3),
}


def noised(leaves, options, sigma, number):
    """Every weight of the scope with its noise in a pass of step 4."""
    weights = {}
    for name, leaf in leaves.items():
        weight = leaf.detach()
        if options.get("scale") == "none":
            size = 1.0
        elif weight.ndim > 1:
            size = (weight**2).sum(1, keepdim=True) ** 0.5
        else:
            size = (weight**2).sum() ** 0.5
        noise = by_hand.normal(7, 4, number, tuple(weight.shape), name=name, purpose=7)
        inside = options.get("scope", "all") == "all" or ".layers." in name
        weights[name] = leaf + sigma * size * noise if inside else leaf
    return weights


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_formula(name):
    options, sigma = CONFIGURATIONS[name]
    with Trial("rwp", options, seed=7) as trial:
        loss, grads = trial.gradients(step=4, steps=9)
        passes = trial.clock.count
    mix, labels = options.get("mix", 1.0), toy_inputs()["labels"]
    assert passes == (1 if mix == 1 else 2)
    leaves = by_hand.leaves(make_toy())
    expected = mix * by_hand.task_loss(by_hand.logits_of(noised(leaves, options, sigma, passes)), labels)
    if mix < 1:
        expected = expected + (1 - mix) * by_hand.task_loss(by_hand.logits_of(leaves), labels)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    for key, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[key], grad, rtol=1e-10, atol=1e-12)


def test_passes_and_steps_have_noise_of_their_own_and_a_pass_again_has_the_same():
    with Trial("rwp", LARGE) as trial:
        one, two, other = (trial.loss(step=step).item() for step in (1, 1, 2))
        trial.clock.count = 0
        again = trial.loss(step=2).item()
    assert len({one, two, other}) == 3
    assert again == other


def test_the_length_of_the_run_may_be_unknown():
    losses = []
    for options in (LARGE, {**LARGE, "growth": 14.0}):
        with Trial("rwp", options) as trial:
            losses.append(trial.loss(step=3))
    assert losses[0] == losses[1]


class Failing(Exception):
    pass


def raising(error):
    def hook(module, args):
        raise error

    return hook


@pytest.mark.parametrize("error", [Failing(), KeyboardInterrupt()], ids=["exception", "ctrl-c"])
def test_the_weights_are_clean_whatever_happens(error):
    """After a pass and a backward pass, in eval(), without gradients, and after an error inside a pass."""
    model = make_toy()
    own = dict(model.named_parameters())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain = model(**toy_inputs()).loss

    def clean():
        now = dict(model.named_parameters())
        assert all(now[name] is parameter for name, parameter in own.items())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    with pytest.raises(type(error)), Trial("rwp", LARGE, model) as trial:  # noqa: PT012
        loss = trial.loss()
        clean()
        assert loss != plain
        loss.backward()
        clean()
        with torch.no_grad():
            assert trial.loss() == plain
        model.eval()
        assert trial.loss() == plain
        model.train()
        model.head.register_forward_pre_hook(raising(error))
        trial.loss()
    clean()
    assert not model._forward_pre_hooks
    assert not model._forward_hooks


def test_an_error_inside_a_pass_does_not_stay_until_the_end():
    model = make_toy()
    plain = model(**toy_inputs()).loss
    with Trial("rwp", LARGE, model) as trial:
        handle = model.head.register_forward_pre_hook(raising(Failing()))
        with pytest.raises(Failing):
            trial.loss()
        handle.remove()
        assert isinstance(model.head.weight, nn.Parameter)
        model.eval()
        assert trial.loss() == plain


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight
        self.frozen = nn.Linear(3, 3).requires_grad_(False)

    def forward(self, x):
        self.seen = [self.one.weight, self.two.weight, self.frozen.weight]
        return self.frozen(self.two(self.one(x)))


def test_tied_weights_have_one_noise_and_frozen_ones_none():
    model, clock, method = Tied().double(), PassClock(), create("rwp", LARGE)
    with clock.attached(model), method.attached(model, Training(), clock):
        model(torch.zeros(1, 3).double())
    assert torch.equal(model.seen[0], model.seen[1])
    assert not torch.equal(model.seen[0], model.one.weight)
    assert torch.equal(model.seen[2], model.frozen.weight)
    assert model.two.weight is model.one.weight


def test_micro_batches_of_a_step_have_noise_of_their_own():
    """As the parts that LPF-SGD divides a batch into."""
    model, clock, method = make_toy(), PassClock(), create("rwp", LARGE)
    losses = []
    with clock.attached(model), method.attached(model, Training(), clock):
        for _ in range(2):
            clock.begin(1)
            losses.append(method.loss(MicroBatch(model, toy_inputs(), clock)).item())
    assert losses[0] != losses[1]
