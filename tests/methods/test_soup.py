import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pats.methods import PassClock, Training, create
from pats.methods.vanilla import Vanilla
from pats.run import finetune
from pats.run.result import Result
from support.small_run import small_run
from support.toy_classifier import make_toy

# Scores of the evaluations, the limit of the soup, and what goes into it: a soup scores minus the distance of
# its weight from 10, where the weights of the evaluations are these.
CASES = {
    "all that help, best first": ([4.0, 9.0, 12.0, 0.0], 5, [9.0, 12.0]),
    "a worse one that makes it better": ([13.0, 8.0], 5, [8.0, 13.0]),
    "a worse one that makes it worse": ([9.5, 2.0, 3.0], 5, [9.5]),
    "equal is no fall": ([9.0, 9.0, 2.0], 5, [9.0, 9.0]),
    "only the best two": ([4.0, 9.0, 12.0, 12.5], 2, [9.0, 12.0]),
    "the earlier of equal ones": ([12.0, 8.0, 12.0], 2, [12.0, 8.0]),
    "one": ([4.0, 9.0, 12.0], 1, [9.0]),
    "none": ([], 5, []),
}


def greedy(weights, limit, score):
    """Recipe 1 of the paper, on the best few."""
    order = sorted(range(len(weights)), key=lambda i: (-score(weights[i]), i))[:limit]
    soup = []
    for i in order:
        tried = [*soup, weights[i]]
        if not soup or score(np.mean(tried)) >= score(np.mean(soup)):
            soup = tried
    return soup


def evaluate(method, model, weight, step):
    with torch.no_grad():
        model.head.weight.fill_(weight)
    with method.evaluated(model):
        method.judged(model, -abs(weight - 10), step)


@pytest.mark.parametrize("name", CASES)
def test_greedy(name):
    weights, limit, expected = CASES[name]
    method, model = create("soup", {"candidates": limit}), make_toy()
    calls = []

    def score():
        calls.append(float(model.head.weight.detach()[0, 0]))
        return -abs(calls[-1] - 10)

    with method.attached(model, Training(), PassClock()):
        for step, weight in enumerate(weights):
            evaluate(method, model, weight, step)
            assert float(model.head.weight.detach()[0, 0]) == weight
        last = model.head.weight.detach().clone()
        several = method.blend_(model, score)
        assert greedy(weights, limit, lambda w: -abs(w - 10)) == expected
        assert several == (len(expected) > 1)
        assert len(calls) == max(min(limit, len(weights)) - 1, 0)
        found = model.head.weight.detach()
        if several:
            np.testing.assert_allclose(found.numpy(), np.full(found.shape, np.mean(expected)), atol=1e-13)
        elif not calls:
            assert torch.equal(found, last)
        kept = {"candidates": min(limit, len(weights)), "ingredients": len(expected)}
        assert method.telemetry(None) == {"soup": kept}
    assert not method.candidates


def test_buffers_and_integers():
    method, model = create("soup"), make_toy(dtype=torch.float32)
    model.register_buffer("mean", torch.zeros(2))
    model.register_buffer("count", torch.tensor(0))
    model.body.words.requires_grad_(False)
    with method.attached(model, Training(), PassClock()):
        for step, (score, value, count) in enumerate([(1.0, 2.0, 10), (3.0, 4.0, 20), (2.0, 9.0, 30)]):
            model.mean.fill_(value)
            model.count.fill_(count)
            method.judged(model, score, step)
        assert all("words" not in name for name in method.candidates[0].tensors)
        assert method.blend_(model, lambda: 5.0)
    assert model.mean.tolist() == [5.0, 5.0]
    assert (int(model.count), model.count.dtype) == (20, torch.int64)  # the best one's


@pytest.mark.parametrize("many", [0, 1, 12])
def test_continues_from_its_state(many):
    one, two, model = create("soup", {"candidates": 11}), create("soup", {"candidates": 11}), make_toy()
    with one.attached(model, Training(), PassClock()), two.attached(model, Training(), PassClock()):
        for step in range(many):
            evaluate(one, model, 10.0 - step % 5, step)
        two.load_state(one.state())
        told = [[(c.score, c.step, sorted(c.tensors)) for c in method.candidates] for method in (one, two)]
        assert told[0] == told[1]
        for a, b in zip(one.candidates, two.candidates, strict=True):
            assert all(torch.equal(a.tensors[name], b.tensors[name]) for name in a.tensors)


@pytest.fixture(scope="module")
def run(tiny_bert, reviews):
    return small_run(tiny_bert, reviews, method="vanilla", lr=1e-3, epochs=4)


def test_a_run_exports_the_mean_of_its_ingredients(run, tmp_path, monkeypatch):
    """Its evaluations are plain fine-tuning's; the soup is one more, which is kept."""
    seen = {}

    def judged(self, model, score, step):
        seen[step] = (score, {n: p.detach().double().numpy().copy() for n, p in model.named_parameters()})

    monkeypatch.setattr(Vanilla, "judged", judged)
    plain = finetune(run)
    result = finetune(dataclasses.replace(run, method="soup"), tmp_path)
    assert result.epochs[:-1] == plain.epochs
    assert (result.best_epoch, result.best >= plain.best) == (4, True)
    assert result.epochs[-1].step == plain.epochs[-1].step
    count = int(result.telemetry["soup"]["ingredients"])
    assert 2 <= count <= 4
    ordered = sorted(seen.values(), key=lambda one: -one[0])
    weights = load_file(tmp_path / "model" / "model.safetensors")
    fits = [  # which candidates went in is the dev scores' doing: the best one, and so many others
        others
        for others in range(1 << 3)
        if others.bit_count() == count - 1
        and all(
            np.allclose(weight.double().numpy(), _mean(ordered, others, name), rtol=0, atol=1e-7)
            for name, weight in weights.items()
        )
    ]
    assert len(fits) == 1
    assert Result.from_json((tmp_path / "result.json").read_text()) == result
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["best"] for event in events if event["event"] == "epoch"][-1] is True
    assert finetune(dataclasses.replace(run, method="soup"), tmp_path) == result


def _mean(ordered, others, name):
    chosen = [ordered[0], *(one for i, one in enumerate(ordered[1:]) if others >> i & 1)]
    return np.mean([tensors[name] for _, tensors in chosen], axis=0)
