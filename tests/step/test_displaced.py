"""Parameters that are elsewhere for a while are back afterwards, to the bit, whatever happens."""

import pytest
import torch
from torch import nn

from pats import InputError
from pats.step.displaced import displaced, refuse_sharded


def shifts_of(model, size=0.1):
    return [(p, torch.full_like(p, size, dtype=torch.float32)) for p in model.parameters()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("leave", [None, ValueError, KeyboardInterrupt], ids=str)
def test_they_are_elsewhere_within_and_back_afterwards(dtype, leave):
    model = nn.Linear(5, 3).to(dtype)
    before = [p.detach().clone() for p in model.parameters()]
    try:
        with displaced(shifts_of(model)):
            for parameter, old in zip(model.parameters(), before, strict=True):
                assert torch.equal(parameter, (old.float() + 0.1).to(dtype)) or dtype == torch.float64
                assert not torch.equal(parameter, old)
            if leave is not None:
                raise leave
    except BaseException as error:
        assert type(error) is leave  # noqa: PT017
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)


def test_an_exception_while_the_shifts_are_made_puts_back_what_has_gone():
    model = nn.Linear(5, 3)
    before = model.weight.detach().clone()

    def shifts():
        yield model.weight, torch.ones_like(model.weight)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"), displaced(shifts()):
        pass
    assert torch.equal(model.weight, before)


def test_autocast_forgets_the_copies_that_it_made_before():
    model, x = nn.Linear(5, 3), torch.randn(2, 5)
    with torch.autocast("cpu", torch.bfloat16):
        here = model(x)
        with displaced(shifts_of(model, 1.0)):
            there = model(x)
        again = model(x)
    assert torch.equal(here, again)
    assert not torch.equal(here, there)


def test_the_gradient_is_that_of_the_other_place():
    weight = nn.Parameter(torch.tensor([2.0]))
    with displaced([(weight, torch.tensor([1.0]))]):
        (gradient,) = torch.autograd.grad((weight**2).sum(), [weight])
    assert gradient.item() == 6.0


def test_whole_parameters_are_not_refused():
    refuse_sharded(nn.Linear(2, 2).parameters(), "sam")


def test_sharded_ones_are(monkeypatch):
    monkeypatch.setattr("pats.step.shard.is_sharded", lambda tensor: True)
    with pytest.raises(InputError, match=r"^sam needs whole weights, which FSDP shards: [^\n]+$"):
        refuse_sharded(nn.Linear(2, 2).parameters(), "sam")
