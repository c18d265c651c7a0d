import pytest
import torch

from support import by_hand
from support.toy_classifier import IDS, MASK, WIDTH, Trial, make_toy, toy_inputs

SHAPE = (*IDS.shape, WIDTH)
LENGTHS = MASK.sum(1)[:, None, None].double()

ROWS = {
    "l2": {"alpha": 0.1, "init": 0.3, "passes": 3},
    "clean start": {"alpha": 0.2, "init": 0.0, "passes": 2},
    "projected": {"alpha": 0.5, "init": 0.3, "passes": 4, "max_norm": 0.4},
    "linf": {"alpha": 0.1, "init": 0.3, "passes": 3, "norm": "linf", "max_norm": 0.25},
    "random noise alone": {"init": 0.3, "passes": 1},
}


def norm(x, order):
    flat = x.abs().flatten(1)
    found = (flat**2).sum(1).sqrt() if order == "l2" else flat.max(1).values
    return found[:, None, None]


def expected(model, alpha=0.1, init=0.2, passes=3, max_norm=0.0, norm_of="l2", regression=False):
    """Mean loss, its gradients, and δ of every pass."""
    leaves, labels = by_hand.leaves(model), toy_inputs(regression)["labels"]
    delta = by_hand.uniform(7, 2, 1, SHAPE) * MASK[..., None] * init
    delta = delta / (LENGTHS * WIDTH).sqrt() if norm_of == "l2" else delta
    total, grads, deltas = 0.0, None, []
    for _ in range(passes):
        deltas.append(delta)
        delta = delta.clone().requires_grad_()
        loss = by_hand.task_loss(by_hand.logits_of(leaves, delta), labels) / passes
        found = torch.autograd.grad(loss, [*leaves.values(), delta])
        grads = found[:-1] if grads is None else [a + b for a, b in zip(grads, found, strict=False)]
        total += loss.detach()
        delta = delta.detach() + alpha * found[-1] / norm(found[-1], norm_of).clamp(min=1e-8)
        if max_norm and norm_of == "linf":
            delta = delta.clamp(-max_norm, max_norm)
        elif max_norm:
            delta = delta * (max_norm / norm(delta, "l2")).clamp(max=1.0)
    return total, dict(zip(leaves, grads, strict=True)), deltas


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("row", ROWS)
def test_formula(row, regression):
    with Trial("freelb", ROWS[row], regression=regression, seed=7) as trial:
        loss, grads = trial.gradients(step=2)
        assert trial.clock.count == ROWS[row]["passes"]
    options = {("norm_of" if k == "norm" else k): v for k, v in ROWS[row].items()}
    total, wanted, _ = expected(make_toy(regression), regression=regression, **options)
    torch.testing.assert_close(loss, total, rtol=1e-12, atol=1e-12)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, wanted[name], rtol=1e-9, atol=1e-12)


def test_ascent_raises_the_loss_and_projection_bounds_it():
    _, _, deltas = expected(make_toy(), alpha=0.5, init=0.3, passes=4, max_norm=0.4)
    assert all(float(norm(delta, "l2").max()) <= 0.4 + 1e-12 for delta in deltas[1:])
    losses = [
        by_hand.task_loss(by_hand.logits_of(by_hand.leaves(make_toy()), delta), toy_inputs()["labels"]).item()
        for delta in expected(make_toy(), alpha=0.2, init=0.0, passes=4)[2]
    ]
    assert losses == sorted(losses)


def test_accumulation_divides_every_pass():
    """Two micro-batches of half the weight give the gradient of one: extra passes are scaled too."""
    grads = []
    for parts in (1, 2):
        with Trial("freelb", {"init": 0.0}) as trial:
            for _ in range(parts):
                loss = trial.loss(step=1, backward=lambda loss, parts=parts: (loss / parts).backward())
                (loss / parts).backward()
            grads.append([p.grad for p in trial.model.parameters()])
            assert trial.clock.count == 3 * parts
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dropout", ["shared", "fresh"])
def test_dropout(dropout):
    masks = []
    model = make_toy(dropout=0.5)
    model.dropout.register_forward_hook(lambda module, args, out: masks.append(out != 0))
    torch.manual_seed(0)
    model(**toy_inputs())
    after_one = torch.get_rng_state()
    masks.clear()
    torch.manual_seed(0)
    with Trial("freelb", {"alpha": 0.0, "init": 0.0, "passes": 4, "dropout": dropout}, model) as trial:
        trial.gradients()
    same = [torch.equal(masks[0], mask) for mask in masks]
    assert same == ([True] * 4 if dropout == "shared" else [True, False, False, False])
    assert torch.equal(torch.get_rng_state(), after_one)


def test_norm_of_the_start_is_about_init_over_the_root_of_three():
    model = make_toy()
    model.body.words = torch.nn.Embedding(11, 512).double()
    given = {**toy_inputs(), "input_ids": torch.ones(4, 64), "attention_mask": torch.ones(4, 64)}
    with Trial("freelb", {"init": 0.6}, model) as trial:
        from pats.methods import MicroBatch

        start = trial.method._start(MicroBatch(model, given, trial.clock))
    assert float(norm(start, "l2").mean()) == pytest.approx(0.6 / 3**0.5, rel=0.01)
