"""IVON as a method: what it makes of its options, and that the model is the mean wherever it is looked at."""

import pytest
import torch

from pats import InputError, philox
from pats.methods import Training, create
from support import by_hand
from support.toy_classifier import Trial, make_toy, toy_inputs

EXAMPLES = 250


def trial(model=None, **options):
    made = Trial("ivon", options, model, seed=7, lr=0.01, examples=EXAMPLES)
    made.optimizer = made.method.optimizer(made.model, made.training)
    return made


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def normal(name, shape, step, seed=7):
    words = philox.words(seed, name, step, 0, shape.numel(), purpose=7).to(torch.float64)
    return torch.special.ndtri((words + 0.5) / 2**32).view(shape)


@pytest.mark.parametrize("scope", ["all", "head"])
def test_the_loss_and_its_gradient_are_at_the_sample(scope):
    with trial(sigma=0.2, scope=scope) as t:
        loss, grads = t.gradients()
        assert t.clock.count == 1
    leaves = by_hand.leaves(make_toy())
    width = 1 / EXAMPLES / (0.2**2)
    noised = {
        name: leaf.detach()
        + (
            normal(name, leaf.shape, 1) / (EXAMPLES * (width + 1e-6)) ** 0.5
            if scope == "all" or name.startswith("head")
            else 0
        )
        for name, leaf in leaves.items()
    }
    noised = {name: value.requires_grad_() for name, value in noised.items()}
    wanted = by_hand.task_loss(by_hand.logits_of(noised), toy_inputs()["labels"])
    torch.testing.assert_close(loss, wanted.detach(), rtol=1e-12, atol=0)
    for name, grad in by_hand.gradients(wanted, noised).items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-10, atol=1e-14)


def test_settings():
    def group(**options):
        return trial(**options).optimizer.param_groups[0]

    found = group(sigma=0.01)
    assert found["ess"] == EXAMPLES
    assert found["hess_init"] == pytest.approx(1 / (EXAMPLES * 0.01**2))
    assert found["clip_radius"] * (found["hess_init"] + found["delta"]) == pytest.approx(1e-6)
    assert (found["rescale"], found["seed"]) == ("radius", 7)
    found = group(ess=1e6, hess_init=0.5, clip=0.5, delta=0.5, beta2=0.9, rescale="none")
    assert [found[key] for key in ("ess", "hess_init", "clip_radius", "delta", "rescale")] == [
        1e6,
        0.5,
        0.5,
        0.5,
        "none",
    ]
    assert found["betas"] == (0.9, 0.9)
    with pytest.raises(InputError, match=r"^ivon needs the number of training examples[^\n]*set ess$"):
        create("ivon").optimizer(make_toy(), Training())


def test_the_learning_rate_is_the_largest_move_of_a_weight():
    with trial() as t:
        for step in range(1, 4):
            before = weights(t.model)
            t.gradients(step=step)
            t.optimizer.step()
            moved = (weights(t.model) - before).abs()
            assert float(moved.max()) == pytest.approx(0.01, rel=1e-9)


def test_micro_batches_share_the_steps_sample_and_the_next_step_has_another():
    seen = []
    with trial(sigma=0.3) as t:
        t.model.head.register_forward_pre_hook(lambda module, args: seen.append(weights(t.model)))
        mean = weights(t.model)
        for _ in range(2):
            t.loss(step=1).backward()
        assert torch.equal(weights(t.model), mean)
        for group in t.optimizer.param_groups:
            group["lr"] = 0.0
        t.optimizer.step()
        t.loss(step=2)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], mean)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_mean_is_back_after_an_exception_and_in_eval(error):
    def stop(module, args):
        raise error

    with trial(sigma=0.3) as t:
        before = weights(t.model)
        handle = t.model.head.register_forward_pre_hook(stop)
        with pytest.raises(error):
            t.loss()
        handle.remove()
        assert torch.equal(weights(t.model), before)
        assert list(t.model.state_dict()) == list(make_toy().state_dict())
        t.model.eval()
        assert t.loss() == make_toy()(**toy_inputs()).loss
        t.model.train()
        with torch.no_grad():
            assert t.loss() == make_toy()(**toy_inputs()).loss


def test_a_cold_posterior_is_plain_momentum():
    """λ so large that no weight moves by a bit, and h fixed: SGD with momentum, whose sum is normalised."""
    with trial(ess=1e40, hess_init=1.0, beta2=1.0, delta=0.0, rescale="hess_init", clip=1e9) as t:
        other = make_toy()
        sum_, weight = {}, 0.0
        for step in range(1, 6):
            loss, _ = t.gradients(step=step)
            t.optimizer.step()
            other.zero_grad()
            plain = other(**toy_inputs()).loss
            plain.backward()
            torch.testing.assert_close(loss, plain.detach(), rtol=1e-12, atol=0)
            weight = 0.9 * weight + 0.1
            for name, parameter in other.named_parameters():
                sum_[name] = 0.9 * sum_.get(name, 0) + 0.1 * parameter.grad
                parameter.data -= 0.01 * sum_[name] / weight
        torch.testing.assert_close(weights(t.model), weights(other), rtol=1e-12, atol=1e-13)
