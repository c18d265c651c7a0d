"""What is compared before a step is done again: every tensor, where it is, and what it is."""

import pytest
import torch

from pats.step.again import Counters, Tensors


class Optimizer:
    def __init__(self, parameters):
        self.state = {
            p: {"exp_avg": torch.zeros_like(p), "step": torch.ones(()), "other": None} for p in parameters
        }


def made():
    parameters = [torch.nn.Parameter(torch.ones(4, 4)), torch.nn.Parameter(torch.ones(0))]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = Optimizer(parameters)
    to, low = torch.zeros(2, dtype=torch.int64), torch.tensor([15, 0])
    return parameters, optimizer, Tensors(optimizer, parameters, to, low), to


def test_new_gradients_are_taken_and_their_addresses_given():
    parameters, _, tensors, to = made()
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    assert tensors.take_grads()
    assert to.tolist() == [parameter.grad.data_ptr() for parameter in parameters]


def no_gradient(weight, state):
    weight.grad = None


def freed(weight, state):
    weight.grad.untyped_storage().resize_(0)


def strided(weight, state):
    weight.grad = torch.ones(4, 8)[:, :4]


def sparse(weight, state):
    weight.grad = torch.ones(4, 4).to_sparse()


def half(weight, state):
    """In the memory that there was."""
    weight.data = weight.data.view(torch.bfloat16)[:, :4]


def smaller(weight, state):
    state["exp_avg"].data = state["exp_avg"].data[:2]


def added(weight, state):
    state["more"] = torch.zeros(())


def replaced(weight, state):
    state["step"] = torch.ones(())


CHANGES = [no_gradient, freed, strided, sparse, half, smaller, added, replaced]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_anything_else_is_noticed(change):
    parameters, optimizer, tensors, _ = made()
    change(parameters[0], optimizer.state[parameters[0]])
    assert not tensors.take_grads()


def read(together, count, more=0.0):
    to = torch.empty(count, dtype=torch.float64)
    return to.tolist() if together.read(to, more) else None


def test_counters_in_one_tensor_stay_the_objects_that_they_are():
    counters = [torch.tensor(float(value)) for value in (3, 5)]
    together = Counters(counters)
    counters[0] += 1  # somebody else counts
    assert read(together, 2) == [4.0, 5.0]
    assert read(together, 2, more=1.0) == [5.0, 6.0]
    together.count()
    together.count(torch.tensor([0.0, 1.0]))
    assert [float(counter) for counter in counters] == [5.0, 7.0]
    counters[0].data = torch.tensor(1.0)
    assert read(together, 2) is None


def test_counters_that_have_to_be_made_exact_are_looked_up():
    assert read(Counters([torch.tensor(2.0**23)]), 1) is None
    assert read(Counters([torch.tensor(2.0**23 - 1)]), 1) is None
    assert read(Counters([torch.tensor(2.0**23 - 2)]), 1) == [2.0**23 - 2]
    assert read(Counters([torch.tensor(2.0**23, dtype=torch.float64)]), 1) == [2.0**23]


@pytest.mark.parametrize(
    ("counters", "fit"),
    [
        ([torch.ones(()), torch.ones(())], True),
        ([torch.ones(()), torch.ones((), dtype=torch.float64)], False),
        ([torch.ones(1)], False),
        ([1.0], False),
        ([], False),
    ],
)
def test_which_counters_fit_into_one_tensor(counters, fit):
    assert Counters.fit(counters) is fit
