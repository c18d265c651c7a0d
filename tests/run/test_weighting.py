from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from pats.run import weighting
from pats.tasks import Split

LABELS = (0.0, 0.0, 0.0, 1.0, 0.0, 2.0)


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, inputs=None, labels=None):
        logits = self.head(inputs)
        return SimpleNamespace(logits=logits, loss=nn.functional.cross_entropy(logits, labels))


def test_weights_are_scikit_learns_and_of_mean_one():
    weights = weighting.balanced(Split(("x",) * 6, label=LABELS), 4)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(LABELS))
    assert weights[:3] == pytest.approx(expected)
    assert weights[3] == 1.0
    assert sum(weights[int(label)] for label in LABELS) == pytest.approx(6)


def test_the_training_loss_is_weighted_and_nothing_else():
    model, inputs = Linear(), torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor(LABELS).long()
    plain = model(inputs=inputs, labels=labels).loss
    each = nn.functional.cross_entropy(model(inputs=inputs, labels=labels).logits, labels, reduction="none")
    weights = torch.tensor([2.0, 3.0, 0.5])
    with weighting.attached(model, weights.tolist()):
        loss = model(inputs=inputs, labels=labels).loss
        assert loss.item() == pytest.approx((weights[labels] * each).sum().item() / 6)
        assert model(inputs=inputs[:1], labels=labels[:1]).loss.item() == pytest.approx(2 * each[0].item())
        assert model.eval()(inputs=inputs, labels=labels).loss.item() == plain.item()
        model.train()
    assert model(inputs=inputs, labels=labels).loss.item() == plain.item()
    with weighting.attached(model, None):
        assert model(inputs=inputs, labels=labels).loss.item() == plain.item()
