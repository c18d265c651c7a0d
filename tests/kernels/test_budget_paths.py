"""A budget's account on every path and in both forms of a step: the same numbers, and the same noise."""

import pytest
import torch

from pats._noise import Noise
from pats.kernels import cpu, eager, triton
from pats.kernels.cpu import library
from support.matrix_jobs import make_job, make_rule, make_tensors, measure_and_perturb

PATHS = {
    "cpu": pytest.param(
        cpu, marks=pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")
    ),
    "triton": pytest.param(
        triton,
        marks=pytest.mark.skipif(
            triton.kernels() is None or not triton.INTERPRETED, reason="no Triton in its interpreter"
        ),
    ),
}
NOISES = {
    "no steps": Noise(),
    "steps": Noise(steps=100),
    "std": Noise(intensity="std", steps=100),
    "signed": Noise(signed=True),
    "absolute": Noise(eps=1e-6, eps_mode="absolute"),
    "no eps": Noise(eps=0.0),
    "nothing left": Noise(budget=1e-3),
    "behind the last step": Noise(steps=2),
    "p 0": Noise(p=0.0),
    "bounded": Noise(intensity="std", ratio_max=1.2),
    "in the first part": Noise(until=0.03, steps=100),
    "langevin": Noise(scale="langevin", examples=40),
    "langevin std, bounded": Noise(scale="langevin", examples=40, intensity="std", ratio_max=1.2),
    "langevin, over": Noise(scale="langevin", examples=40, until=0.02, steps=100),
}
ACCOUNTS = {
    "in the middle": (0.05, 5e-5, 3.0, 1e-8, 1e-4),
    "at the start": (0.05, 0.0, 0.0, 0.0, 0.0),
    "after the first step": (0.05, 5e-5, 0.0, 0.0, 0.0),
    "no spread": (0.0, 5e-5, 3.0, 0.0, 0.0),
}


def stepped(path, noise, account, whole, bad=False):
    """θ and the account after one step, with the update in the same call or without one."""
    theta, grad, average = make_tensors((37, 41))
    average[::7] = 0.0
    if bad:
        grad[3, 4] = float("nan")
    row = torch.tensor(account, dtype=torch.float64)
    this = make_job(theta, grad, average, noise, budget=row)
    if whole:
        this.rule = make_rule("adamw", torch.zeros_like(theta), torch.zeros_like(theta))
        path.step([this])
    else:
        measure_and_perturb(path, [this])
    return theta, row


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("whole", [True, False], ids=["with the update", "apart"])
@pytest.mark.parametrize("account", ACCOUNTS.values(), ids=ACCOUNTS)
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_account_is_that_of_plain_torch(path, whole, account, noise):
    theta, row = stepped(path, noise, account, whole)
    expected, its = stepped(eager, noise, account, whole)
    torch.testing.assert_close(row, its, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(theta, expected, rtol=1e-5, atol=1e-8)
    assert torch.equal(row[0], its[0])


@pytest.mark.parametrize("path", [*PATHS.values(), pytest.param(eager)], ids=[*PATHS, "eager"])
@pytest.mark.parametrize("whole", [True, False], ids=["with the update", "apart"])
def test_a_step_without_noise_spends_nothing(path, whole):
    """What was spent before is still counted; a non-finite sensitivity leaves Λ at 0 for the next step."""
    _, row = stepped(path, Noise(), ACCOUNTS["in the middle"], whole, bad=True)
    _, usual = stepped(path, Noise(), ACCOUNTS["in the middle"], whole)
    assert row[3] == 0 < usual[3]
    assert row[4] == usual[4] > 1e-4
