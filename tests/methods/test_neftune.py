import pytest
import torch

from support import by_hand
from support.toy_classifier import IDS, MASK, WIDTH, Trial, make_toy, toy_inputs

SHAPE = (*IDS.shape, WIDTH)


@pytest.mark.parametrize("length", ["real", "padded"])
def test_formula(length):
    with Trial("neftune", {"alpha": 3.0, "length": length}, seed=7) as trial:
        loss, grads = trial.gradients(step=5)
    noise = by_hand.uniform(7, 5, 1, SHAPE)
    if length == "real":
        noise = noise * MASK[..., None] * 3.0 / (MASK.sum(1)[:, None, None].double() * WIDTH) ** 0.5
    else:
        noise = noise * 3.0 / (IDS.shape[1] * WIDTH) ** 0.5
    leaves = by_hand.leaves(make_toy())
    expected = by_hand.task_loss(by_hand.logits_of(leaves, noise), toy_inputs()["labels"])
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    for name, grad in by_hand.gradients(expected, leaves).items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-10, atol=1e-12)


def test_norm_of_the_noise_is_alpha_over_the_root_of_three():
    model = make_toy()
    model.body.words = torch.nn.Embedding(11, 64).double()
    seen = []
    with Trial("neftune", {"alpha": 5.0}, model) as trial:
        trial.clock.mask = mask = torch.cat([torch.ones(2, 100), torch.zeros(2, 28)], 1)
        handle = model.body.words.register_forward_hook(lambda module, args, out: seen.append(out))
        model.body.words(torch.zeros(2, 128, dtype=torch.long))
        handle.remove()
    noise = seen[0] - model.body.words.weight[0]
    assert noise.detach().norm(dim=(1, 2)).mean().item() == pytest.approx(5 / 3**0.5, rel=0.01)
    assert not noise[mask == 0].any()


def test_what_an_example_sees_does_not_depend_on_the_padding():
    """With real lengths the scale of a short example is its own."""
    wide = {k: torch.nn.functional.pad(v, (0, 3)) if v.ndim == 2 else v for k, v in toy_inputs().items()}
    with Trial("neftune", {"alpha": 0.0}) as trial:
        assert trial.loss() == trial.loss(inputs=wide)


def test_eval_and_leaving_switch_it_off():
    model = make_toy()
    plain = model(**toy_inputs()).loss
    with Trial("neftune", {"alpha": 50.0}, model) as trial:
        assert trial.loss() != plain
        model.eval()
        assert trial.loss() == plain
        model.train()
    assert model(**toy_inputs()).loss == plain
