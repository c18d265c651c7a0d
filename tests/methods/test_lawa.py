import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pats import Run
from pats.methods import PassClock, Training, create
from pats.methods.vanilla import Vanilla
from pats.run import finetune
from support.toy_classifier import make_toy


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).double().numpy()


@torch.no_grad()
def move(model, number):
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))


@pytest.mark.parametrize("last", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_formula(last, dtype):
    method, model, seen = create("lawa", {"last": last}), make_toy(dtype=dtype), []
    with method.attached(model, Training(), PassClock()):
        for number in range(5):
            move(model, number)
            seen.append(flat(model))
            with method.evaluated(model):
                found = flat(model)
            expected = np.mean(seen[-last:], axis=0)
            tolerance = 1e-13 if dtype == torch.float64 else 1e-6
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
            np.testing.assert_array_equal(flat(model), seen[-1])
            if last == 1:
                np.testing.assert_array_equal(found, seen[-1])
        assert len(method.state()) == min(last, 5) * len(list(model.parameters()))
    assert method.state() == {}


def test_an_exception_in_an_evaluation_leaves_the_weights():
    method, model = create("lawa"), make_toy(dtype=torch.float32)
    with method.attached(model, Training(), PassClock()):
        for number in range(3):
            move(model, number)
            own = flat(model)
            with pytest.raises(KeyboardInterrupt), method.evaluated(model):
                raise KeyboardInterrupt
            np.testing.assert_array_equal(flat(model), own)


def test_continues_from_its_state():
    model = make_toy(dtype=torch.float32)
    one, two = create("lawa", {"last": 3}), create("lawa", {"last": 3})
    with one.attached(model, Training(), PassClock()), two.attached(model, Training(), PassClock()):
        for number in range(11):  # more than nine, and numbered anew
            move(model, number)
            with one.evaluated(model):
                pass
        two.load_state({name: weight.clone() for name, weight in one.state().items()})
        move(model, 99)
        found = []
        for method in (one, two):
            with method.evaluated(model):
                found.append(flat(model))
    np.testing.assert_array_equal(*found)


def test_a_run_exports_the_mean_of_the_last_epochs(tiny_bert, reviews, tmp_path, monkeypatch):
    run = Run(model=str(tiny_bert), data=str(reviews), lr=1e-3, epochs=4, batch_size=16, max_length=32)
    run, seen = dataclasses.replace(run, method="vanilla", precision="fp32"), {}

    def judged(self, model, score, step):
        seen[step] = {n: p.detach().double().numpy().copy() for n, p in model.named_parameters()}

    monkeypatch.setattr(Vanilla, "judged", judged)
    plain = finetune(run)
    result = finetune(dataclasses.replace(run, method="lawa", options={"last": 2}), tmp_path)
    assert [e.train_loss for e in result.epochs] == [e.train_loss for e in plain.epochs]
    chosen = [one for step, one in seen.items() if step <= result.epochs[result.best_epoch].step][-2:]
    for name, weight in load_file(tmp_path / "model" / "model.safetensors").items():
        expected = np.mean([one[name] for one in chosen], axis=0)
        np.testing.assert_allclose(weight.double().numpy(), expected, rtol=0, atol=1e-7)
