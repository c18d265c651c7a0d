import pytest
import torch

import pats
from support.small_network import make_network


def loss(model, batch):
    return model(batch).square().mean()


def test_against_autograd_by_hand():
    model = make_network(dtype=torch.float64)
    batches = [torch.randn(4, 3, dtype=torch.float64) for _ in range(3)]
    grads = []
    for batch in batches:
        model.zero_grad()
        loss(model, batch).backward()
        grads.append({name: p.grad.clone() for name, p in model.named_parameters()})
    model.zero_grad()
    by_batch = pats.sensitivity(model, batches, loss)
    by_gradient = pats.sensitivity(model, iter(batches), loss, reduce="gradient")
    for name, p in model.named_parameters():
        expected = sum((p * g[name]).abs() for g in grads) / 3
        torch.testing.assert_close(by_batch[name], expected.detach(), rtol=1e-12, atol=1e-15)
        expected = (p * sum(g[name] for g in grads) / 3).abs()
        torch.testing.assert_close(by_gradient[name], expected.detach(), rtol=1e-12, atol=1e-15)
        assert p.grad is None
    assert not torch.equal(by_batch["head.weight"], by_gradient["head.weight"])


def test_scope_unused_parameters_and_errors():
    model = make_network()
    batch = [torch.randn(4, 3)]
    assert list(pats.sensitivity(model, batch, loss, scope="encoder")) == pats.scope(model)
    model.extra = torch.nn.Linear(2, 2)
    assert pats.sensitivity(model, batch, loss)["extra.weight"].tolist() == [[0, 0], [0, 0]]
    with pytest.raises(pats.InputError, match="no batch"):
        pats.sensitivity(model, [], loss)
    with pytest.raises(pats.InputError, match="reduce is 'sum', but must be one of: batch, gradient"):
        pats.sensitivity(model, batch, loss, reduce="sum")


def test_it_is_the_loss_lost_by_removing_a_parameter_to_first_order():
    """Eq. 1, for a parameter so small that the Taylor polynomial is accurate."""
    model = make_network(dtype=torch.float64)
    with torch.no_grad():
        model.head.weight[0, 2] = 1e-6
    x = torch.randn(4, 3, dtype=torch.float64)
    measured = pats.sensitivity(model, [x], loss)["head.weight"][0, 2]
    before = loss(model, x)
    with torch.no_grad():
        model.head.weight[0, 2] = 0.0
    assert measured.item() == pytest.approx((before - loss(model, x)).abs().item(), rel=1e-4)
