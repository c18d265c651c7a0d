from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pats.run import finetune
from pats.run.model import head
from support.architectures import ARCHITECTURES, build_model, make_batch
from support.small_run import small_run
from support.tables import write_table

BIASLESS = ("gpt2", "llama")


@pytest.mark.parametrize("row", ARCHITECTURES, ids=[row[0] for row in ARCHITECTURES])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_layer_that_gives_the_outputs_is_found(row, outputs):
    """Twice its weights, twice the outputs."""
    kind, settings, *_ = row
    torch.manual_seed(0)
    model = build_model(kind, settings | {"num_labels": outputs}).eval()
    _, layer = head.output_layer(model)
    assert (layer.bias is None) == (kind in BIASLESS)
    inputs = {name: value for name, value in make_batch(None, model).inputs.items() if name != "labels"}
    with torch.no_grad():
        before = model(**inputs).logits
        for own in layer.parameters():
            own.mul_(2)
        assert before.abs().max() > 0
        torch.testing.assert_close(model(**inputs).logits, 2 * before)


def test_a_model_without_a_linear_layer_of_that_size_has_none():
    model = build_model("bert", dict(ARCHITECTURES[0][1]))
    model.classifier = nn.Identity()
    assert head.output_layer(model) is None


def test_a_layer_is_fresh_if_all_its_weights_are():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    assert head.is_fresh(model, model[1], frozenset({"1.weight", "1.bias"}))
    assert not head.is_fresh(model, model[1], frozenset({"1.weight", "0.bias"}))


def test_outputs_start_at_the_log_odds():
    layer, shares = nn.Linear(3, 2), [0.5, 0.02]
    head.start_at_(layer, shares)
    assert torch.sigmoid(layer(torch.zeros(3))).tolist() == pytest.approx(shares)
    head.start_at_(nn.Linear(3, 2, bias=False), shares)


def test_a_run_on_several_labels_starts_at_their_shares(tiny_bert, tmp_path):
    """The first loss is near the entropy of rare labels, log 2 times less than from one half."""
    rows = [{"text": f"text {i}", **{f"l{j}": int(i % 20 == j) for j in range(12)}} for i in range(200)]
    run = small_run(tiny_bert, write_table(tmp_path / "a.csv", rows), method="vanilla", lr=1e-6, epochs=1)
    loss = finetune(replace(run, kind="multilabel")).epochs[0].train_loss
    entropy = -(0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    assert loss == pytest.approx(entropy, rel=0.2)
    assert loss < 0.5 * np.log(2)
