from itertools import pairwise

import pytest
import torch

from pats import InputError
from pats.methods import PassClock, Training, create
from support import by_hand
from support.architectures import SMALL, build_model, make_batch
from support.toy_classifier import IDS, WIDTH, Trial, make_toy, toy_inputs

SHAPE = (*IDS.shape, WIDTH)
STREAM = {"name": "body.layers.0", "purpose": 5}


@pytest.mark.parametrize("noise", ["normal", "uniform", "positive"])
def test_formula(noise):
    with Trial("hype", {"sigma": 0.3, "noise": noise}, seed=7) as trial:
        loss, grads = trial.gradients(step=5)
    drawn = (by_hand.normal if noise == "normal" else by_hand.uniform)(7, 5, 1, SHAPE, **STREAM)
    drawn = (drawn + 1) / 2 if noise == "positive" else drawn
    leaves = by_hand.leaves(make_toy())
    expected = by_hand.task_loss(by_hand.logits_of(leaves, layer=0.3 * drawn), toy_inputs()["labels"])
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    for name, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-10, atol=1e-12)


def noises_of(kind, settings, step=1, passes=1):
    """What every layer's input has more than the output of the layer before, in the last of some passes."""
    torch.manual_seed(0)
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = build_model(kind, settings | quiet).train()
    method, clock, seen = create("hype", {"sigma": 0.1}), PassClock(), []

    def watch(module, args, out):
        seen.append((args[0].detach(), (out if isinstance(out, torch.Tensor) else out[0]).detach()))

    encoder = model.base_model.encoder
    with clock.attached(model), method.attached(model, Training(), clock):
        for layer in encoder.layer if kind == "bert" else encoder.albert_layer_groups:
            layer.register_forward_hook(watch)
        clock.begin(step)
        for _ in range(passes):
            seen.clear()
            make_batch(clock, model).forward()
    return [given - out for (_, out), (given, _) in pairwise(seen)]


def drawn(layer, step, number, shape):
    return by_hand.normal(0, step, number, shape, name=f"bert.encoder.layer.{layer}", purpose=5).float() * 0.1


@pytest.mark.parametrize(("step", "passes"), [(1, 1), (1, 2), (3, 1)])
def test_every_layer_has_noise_of_its_own_in_every_pass_and_step(step, passes):
    noises = noises_of("bert", SMALL | {"num_hidden_layers": 3}, step, passes)
    assert len(noises) == 2  # the output of the last layer has none
    for layer, noise in enumerate(noises, 1):
        torch.testing.assert_close(
            noise, drawn(layer, step, passes, tuple(noise.shape)), rtol=1e-3, atol=1e-5
        )


def test_a_layer_that_is_used_several_times_has_the_same_noise():
    one, two = noises_of("albert", SMALL | {"embedding_size": 8, "num_hidden_layers": 3})
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
    assert float(one.std()) == pytest.approx(0.1, rel=0.1)


def test_dropout_can_be_replaced():
    model = make_toy(dropout=0.5)
    with Trial("hype", {"sigma": 0.0, "dropout": "replace"}, model) as trial:
        assert model.dropout.p == 0
        assert trial.loss() == make_toy()(**toy_inputs()).loss
    assert model.dropout.p == 0.5
    with Trial("hype", {"sigma": 0.0}, model):
        assert model.dropout.p == 0.5


def test_eval_and_leaving_switch_it_off():
    model = make_toy()
    plain = model(**toy_inputs()).loss
    with Trial("hype", {"sigma": 0.5}, model) as trial:
        assert trial.loss() != plain
        model.eval()
        assert trial.loss() == plain
        model.train()
    assert model(**toy_inputs()).loss == plain


class Bare(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(2, 2)


class Keyed(torch.nn.Module):
    """Its blocks take their input by another name."""

    def __init__(self):
        super().__init__()
        self.layers = make_toy().body.layers

    def forward(self, x):
        return self.layers[0](input=x)


def test_models_that_it_cannot_serve_are_refused_with_a_sentence():
    method, training, clock = create("hype"), Training(), PassClock()
    with pytest.raises(InputError, match="no repeated blocks"), method.attached(Bare(), training, clock):
        pass
    model = Keyed()
    with (
        method.attached(model, training, clock),
        pytest.raises(InputError, match="not called with hidden states"),
    ):
        model(torch.zeros(1, WIDTH).double())
    with pytest.raises(InputError, match="rounded away"), Trial("hype", model=make_toy(dtype=torch.bfloat16)):
        pass
