import pytest
import torch

from pats import InputError
from support import by_hand
from support.toy_classifier import IDS, WIDTH, Trial, make_toy, toy_inputs

SHAPE = (*IDS.shape, WIDTH)
EPS = 0.2  # large, so that the noise shows


@pytest.mark.parametrize("noise", ["uniform", "normal"])
@pytest.mark.parametrize("regression", [None, "mse", "off"])
def test_formula(noise, regression):
    options = {"eps": EPS, "weight": 0.7, "noise": noise}
    options |= {} if regression is None else {"regression": regression}
    scores = regression is not None
    with Trial("r3f", options, regression=scores, seed=7) as trial:
        loss, grads = trial.gradients(step=3)
        assert trial.clock.count == 2
    leaves = by_hand.leaves(make_toy(scores))
    drawn = getattr(by_hand, noise)(7, 3, 2, SHAPE) * EPS  # the second pass of the step
    clean = by_hand.logits_of(leaves)
    noised = by_hand.logits_of(leaves, drawn, words=leaves[by_hand.TABLE].detach())
    apart = ((clean - noised) ** 2).mean() if scores else by_hand.symmetric_kl(clean, noised)
    weight = 0.0 if regression == "off" else 0.7
    expected = by_hand.task_loss(clean, toy_inputs(scores)["labels"]) + weight * apart
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-11, atol=1e-12)
    for name, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-9, atol=1e-12)


def test_regression_can_be_refused():
    with (
        pytest.raises(InputError, match="this task is a regression"),
        Trial("r3f", {"regression": "refuse"}, regression=True),
    ):
        pass
    with Trial("r3f", {"regression": "refuse"}) as trial:
        assert torch.isfinite(trial.loss())


def test_without_noise_only_dropout_tells_the_passes_apart():
    for dropout, apart in (("shared", False), ("fresh", True)):
        model = make_toy(dropout=0.5)
        torch.manual_seed(0)
        plain = model(**toy_inputs()).loss
        torch.manual_seed(0)
        with Trial("r3f", {"eps": 0.0, "dropout": dropout}, model) as trial:
            assert (trial.loss() != plain) == apart


def test_half_precision_tables_are_refused():
    with pytest.raises(InputError, match="rounded away"), Trial("r3f", model=make_toy(dtype=torch.bfloat16)):
        pass
