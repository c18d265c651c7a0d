import warnings

import pytest
import torch

from support import by_hand
from support.toy_classifier import Trial, make_toy, toy_inputs


def trial(options, regression=False):
    """The method on a toy with dropout, and the factors that each pass's dropout had."""
    model, factors = make_toy(regression, dropout=0.5), []
    model.dropout.register_forward_hook(lambda module, args, out: factors.append((out / args[0]).detach()))
    torch.manual_seed(1)
    with Trial("rdrop", options, model, regression, seed=7) as t:
        return *t.gradients(step=3), factors


def kl(p, q):
    return (p * torch.log(p / q)).sum(1)


# Weights of the two task losses, and that of the sum of both divergences of an example, in the half of the
# paper's loss; for scores of the squared distance.
CONFIGURATIONS = {
    "the paper": ({"alpha": 0.7}, (0.5, 0.5), 0.7 / 4),
    "default": ({}, (0.5, 0.5), 1 / 4),
    "task of the first": ({"alpha": 0.7, "task": "first"}, (1.0, 0.0), 0.7 / 4),
    "authors' code for GLUE": ({"alpha": 0.5, "reduction": "sum"}, (0.5, 0.5), 3 * 0.5 / 4),  # three examples
    "scores": ({"alpha": 0.7}, (0.5, 0.5), 0.7 / 2),
    "scores have no sum": ({"reduction": "sum"}, (0.5, 0.5), 1 / 2),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_formula(name):
    options, tasks, weight = CONFIGURATIONS[name]
    scores = name.startswith("scores")
    loss, grads, factors = trial(options, scores)
    assert len(factors) == 2
    assert not torch.equal(*factors)
    leaves, labels = by_hand.leaves(make_toy(scores)), toy_inputs(scores)["labels"]
    one, two = (by_hand.logits_of(leaves, dropout=factor) for factor in factors)
    if scores:
        apart = ((one - two) ** 2).mean()
    else:
        p, q = by_hand.softmax(one), by_hand.softmax(two)
        apart = (kl(p, q) + kl(q, p)).mean()
    expected = tasks[0] * by_hand.task_loss(one, labels) + tasks[1] * by_hand.task_loss(two, labels)
    expected = expected + weight * apart
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    for key, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[key], grad, rtol=1e-10, atol=1e-12)


def test_without_dropout_nothing_is_left_but_the_task_and_it_says_so():
    plain = make_toy()
    plain(**toy_inputs()).loss.backward()
    with Trial("rdrop", {"alpha": 5.0}) as t:
        with pytest.warns(UserWarning, match="the same answer, so that it is plain fine-tuning"):
            _, grads = t.gradients()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            t.gradients()  # once is enough
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-13, atol=1e-15)


def test_noise_of_another_method_tells_the_passes_apart():
    with warnings.catch_warnings(), Trial("rdrop+hype", {"sigma": 0.1}) as t:
        warnings.simplefilter("error")
        assert t.loss() != make_toy()(**toy_inputs()).loss


def test_the_second_pass_leaves_the_global_generators_alone():
    states = []
    for name in ("vanilla", "rdrop"):
        torch.manual_seed(5)
        with Trial(name, model=make_toy(dropout=0.5)) as t:
            t.loss()
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
