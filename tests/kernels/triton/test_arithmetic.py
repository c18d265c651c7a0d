"""The Triton kernels against float64 where float32 ends: denormals, huge and tiny numbers, tails, no ε.

The bound is the contract's: θ within 4·2⁻²⁴·max(|θ|, |Δ|, |q|) of a float64 step, moments within four units
of their own, and two of the smallest number that a float32 is.
"""

import itertools

import pytest
import torch

from pats import philox
from pats._noise import Noise
from pats.kernels import triton as path
from pats.kernels import update
from support.matrix_jobs import NAME, make_job, make_rule, make_tensors

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
quantiles = pytest.importorskip("pats.kernels.triton.draws")

UNIT, SMALLEST = 2.0**-24, 2.0**-149
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not path.INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1 from the start"
)

VALUES = (0.0, 1e-45, 3e-39, 1e-30, 1e-12, 1e-3, 1.0, 7e4, 1e19, 1e30)


def extremes(seed, count=500):
    """θ, ∇L and m of very different sizes, one beside another, and non-negative ones for u or v."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.tensor(VALUES, dtype=torch.float64)

    def some():
        picked = values[torch.randint(len(values), (count,), generator=draw)]
        sign = torch.randint(2, (count,), generator=draw) * 2 - 1
        return (picked * (0.5 + torch.rand(count, generator=draw)) * sign).float()

    theta, grad, first, second = some(), some(), some(), some().abs()
    first[::7] = -grad[::7] / 9  # the new m nearly vanishes
    second[::3] = grad[::3].abs()
    return theta, grad, first, second


def exact(name, decay, eps, lr, step, theta, grad, first, second):
    """Δ, m and u or v in float64; the norm is of what float32 stores, as torch's."""
    wide = [t.double() for t in (theta, grad, first, second)]
    rule = make_rule(name, wide[2], wide[3], decay)
    rule.eps = eps
    mean, spread = update.moments(rule, *wide)
    change = update.change(rule, wide[0], mean, spread.float().double(), lr, step)
    return change, mean, spread


def close(found, expected, scale, floor=0.0):
    """Whether values agree within the contract's bound, NaN and infinity with their like."""
    found, expected = found.double(), expected.double()
    off = (found - expected.float().double()).abs() <= 4 * UNIT * scale + floor
    same = (found == expected.float()) | (found.isnan() & expected.isnan())
    return off | same


SETTINGS = [
    *itertools.product(("adamax", "adamw"), (0.0, 0.1), (1e-8,), (1e-3,), (1, 1000)),
    ("adamax", 0.0, 0.0, 1e-3, 3),
    ("adamw", 0.0, 0.0, 1e-3, 3),
    ("adamw", 0.5, 1e-30, 1e25, 3),
    ("adamax", 10.0, 1e-30, 1e25, 3),
    ("adamax", 0.0, 1e-8, 1e-35, 1),
    ("adamw", 0.01, 1e-8, 0.0, 1),
]


@pytest.mark.parametrize(("name", "decay", "eps", "lr", "step"), SETTINGS)
def test_base_updates_of_extreme_numbers(name, decay, eps, lr, step):
    before = extremes(seed=step)
    theta, grad, first, second = (t.clone().to(DEVICE) for t in before)
    job = make_job(theta, grad, None, None, step=step, lr=lr)
    job.rule = make_rule(name, first, second, decay)
    job.rule.eps = eps
    _, tally = path.step([job])
    change, mean, spread = exact(name, decay, eps, lr, step, *before)
    scale = torch.maximum(before[0].double().abs(), change.abs())
    assert close(theta.cpu(), before[0].double() - change, scale).all()
    parts = (0.9 * before[2].double()).abs() + 0.1 * before[1].double().abs()
    assert close(first.cpu(), mean, mean.abs() + 2.0**-20 * parts, 2 * SMALLEST).all()
    assert close(second.cpu(), spread, spread.abs(), 2 * SMALLEST).all()
    square, observed = tally[0, -2:].cpu()
    assert observed == len(theta)
    torch.testing.assert_close(
        square, change.float().double().square().sum(), rtol=1e-6, atol=0, equal_nan=True
    )


@triton.jit
def draws(word, out, threshold, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    z, low = quantiles.normal_quantile(tl.load(word + at).to(tl.uint32), tl.load(threshold))
    tl.store(out + at, z.to(tl.float64) + low.to(tl.float64))


@pytest.mark.parametrize("p", [2.0**-k for k in range(13)] + [0.2, 0.3, 1 - 2.0**-32])
def test_draws_of_every_p_in_the_tails_and_the_middle(p):
    top = philox.threshold(p)
    spread = [round(top * part) for part in (2**-20, 1e-4, 1.2e-3, 1.3e-3, 0.1, 0.4999, 0.9, 0.99875, 0.9988)]
    word = torch.tensor([0, 1, 2, *spread, top // 2 - 1, top // 2, top - 2, top - 1])
    out = torch.zeros(16, dtype=torch.float64, device=DEVICE)
    draws[(1,)](word.to(DEVICE), out, torch.tensor([top], device=DEVICE), 16)
    expected = philox.normal_quantile(word, top)
    assert ((out.cpu() - expected).abs() <= 2 * UNIT * expected.abs().clamp(min=2.0**-20)).all()


@pytest.mark.parametrize("mean", [1e-38, 1e-30, 1e-5, 1e10, 1e30])
@pytest.mark.parametrize("intensity", ["variance", "std"])
@pytest.mark.parametrize("lam", [1e-30, 1e-6, 1e12])
def test_noise_of_extreme_averages(mean, intensity, lam):
    noise = Noise.paper(p=1.0, gamma=0.5, eps=0.0, lam=lam, intensity=intensity)
    part = torch.tensor([0.0, 1e-45, 1e-20, 1e-10, 1e-3, 0.5, 1.0, 1.9999999, 2.0, 3.0, 1e10, -1.0])
    average = (part.double() * mean).float()
    theta, grad, _ = make_tensors(average.shape)
    theta[::2] = 0.0
    job = make_job(theta.clone().to(DEVICE), grad, average.to(DEVICE), noise)
    sums = torch.tensor([[mean * len(part), 0.0, 0.0]], dtype=torch.float64, device=DEVICE)
    path.perturb([job], sums)
    s = torch.tensor(mean).double()
    r = (s / average.double() - noise.gamma) * lam
    r = torch.where((r > 0) & r.isfinite(), r, 0.0)
    sigma = r if intensity == "std" else r.sqrt()
    word = philox.words(noise.seed, NAME, 3, 0, len(part)).long()
    q = sigma * philox.normal_quantile(word, 2**32)
    scale = torch.maximum(theta.double().abs(), q.abs())
    assert close(job.theta.cpu(), theta.double() + q, scale).all()
