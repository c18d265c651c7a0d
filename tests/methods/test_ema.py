import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pats import InputError
from pats.methods import PassClock, Training, create
from pats.methods.vanilla import Vanilla
from pats.run import finetune, trainer
from support.small_run import small_run
from support.toy_classifier import make_toy, toy_inputs


def averaged(weights, decay, correction):
    """The average of θ_0, θ_1, ..., θ_T as a sum: what each of them counts, from the formula alone."""
    steps = len(weights) - 1
    if correction == "debias":
        counts = [0.0] + [
            (1 - decay) * decay ** (steps - i) / (1 - decay**steps) for i in range(1, steps + 1)
        ]
    else:
        rates = [decay if correction == "none" else min(decay, (1 + t) / (10 + t)) for t in range(steps + 1)]
        counts = [(1.0 if i == 0 else 1 - rates[i]) * np.prod(rates[i + 1 :]) for i in range(steps + 1)]
    assert sum(counts) == pytest.approx(1.0, abs=1e-12)
    return sum(count * weight for count, weight in zip(counts, weights, strict=True))


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).double().numpy()


class ByHand:
    """Steps of a toy, with what its weights were before the first and after each."""

    def __init__(self, method, dtype=torch.float64):
        self.model, self.method = make_toy(dtype=dtype), method
        self.optimizer = method.optimizer(self.model, Training(lr=0.1))
        self.seen = [flat(self.model)]

    def steps(self, count):
        for _ in range(count):
            self.optimizer.zero_grad()
            self.model(**toy_inputs(dtype=self.model.head.weight.dtype)).loss.backward()
            self.optimizer.step()
            self.method.stepped(self.model)
            self.seen.append(flat(self.model))


def attached(method, model):
    return method.attached(model, Training(), PassClock())


@pytest.mark.parametrize("correction", ["warmup", "debias", "none"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999])
def test_formula(decay, correction):
    made = ByHand(create("ema", {"decay": decay, "correction": correction}))
    with attached(made.method, made.model):
        for count in (1, 2, 20):
            made.steps(count)
            with made.method.evaluated(made.model):
                found = flat(made.model)
            np.testing.assert_allclose(found, averaged(made.seen, decay, correction), rtol=0, atol=1e-13)
            if decay == 0:
                np.testing.assert_array_equal(found, made.seen[-1])


def test_training_has_its_own_weights_back_whatever_happens():
    made = ByHand(create("ema", {"decay": 0.9}), torch.float32)
    with attached(made.method, made.model):
        made.steps(5)
        own, state = flat(made.model), torch.get_rng_state()
        with made.method.evaluated(made.model):
            assert not np.array_equal(flat(made.model), own)
        with pytest.raises(KeyboardInterrupt), made.method.evaluated(made.model):
            raise KeyboardInterrupt
        np.testing.assert_array_equal(flat(made.model), own)
        assert torch.equal(torch.get_rng_state(), state)
        plain = ByHand(create("vanilla"), torch.float32)
        for together in (made, plain):
            together.steps(10 - (len(together.seen) - 1))
    np.testing.assert_array_equal(made.seen, plain.seen)


def test_half_precision_is_averaged_in_float32():
    made = ByHand(create("ema", {"decay": 0.9, "correction": "none"}), torch.bfloat16)
    with attached(made.method, made.model):
        made.steps(6)
        found = torch.cat([average.flatten() for average in made.method.average.values()])
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), averaged(made.seen, 0.9, "none"), rtol=0, atol=1e-6)
        with made.method.evaluated(made.model):
            assert made.model.head.weight.dtype == torch.bfloat16


def test_frozen_weights_and_buffers_stay_as_they_are():
    made = ByHand(create("ema", {"decay": 0.5}))
    made.model.register_buffer("count", torch.tensor(3))
    made.model.body.words.requires_grad_(False)
    with attached(made.method, made.model):
        made.steps(2)
        made.model.count += 1
        with made.method.evaluated(made.model):
            assert made.model.count == 4
        assert "body.words.weight" not in made.method.average


@pytest.mark.parametrize("name", ["ema", "lawa", "soup"])
def test_shards_are_refused_at_the_first_step(name, monkeypatch):
    method, model = create(name), nn.Linear(2, 2)
    monkeypatch.setattr("pats.step.shard.is_sharded", lambda tensor: True)
    with attached(method, model), pytest.raises(InputError, match=f"^{name} keeps copies .* replicas"):
        method.stepped(model)


# ------------------------------------------------------------------------------------------ runs


@pytest.fixture(scope="module")
def run(tiny_bert, reviews):
    return small_run(tiny_bert, reviews, method="vanilla")


@pytest.fixture(scope="module")
def plain(run):
    """A plain run's losses, and its weights before the first step and after each."""
    seen, patch = [], pytest.MonkeyPatch()

    def weights(model):
        seen.append({name: p.detach().double().numpy().copy() for name, p in model.named_parameters()})

    patch.setattr(Vanilla, "prepare_", lambda self, model, training: weights(model))
    patch.setattr(Vanilla, "stepped", lambda self, model: weights(model))
    result = finetune(run)
    patch.undo()
    return [epoch.train_loss for epoch in result.epochs], seen


def test_a_run_trains_as_plain_and_exports_the_average(run, plain, tmp_path):
    losses, seen = plain
    result = finetune(dataclasses.replace(run, method="ema", options={"decay": 0.9}), tmp_path)
    assert [epoch.train_loss for epoch in result.epochs] == losses
    step = result.epochs[result.best_epoch].step
    assert len(seen) == 1 + result.epochs[-1].step
    for name, weight in load_file(tmp_path / "model" / "model.safetensors").items():
        expected = averaged([one[name] for one in seen[: step + 1]], 0.9, "warmup")
        np.testing.assert_allclose(weight.double().numpy(), expected, rtol=0, atol=1e-6)


def test_pats_evaluated_by_an_average_trains_as_pats(run):
    losses = [
        [epoch.train_loss for epoch in finetune(dataclasses.replace(run, method=name)).epochs]
        for name in ("pats", "ema+pats", "lawa+pats")
    ]
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_counts_optimizer_steps_not_micro_batches(run, micro_batches, monkeypatch):
    made, told = trainer.arguments, []

    def arguments(*args, **kwargs):
        found = made(*args, **kwargs)
        found.gradient_accumulation_steps = micro_batches
        return found

    monkeypatch.setattr("pats.run.session.arguments", arguments)
    monkeypatch.setattr(Vanilla, "stepped", lambda self, model: told.append(model))
    result = finetune(run)
    assert len(told) == result.epochs[-1].step
    assert result.epochs[-1].step == {1: 10, 2: 6}[micro_batches]


@pytest.mark.parametrize("skipped", [False, True])
def test_a_skipped_step_is_none(skipped):
    told = []
    monitor = trainer.Monitor(None, None, None, 1, SimpleNamespace(stepped=told.append))
    accelerator = SimpleNamespace(optimizer_step_was_skipped=skipped)
    monitor.trainer = SimpleNamespace(accelerator=accelerator, classifier="model")
    monitor.on_optimizer_step(None, None, None)
    assert told == ([] if skipped else ["model"])


def test_a_loss_that_is_not_finite_ends_the_run_as_plain(run, tmp_path):
    told = []
    for name in ("vanilla", "ema"):
        result = finetune(dataclasses.replace(run, method=name, lr=1e30, clip=0.0), tmp_path / name)
        told.append((result.status, result.error))
    assert told[0][0] == "failed"
    assert told[0] == told[1]
