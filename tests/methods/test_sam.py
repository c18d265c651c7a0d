"""SAM against its formula in float64, and what two passes must leave as it was."""

import pytest
import torch

from pats import InputError
from pats.methods import MicroBatch, PassClock, Training, create
from support import by_hand
from support.toy_classifier import IDS, MASK, Trial, make_toy, toy_inputs

ROWS = {
    "default": {},
    "far": {"rho": 2.0},
    "adaptive": {"rho": 0.5, "adaptive": True},
    "adaptive, by the weights alone": {"rho": 0.5, "adaptive": True, "eta": 0.0},
    "head": {"rho": 1.0, "scope": "head"},
    "no ascent": {"rho": 0.0},
}


def expected(model, labels, rho=0.05, adaptive=False, eta=0.01, scope="all"):
    """Loss and gradients at θ + ε."""
    leaves = by_hand.leaves(model)
    loss = by_hand.task_loss(by_hand.logits_of(leaves), labels)
    found = by_hand.gradients(loss, leaves)
    inside = [name for name in leaves if scope == "all" or name.startswith(scope)]
    measure = {
        name: leaves[name].detach().abs() + eta if adaptive and not name.endswith("bias") else 1.0
        for name in inside
    }
    norm = sum(((measure[name] * found[name]) ** 2).sum() for name in inside) ** 0.5
    there = {
        name: leaf.detach() + (rho * measure[name] ** 2 * found[name] / norm if name in inside and rho else 0)
        for name, leaf in leaves.items()
    }
    there = {name: value.requires_grad_() for name, value in there.items()}
    loss = by_hand.task_loss(by_hand.logits_of(there), labels)
    return loss.detach(), by_hand.gradients(loss, there)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("row", ROWS)
def test_formula(row, regression):
    with Trial("sam", ROWS[row], regression=regression) as trial:
        loss, grads = trial.gradients()
        assert trial.clock.count == 2
    total, wanted = expected(make_toy(regression), toy_inputs(regression)["labels"], **ROWS[row])
    torch.testing.assert_close(loss, total, rtol=1e-12, atol=1e-13)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, wanted[name], rtol=1e-9, atol=1e-12)


def test_the_ascent_has_its_length_and_raises_the_loss():
    losses = []
    for rho in (0.0, 0.1, 0.2, 0.4):
        with Trial("sam", {"rho": rho}) as trial:
            losses.append(trial.loss().item())
    assert losses == sorted(losses)
    assert len(set(losses)) == 4


def test_every_micro_batch_climbs_by_itself_and_their_mean_is_the_step():
    def part(rows):
        given = toy_inputs()
        return {key: value[rows] for key, value in given.items()}

    parts = [part(slice(0, 1)), part(slice(1, 3))]
    with Trial("sam", {"rho": 0.7}) as trial:
        separate = []
        for inputs in parts:
            separate.append(trial.gradients(inputs=inputs)[1])
        trial.model.zero_grad()
        for inputs in parts:
            (trial.loss(inputs=inputs) / 2).backward()
        together = {name: p.grad for name, p in trial.model.named_parameters()}
        whole = trial.gradients()[1]
    for name, grad in together.items():
        mean = (separate[0][name] + separate[1][name]) / 2
        torch.testing.assert_close(grad, mean, rtol=1e-12, atol=1e-15)
    assert any(not torch.allclose(together[name], whole[name], rtol=1e-3) for name in together)


@pytest.mark.parametrize("dropout", ["shared", "fresh"])
def test_dropout(dropout):
    model, masks = make_toy(dropout=0.5), []
    model.dropout.register_forward_hook(lambda module, args, out: masks.append(out != 0))
    torch.manual_seed(0)
    model(**toy_inputs())
    after_one = torch.get_rng_state()
    masks.clear()
    torch.manual_seed(0)
    with Trial("sam", {"dropout": dropout}, model) as trial:
        trial.gradients()
    assert torch.equal(masks[0], masks[1]) == (dropout == "shared")
    assert torch.equal(torch.get_rng_state(), after_one)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("pass_", [1, 2])
def test_weights_are_clean_after_the_loss_and_after_an_exception_in_either_pass(pass_):
    model = make_toy()
    before = weights(model)
    seen, count = [], 0

    def watch(module, args):
        nonlocal count
        count += 1
        seen.append(not torch.equal(weights(model), before))
        if count == pass_ + 2:
            raise ValueError("in the middle")

    with Trial("sam", {"rho": 0.5}, model) as trial:
        handle = model.head.register_forward_pre_hook(watch)
        loss = trial.loss()
        assert torch.equal(weights(model), before)  # before the training's backward pass
        loss.backward()
        assert torch.equal(weights(model), before)
        with pytest.raises(ValueError, match="in the middle"):
            trial.loss()
        assert torch.equal(weights(model), before)
        handle.remove()
    assert seen == [False, True, False, True][: pass_ + 2]


def test_eval_is_one_pass_at_the_weights_themselves():
    with Trial("sam", {"rho": 0.5}) as trial:
        trial.model.eval()
        assert trial.loss() == make_toy()(**toy_inputs()).loss
        trial.model.train()
        with torch.no_grad():
            assert trial.loss() == make_toy()(**toy_inputs()).loss


def test_a_gradient_that_is_not_finite_moves_nothing_and_shows_in_the_loss():
    model = make_toy()
    with torch.no_grad():
        model.head.weight[0, 0] = float("nan")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with Trial("sam", model=model) as trial:
        assert not torch.isfinite(trial.loss())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.nan_to_num(7.0), before[name].nan_to_num(7.0))


def test_parameters_without_a_gradient_are_left_alone():
    model = make_toy()
    model.unused = torch.nn.Parameter(torch.ones(2).double())
    model.head.bias.requires_grad_(False)
    with Trial("sam", {"rho": 0.3}, model) as trial:
        trial.loss().backward()
    assert model.unused.grad is None
    assert model.head.bias.grad is None
    assert model.head.weight.grad is not None


def test_half_precision_climbs_in_float32():
    model = make_toy(dtype=torch.bfloat16)
    with Trial("sam", {"rho": 1.0, "adaptive": True}, model) as trial:
        loss, grads = trial.gradients()
    total, _ = expected(make_toy(), toy_inputs()["labels"], rho=1.0, adaptive=True)
    torch.testing.assert_close(loss.double(), total, rtol=0.05, atol=0.05)
    assert all(grad.dtype == torch.bfloat16 for grad in grads.values())


def test_sharded_weights_are_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr("pats.step.shard.is_sharded", lambda tensor: True)
    with Trial("sam") as trial, pytest.raises(InputError, match="sam needs whole weights"):
        trial.loss()


def test_with_other_methods():
    """Mixout in both passes, and UPGD's update of their gradient."""
    model, clock = make_toy(), PassClock()
    method = create("mixout+sam+upgd", {"p": 0.5, "rho": 0.1, "upgd.scope": "all", "mixout.scope": "all"})
    training = Training(lr=0.1, anchors={n: p.detach() + 0.1 for n, p in model.named_parameters()})
    optimizer = method.optimizer(model, training)
    before = weights(model)
    with clock.attached(model), method.attached(model, training, clock):
        given = {"input_ids": IDS, "attention_mask": MASK, "labels": toy_inputs()["labels"]}
        method.loss(MicroBatch(model, given, clock)).backward()
        optimizer.step()
    assert clock.count == 2
    assert not torch.equal(before, weights(model))
    assert "sensitivity" in optimizer.state[model.head.weight]
