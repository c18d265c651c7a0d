"""Jobs for the tests of the execution paths."""

import torch

from pats._noise import state_dtype
from pats.kernels import Job, Rule, whole

NAME = "encoder.layer.0.attention.weight"
LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


def made(shape, dtype=torch.float32, seed=0):
    """θ, ∇L and s̄."""
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(shape, generator=generator) * 0.05
    grad = torch.randn(shape, generator=generator) * 1e-3
    average = torch.rand(shape, generator=generator) * 1e-4
    theta = theta.to(dtype)
    return theta, grad.to(dtype), average.to(state_dtype(theta))


def job(theta, grad, average, noise, **more):
    settings = {"name": NAME, "step": 3, "lr": LR, "pieces": whole(theta.numel()), "numel": theta.numel()}
    settings |= {"seed": noise.seed if noise else 0} | more
    name, numel, pieces = (settings.pop(key) for key in ("name", "numel", "pieces"))
    return Job(theta, grad, name, numel, pieces, noise, average, **settings)


def rule(name, first, second, decay=0.0, **more):
    return Rule(name, BETAS, EPS, decay, first, second, **more)


def halves(path, jobs, grad_scale=1.0):
    """Both halves of a step, apart: sums and tally."""
    sums = path.measure(jobs, grad_scale)
    return sums, path.perturb(jobs, sums)


def step_of(path, theta, grad, average, noise, grad_scale=1.0, **more):
    """Both passes on copies: θ, s̄, sums and tally of the one job."""
    theta, average = theta.clone(), average.clone()
    sums, tally = halves(path, [job(theta, grad, average, noise, **more)], grad_scale)
    return theta, average, sums[0], tally[0]
