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
    return parameters, optimizer, Tensors(optimizer, parameters)


def test_new_gradients_are_taken_and_their_addresses_given():
    parameters, _, tensors = made()
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    assert tensors.grads().tolist() == [parameter.grad.data_ptr() for parameter in parameters]


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
    parameters, optimizer, tensors = made()
    change(parameters[0], optimizer.state[parameters[0]])
    assert tensors.grads() is None


def test_counters_in_one_tensor_stay_the_objects_that_they_are():
    counters = [torch.tensor(float(value)) for value in (3, 5)]
    together = Counters(counters)
    counters[0] += 1  # somebody else counts
    assert together.read().tolist() == [4.0, 5.0]
    together.count()
    together.count(torch.tensor([0.0, 1.0]))
    assert [float(counter) for counter in counters] == [5.0, 7.0]
    counters[0].data = torch.tensor(1.0)
    assert together.read() is None


def test_counters_that_have_to_be_made_exact_are_looked_up():
    assert Counters([torch.tensor(2.0**23)]).read() is None
    assert Counters([torch.tensor(2.0**23, dtype=torch.float64)]).read().tolist() == [2.0**23]


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
