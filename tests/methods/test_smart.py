import pytest
import torch
from torch import nn

from pats import InputError
from support import by_hand
from support.architectures import SMALL, build_model
from support.toy_classifier import IDS, MASK, WIDTH, WORDS, Trial, make_toy, toy_inputs

SHAPE = (*IDS.shape, WIDTH)

ROWS = {
    "paper": {"radius": 0.05, "sigma": 0.03, "eta": 0.04},
    "two ascents": {"radius": 0.05, "sigma": 0.03, "eta": 0.04, "ascents": 2},
    "weights": {"radius": 0.05, "sigma": 0.03, "eta": 0.04, "weight": 3.0, "mu": 0.5},
    "no ascent": {"ascents": 0, "sigma": 0.1},
    "reference": {"radius_mode": "reference", "detach": True, "mu": 0.0, "sigma": 1e-3, "eta": 1e-2},
    "reference, two ascents": {"radius_mode": "reference", "sigma": 1e-3, "eta": 1e-2, "ascents": 2},
}
DEFAULTS = {"weight": 1.0, "mu": 1.0, "radius_mode": "paper", "ascents": 1, "detach": False}


def harm(noised, clean, options, regression):
    if regression:
        return ((noised - clean) ** 2).sum()
    if options["radius_mode"] == "paper":
        return by_hand.symmetric_kl(noised, clean)
    p, y = by_hand.softmax(noised), by_hand.softmax(clean)
    r_p, r_y = (-torch.log(1 / (a.detach() + 1e-6) - 1 + 1e-6) for a in (p, y))
    return (2 * p * (r_p - r_y)).sum()


def adversary(leaves, options, regression, words=None):
    words = None if words is None else words.detach()
    clean, paper = by_hand.logits_of(leaves, words=words).detach(), options["radius_mode"] == "paper"
    real = MASK[..., None] if paper else 1
    noise = by_hand.normal(7, 4, 3, SHAPE) * options["sigma"] * real  # clean 1, average 2
    for _ in range(options["ascents"]):
        noise = noise.detach().requires_grad_()
        loss = harm(by_hand.logits_of(leaves, noise, words), clean, options, regression)
        (grad,) = torch.autograd.grad(loss, noise)
        if paper:
            size = grad.abs().flatten(1).max(1).values[:, None, None]
            noise = (noise + options["eta"] * grad / size * real).clamp(-options["radius"], options["radius"])
        else:
            noise = noise + options["eta"] * grad
            noise = noise / (noise.abs().max(2, keepdim=True).values + 1e-6)
    return noise.detach()


def stopped_kl(a, b):
    p, q = by_hand.softmax(a), by_hand.softmax(b)
    first = q.detach() * (q.detach().log() - p.log())
    second = p.detach() * (p.detach().log() - q.log())
    return (first + second).sum(1).mean()


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("row", ROWS)
def test_formula(row, regression):
    options = DEFAULTS | ROWS[row]
    with Trial("smart", ROWS[row], regression=regression, seed=7) as trial:
        for average in trial.method.teacher.values():  # as if it had lagged behind
            average.mul_(0.9)
        trial.method._at = 4
        loss, grads = trial.gradients(step=4)
        assert trial.clock.count == 3 + options["ascents"]
    leaves = by_hand.leaves(make_toy(regression))
    noise = adversary(leaves, options, regression)
    clean, noised = by_hand.logits_of(leaves), by_hand.logits_of(leaves, noise)
    taught = by_hand.logits_of({name: 0.9 * p.detach() for name, p in leaves.items()})

    def apart(a, b):
        return ((a - b) ** 2).mean() if regression else by_hand.symmetric_kl(a, b)

    smooth = stopped_kl(clean, noised) if options["detach"] and not regression else apart(clean, noised)
    expected = by_hand.task_loss(clean, toy_inputs(regression)["labels"])
    expected = expected + options["weight"] * smooth + options["mu"] * apart(clean, taught)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-11)
    for name, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-7, atol=1e-10)


