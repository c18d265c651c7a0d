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


def inputs_of_layers(kind, settings, options, at=(1, 1)):
    """What each layer of an encoder is given with the noise, less what it would be given."""
    torch.manual_seed(0)
    model = build_model(kind, settings).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    method, clock, given = create("hype", options), PassClock(), []
    encoder = model.base_model.encoder
    layers = encoder.layer if kind == "bert" else encoder.albert_layer_groups
    clock.begin(at[0])
    for noisy in (False, True):
        seen = []
        if not noisy:
            handles = [
                layer.register_forward_hook(lambda module, args, out, s=seen: s.append(args[0]))
                for layer in layers
            ]
            make_batch(PassClock(), model).forward()
        else:
            with clock.attached(model), method.attached(model, Training(), clock):
                handles = [
                    layer.register_forward_hook(lambda module, args, out, s=seen: s.append(args[0]))
                    for layer in layers
                ]
                for _ in range(at[1]):
                    seen.clear()
                    make_batch(clock, model).forward()
        for handle in handles:
            handle.remove()
        given.append([one.detach() for one in seen])
    return given


def test_every_layer_has_noise_of_its_own_in_every_pass_and_step():
    noises = []
    for at in ((1, 1), (1, 2), (2, 1)):
        plain, noised = inputs_of_layers("bert", SMALL, {"sigma": 0.1}, at)
        noises.append(noised[0] - plain[0])
        assert len(plain) == 2
        assert not torch.equal(noised[1], plain[1])
    shape = tuple(noises[0].shape)
    expected = by_hand.normal(0, 1, 1, shape, name="bert.encoder.layer.0", purpose=5) * 0.1
    torch.testing.assert_close(noises[0], expected.float(), rtol=1e-3, atol=1e-5)
    second = by_hand.normal(0, 1, 1, shape, name="bert.encoder.layer.1", purpose=5)
    for other in (noises[1], noises[2], second):
        assert abs(torch.corrcoef(torch.stack([noises[0].flatten(), other.flatten().float()]))[0, 1]) < 0.15
    assert float(noises[0].std()) == pytest.approx(0.1, rel=0.1)


def test_a_layer_used_twice_has_the_same_noise():
    settings = SMALL | {"embedding_size": 8, "num_hidden_layers": 3}
    _, noised = inputs_of_layers("albert", settings, {"sigma": 0.5})
    assert len(noised) == 3


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
