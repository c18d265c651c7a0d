"""The values of one step: measured, updated, perturbed, in this order and once; nothing is left over."""

import gc
import weakref

import pytest
import torch

import pats
from pats.step.step import Step
from support.small_network import backward, make_network


def attached(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    return optimizer, pats.perturb(optimizer, model, pats.Noise(p=1.0))


def test_a_step_is_perturbed_once():
    model = make_network()
    _, handle = attached(model)
    backward(model, 0)
    step = handle._stepper.measure()
    handle._stepper.perturb(step)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(RuntimeError, match="measured once and perturbed once"):
        handle._stepper.perturb(step)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_batch_without_its_sums_is_an_error():
    """Left out, it would get no noise, and nobody would be told."""
    model = make_network()
    _, handle = attached(model)
    backward(model, 0)
    step = handle._stepper.measure()
    assert step._sums
    step._sums.pop()
    with pytest.raises(ValueError, match="zip"):
        handle._stepper.perturb(step)


MAKERS = {
    "perturb": lambda model: attached(model)[0],
    "fused": lambda model: pats.optim.Adamax(pats.param_groups(model), noise=pats.Noise()),
    "apart": lambda model: pats.optim.AdamW(pats.param_groups(model), noise=pats.Noise(), foreach=True),
    "reference": lambda model: pats.optim.reference.PATSAdamax(pats.param_groups(model)),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_nothing_of_a_step_outlives_it(make):
    model = make_network()
    optimizer = make(model)
    for step in range(3):
        backward(model, step)
        grads = [weakref.ref(parameter.grad) for parameter in model.parameters()]
        optimizer.step()
        model.zero_grad()
        gc.collect()
        assert not any(ref() is not None for ref in grads)
    assert not [one for one in gc.get_objects() if isinstance(one, Step)]


def fail(*given, **more):
    """In place of torch's update, between the halves of the step."""
    raise RuntimeError("no update")


@pytest.mark.parametrize("name", ["perturb", "fused", "apart"])
def test_a_step_that_failed_leaves_nothing_to_the_next(name, monkeypatch):
    """The next step has the bits of one that nothing had gone before, and its counter."""
    models = [make_network(), make_network()]
    optimizers = [MAKERS[name](model) for model in models]
    backward(models[0], 0)
    with monkeypatch.context() as patched:
        patched.setattr(optimizers[0], "_init_group", fail)
        with pytest.raises(RuntimeError, match="no update"):
            optimizers[0].step()
    for model, optimizer in zip(models, optimizers, strict=True):
        for group in optimizer.param_groups:
            group["noise_beta"] = 0.0  # of a measured matrix, the average is that of the last step alone
        for step in (1, 2):
            backward(model, step)
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True))


def test_a_skipped_step_measures_nothing_and_tells_nothing():
    model = make_network()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)  # reads found_inf itself
    handle = pats.perturb(optimizer, model)
    backward(model, 0)
    optimizer.step()
    told = handle.stats()
    before = {n: optimizer.state[p]["sensitivity"].clone() for n, p in model.named_parameters() if n in told}
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    after = {n: optimizer.state[p]["sensitivity"] for n, p in model.named_parameters() if n in told}
    assert told
    assert all(torch.equal(before[name], after[name]) for name in told)
    assert handle.stats() == {}
    del optimizer.found_inf
    backward(model, 1)
    optimizer.step()
    assert {name: row["skipped"] for name, row in handle.stats().items()} == dict.fromkeys(told, 0)
