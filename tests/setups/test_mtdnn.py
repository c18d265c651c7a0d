"""MT-DNN's set-up against what methods.md says of its code."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup

from pats import InputError, setups
from pats.run import Run, finetune
from pats.run.model import classifier
from pats.setups import mtdnn
from support.architectures import SMALL, build_model

PRESETS = {name: preset.settings for name, preset in setups.presets().items()}


def test_schedules():
    a, b = (setups.schedules()[f"mtdnn-{era}"].factor(0.1, 40) for era in "ab")
    assert [a(k) for k in (0, 2, 3, 4, 5, 39)] == pytest.approx([0, 0.5, 0.75, 0.9, 0.875, 1 / 40])
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = get_linear_schedule_with_warmup(optimizer, 4.0, 40).lr_lambdas[0]
    assert [b(k) for k in range(41)] == pytest.approx([theirs(k) for k in range(41)])
    broken = setups.schedules()["mtdnn-b"].factor(0.1, 25)  # 2.5 steps of warm-up
    assert [broken(k) for k in (1, 2, 3)] == pytest.approx([1 / 2.5, 2 / 2.5, 22 / 22.5])


def test_batches_are_consecutive_rows_in_one_order():
    batches = mtdnn.FixedBatches(70, 16, 3)
    first, second = list(batches), list(batches)
    assert first == second
    assert sorted(first) == [list(range(k, min(k + 16, 70))) for k in range(0, 70, 16)]
    assert first != sorted(first)
    assert len(batches) == 5
    assert first != list(mtdnn.FixedBatches(70, 16, 4))


def test_head_is_new_and_pytorchs_default(tiny_bert):
    before = classifier.load(str(tiny_bert), ("a", "b"), 32, 0)
    pooler = before.model.bert.pooler.dense.weight.detach().clone()
    state = torch.get_rng_state()
    fresh = mtdnn.draw_head_(before.model, 5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    layer = torch.nn.Linear(32, 32)
    assert torch.equal(before.model.bert.pooler.dense.weight, layer.weight)
    assert not torch.equal(before.model.bert.pooler.dense.weight, pooler)
    names = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    assert names == fresh
    assert before.model.classifier.weight.abs().max().item() <= 1 / math.sqrt(32)


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet"])
@pytest.mark.parametrize("task", ["cola", "rte"])
def test_the_head_is_dropout_and_linear_twice(kind, task):
    """No tanh: large values between the layers would show it."""
    torch.manual_seed(0)
    found = build_model(
        kind, SMALL | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    ).train()
    ids = torch.randint(2, 50, (3, 6))
    inner, outer, _ = mtdnn._head(found)
    first, second = (found.get_submodule(name) for name in (inner, outer))
    with torch.no_grad():
        first.weight.mul_(50)
    seen = []
    handle = first.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    plain = found(ids).logits
    handle.remove()

    def head(rates):
        hidden = functional.linear(functional.dropout(seen[0], rates[0]), first.weight, first.bias)
        assert hidden.abs().max() > 1
        return functional.linear(functional.dropout(hidden, rates[1]), second.weight, second.bias)

    with mtdnn.plain_head(found, task):
        torch.manual_seed(1)
        trained = found(ids).logits
        torch.manual_seed(1)
        expected = head((0.1, 0.05 if task == "cola" else 0.1))
        torch.testing.assert_close(trained, expected)
        given = torch.autograd.grad(trained.square().sum(), first.weight)[0]
        wanted = torch.autograd.grad(expected.square().sum(), first.weight)[0]
        torch.testing.assert_close(given, wanted)
        found.eval()
        evaluated = found(ids).logits
        torch.testing.assert_close(evaluated, head((0.0, 0.0)))
    assert torch.equal(found(ids).logits, plain)
    state = {name: weight.clone() for name, weight in found.state_dict().items()}
    found.load_state_dict(mtdnn.folded(found, None))
    torch.testing.assert_close(found(ids).logits, evaluated, rtol=1e-6, atol=1e-6)
    found.load_state_dict(state)
    assert torch.equal(found(ids).logits, plain)  # its own weights were left alone
    assert mtdnn.folded(found, {}) == {}  # what a rank has that does not write


def test_other_heads_are_refused():
    with pytest.raises(InputError, match="choose a model of type bert, roberta"):
        mtdnn.plain_head(build_model("electra", SMALL), None).__enter__()


def test_presets_are_settings_of_a_run():
    b, a = Run(task="rte", **PRESETS["mtdnn"]), Run(task="rte", **PRESETS["mtdnn-a"])
    assert Run(task="rte", **PRESETS["paper"]) == Run(task="rte")
    assert (b.optimizer, b.schedule, b.weight_decay, b.clip, b.setup) == (
        "mtdnn-b",
        "mtdnn-b",
        0.01,
        1.0,
        "mtdnn",
    )
    assert (a.optimizer, a.schedule) == ("mtdnn-a", "mtdnn-a")


@pytest.mark.parametrize(
    ("method", "preset"), [("vanilla", "mtdnn"), ("pats", "mtdnn"), ("sage", "mtdnn-a"), ("pats", "mtdnn-a")]
)
def test_runs(tiny_bert, many_reviews, method, preset, tmp_path):
    run = Run(
        model=str(tiny_bert),
        data=str(many_reviews),
        method=method,
        lr=1e-2 if method == "sage" else 3e-3,
        epochs=3,
        batch_size=16,
        precision="fp32",
        **PRESETS[preset],
    )
    result = finetune(run, tmp_path)
    assert result.status == "done"
    assert result.epochs[0].train_loss > result.epochs[-1].train_loss
    assert bool(result.telemetry) == (method == "pats")
    exported = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert exported.config.hidden_dropout_prob == 0.1
    assert 0 < exported.bert.pooler.dense.weight.abs().max() < 2 * mtdnn.SMALL  # its tanh is the identity
    if (method, preset) == ("pats", "mtdnn"):
        quiet = finetune(replace(run, options={"p": 0.0}))
        assert quiet.epochs == finetune(replace(run, method="vanilla")).epochs