class Block(nn.Module):
    """An embedding block: a narrow word table, and what stands behind it."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(WORDS, 2)
        self.wide = nn.Linear(2, WIDTH)

    def forward(self, ids):
        return self.wide(self.table(ids)).exp()


@pytest.mark.parametrize("row", ["paper", "reference", "reference, two ascents"])
def test_noise_behind_the_embedding_block(row, monkeypatch):
    """As MT-DNN's code has it; by hand, each word's place in the block's output is its word vector."""
    monkeypatch.setattr(by_hand, "TABLE", "body.words.table.weight")
    torch.manual_seed(5)
    model = make_toy()
    model.body.words = Block().double()
    monkeypatch.setattr(model, "get_input_embeddings", lambda: model.body.words.table)
    options = DEFAULTS | {"detach": False} | ROWS[row] | {"mu": 0.0}
    with Trial("smart", {"place": "block", "mu": 0.0} | ROWS[row], model, seed=7) as trial:
        loss, grads = trial.gradients(step=4)
    leaves = by_hand.leaves(model)
    words = torch.exp(
        leaves[by_hand.TABLE] @ leaves["body.words.wide.weight"].T + leaves["body.words.wide.bias"]
    )
    noise = adversary(leaves, options, False, words)
    clean, noised = (
        by_hand.logits_of(leaves, words=words),
        by_hand.logits_of(leaves, noise, words),
    )
    smooth = stopped_kl(clean, noised) if options["detach"] else by_hand.symmetric_kl(clean, noised)
    expected = by_hand.task_loss(clean, toy_inputs()["labels"]) + options["weight"] * smooth
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-11)
    for name, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-7, atol=1e-10)


BLOCKS = {
    "bert": ("bert.embeddings", SMALL),
    "mobilebert": (
        "mobilebert.embeddings",
        SMALL | {"embedding_size": 8, "true_hidden_size": 8, "intra_bottleneck_size": 8},
    ),
    "gpt2": (None, {"n_embd": 16, "n_layer": 1, "n_head": 2}),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_block_of_architectures(kind):
    """GPT-2 adds its positions between the blocks' container and the table, in no module of their own."""
    name, settings = BLOCKS[kind]
    trial = Trial("smart", {"place": "block"}, build_model(kind, settings))
    if name is None:
        with pytest.raises(InputError, match="GPT2ForSequenceClassification has no embedding block"):
            trial.__enter__()
        return
    with trial:
        hooked = [path for path, module in trial.model.named_modules() if module._forward_hooks]
        assert hooked == ["", name]  # the clock's is on the model


def test_radius_of_each_mode():
    with Trial("smart", {"radius": 1e-5}) as trial:
        trial.loss()
        assert trial.method.telemetry(None)["adversary"]["largest_max"] <= 1e-5
    with Trial("smart", {"radius_mode": "reference"}) as trial:
        trial.loss()
        told = trial.method.telemetry(None)["adversary"]
        assert told["largest_max"] == pytest.approx(1, abs=0.2)
        assert -1 <= told["cosine"] <= 1


def test_average_follows_with_two_momenta():
    with Trial("smart", {"momentum": 0.5, "momentum_late": 0.8}) as trial:
        weight = trial.model.head.weight
        expected = weight.detach().clone()
        for step in range(1, 31):
            trial.loss(step=step, steps=20)
            trial.loss(step=step, steps=20)  # a second micro-batch changes nothing
            torch.testing.assert_close(trial.method.teacher["head.weight"], expected, rtol=1e-12, atol=0)
            with torch.no_grad():
                weight.add_(0.1)
            momentum = 0.5 if step <= 2 else 0.8
            expected = momentum * expected + (1 - momentum) * weight.detach()


def test_state_is_what_a_resume_needs():
    with Trial("smart") as trial:
        for step in (1, 2):
            trial.loss(step=step)
            trial.model.head.weight.data.add_(1.0)
        state = {name: value.clone() for name, value in trial.method.state().items()}
        trial.loss(step=3)
        wanted = trial.method.teacher["head.weight"]
        with Trial("smart", model=trial.model) as resumed:
            resumed.method.load_state(state)
            resumed.loss(step=3)
            assert torch.equal(resumed.method.teacher["head.weight"], wanted)


def test_a_gradient_that_is_not_finite_moves_nothing():
    model = make_toy()
    with torch.no_grad():
        model.head.weight.fill_(1e200)
    with Trial("smart", {"radius_mode": "paper"}, model) as trial:
        trial.loss()
        assert trial.method._adversary_figures["largest_max"] <= 1e-5
