"""The plan of a step: what it decides, in which batches, and what makes it anew."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

import pats
from pats import InputError
from pats._noise import Noise
from pats.kernels import cpu, eager
from pats.kernels.cpu import library
from pats.step.plan import Candidate, Wish, plan
from pats.step.stepper import Stepper
from support.matrix_jobs import make_job, make_tensors
from support.small_network import backward, make_network

built = pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")
WISH = Wish()


def candidate(dtype=torch.float32, noise=True, wish=WISH, sharded=False):
    theta, grad, average = make_tensors((4, 3), dtype)
    one = make_job(theta, grad, average if noise else None, Noise.paper() if noise else None)
    return Candidate(one, wish, sharded)


# A matrix, and where it belongs: its path, whether that updates it, and in which part of the plan it stands.
PLACES = {
    "update and noise": (candidate(), cpu, True, "at_once"),
    "update alone": (candidate(noise=False), cpu, True, "at_once"),
    "noise alone": (candidate(wish=None), cpu, False, "apart"),
    "neither": (candidate(noise=False, wish=None), cpu, False, None),
    "sharded": (candidate(sharded=True), cpu, True, "apart"),
    "sharded, without noise": (candidate(sharded=True, noise=False), cpu, True, "at_once"),
    "no kernel": (candidate(torch.float64), eager, False, "apart"),
    "no kernel needed": (candidate(torch.float64, wish=Wish(anywhere=True)), eager, True, "at_once"),
    "unknown option": (candidate(wish=Wish(options=("amsgrad",))), cpu, False, "apart"),
    "capturable on a CPU": (candidate(wish=Wish(options=("capturable",))), cpu, False, "apart"),
    "scaled": (candidate(wish=Wish(scaled=True)), cpu, False, "apart"),
}


@built
@pytest.mark.parametrize(("one", "path", "fused", "part"), PLACES.values(), ids=PLACES)
def test_every_matrix_has_one_place(one, path, fused, part):
    found = plan([one], None)
    (decision,) = found.decisions
    assert (decision.path, decision.fused) == (path, fused)
    assert (decision.why is None) == (path is cpu)
    expected = {"apart": (), "at_once": ()} | ({part: ((path, (0,)),)} if part else {})
    assert {"apart": found.apart, "at_once": found.at_once} == expected


@built
def test_batches_keep_the_order_of_the_matrices():
    ones = [*(one for one, *_ in PLACES.values())]
    found = plan(ones, None)
    names = [*PLACES]
    shown = [(path, [names[i] for i in which]) for path, which in (*found.apart, *found.at_once)]
    assert shown == [
        (cpu, ["noise alone", "unknown option", "capturable on a CPU", "scaled"]),
        (eager, ["no kernel"]),
        (cpu, ["sharded"]),
        (cpu, ["update and noise", "update alone", "sharded, without noise"]),
        (eager, ["no kernel needed"]),
    ]


REQUIRED = {
    "double": (candidate(torch.float64, wish=Wish(required=True)), "takes float32 and bfloat16"),
    "option": (
        candidate(wish=Wish(required=True, options=("amsgrad",))),
        "not know amsgrad=True on cpu",
    ),
    "scaled": (candidate(wish=Wish(required=True, scaled=True)), "torch's AMP"),
}


@built
@pytest.mark.parametrize(("one", "why"), REQUIRED.values(), ids=REQUIRED)
def test_a_required_kernel_that_cannot_be_had_is_refused_with_the_reason(one, why):
    with pytest.raises(InputError, match=f"fused=True cannot be had for .*{why}"):
        plan([one], None)


def other_gradient(one):
    one = one._replace(job=replace(one.job))
    one.job.grad = one.job.grad.double()
    return one


def other_average(one):
    one = one._replace(job=replace(one.job))
    one.job.average = one.job.average.double()
    return one


# What happens to one of two matrices, or around them, and whether the plan of before still holds.
CHANGES = {
    "nothing": (lambda one: one, None, True),
    "other values": (lambda one: candidate(), None, True),
    "dtype": (lambda one: candidate(torch.bfloat16), None, False),
    "gradient": (other_gradient, None, False),
    "state": (other_average, None, False),
    "noise": (lambda one: candidate(noise=False), None, False),
    "wish": (lambda one: one._replace(wish=None), None, False),
    "shard": (lambda one: one._replace(sharded=True), None, False),
    "kernel": (lambda one: one, "eager", False),
}


@pytest.mark.parametrize(("change", "wanted", "holds"), CHANGES.values(), ids=CHANGES)
def test_a_plan_is_used_until_something_that_it_stands_for_changes(change, wanted, holds):
    first = plan([candidate(), candidate()], None)
    after = [candidate(), change(candidate())]
    second = plan(after, wanted, first)
    assert (second is first) is holds
    assert second == plan(after, wanted)
    assert plan([*after, candidate()], wanted, first) is not first


def test_a_plan_cannot_be_changed():
    found = plan([candidate()], None)
    with pytest.raises(FrozenInstanceError):
        found.at_once = ()
    assert all(isinstance(value, tuple) for value in vars(found).values())


def test_to_ask_for_a_path_changes_nothing():
    one = candidate().job
    before = {name: getattr(one, name) for name in type(one).__slots__}
    answers = [pats.kernels.choose_path(one, wanted) for wanted in ("eager", None, "eager")]
    assert answers[0] == answers[2]
    assert "asks for eager" in answers[0].why
    assert all(getattr(one, name) is value for name, value in before.items())


@pytest.mark.parametrize("kind", ["perturb", "optim"])
def test_an_optimizer_plans_once(kind, monkeypatch):
    made = []
    planned = Stepper._planned

    def watched(self, noisy):
        step = planned(self, noisy)
        made.append(step.plan)
        return step

    monkeypatch.setattr(Stepper, "_planned", watched)
    model = make_network()
    if kind == "optim":
        optimizer = pats.optim.Adamax(pats.param_groups(model), lr=1e-2, noise=Noise(), foreach=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
        pats.perturb(optimizer, model)
    for step in range(4):
        backward(model, step)
        optimizer.step()
    assert len(made) == 4
    assert all(one is made[0] for one in made)
    backward(model, 4)
    model.layers[0].linear.weight.grad = None
    optimizer.step()
    assert made[-1] is not made[0]
