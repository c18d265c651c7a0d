"""Adamax and AdamW with the noise in one call, against float64 and against torch."""

import pytest
import torch

from pats._noise import Noise
from pats.kernels import cpu, eager
from pats.kernels.cpu import fused

UNIT = 2.0**-24
LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8

pytestmark = pytest.mark.skipif(cpu.LIBRARY is None, reason="the C kernel has not been built")


def made(shape, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    theta = (torch.randn(shape, generator=generator) * 0.05).to(dtype)
    return theta, *(torch.zeros(shape) for _ in range(3))


def gradient(theta, step):
    grad = torch.randn(theta.shape, generator=torch.Generator().manual_seed(100 + step)) * 1e-3
    return grad.to(theta.dtype)


def exact_update(rule, theta, grad, first, second, step, decay, maximize):
    """θ, m, and u or v after the base update, in float64."""
    g = (-grad if maximize else grad) + (decay * theta if rule == "adamax" else 0)
    first = BETAS[0] * first + (1 - BETAS[0]) * g
    size = LR / (1 - BETAS[0] ** step)
    if rule == "adamax":
        second = torch.maximum(BETAS[1] * second, g.abs() + EPS)
        return theta - size * first / second, first, second
    second = BETAS[1] * second + (1 - BETAS[1]) * g * g
    norm = second.sqrt() / (1 - BETAS[1] ** step) ** 0.5 + EPS
    return theta * (1 - LR * decay) - size * first / norm, first, second


@pytest.mark.parametrize("rule", ["adamax", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("shape", "noise", "maximize"),
    [
        ((123, 301), Noise(), False),
        ((123, 301), Noise.paper(p=1.0), True),
        ((123, 301), None, False),
        ((16385,), Noise(intensity="std", lam=1e-3), False),
        ((1,), Noise(p=1.0), False),
        ((), Noise(), False),
        ((0, 3), Noise(), False),
    ],
    ids=["matrix", "every entry", "no noise", "block and one", "one", "no dimension", "empty"],
)
def test_steps_are_exact(rule, decay, shape, noise, maximize):
    theta, first, second, average = made(shape, torch.float32)
    for step in range(1, 6):
        grad = gradient(theta, step)
        wide = [t.double() for t in (theta, grad, first, second)]
        base, m, v = exact_update(rule, *wide, step, decay, maximize)
        kept = average.clone()
        job = fused.Job(
            theta,
            grad,
            first,
            second,
            getattr(fused, rule)(LR, BETAS, EPS, decay, step),
            LR,
            step,
            maximize,
            noise,
            average if noise else None,
            "w",
        )
        before = wide[0]
        (stepped,) = fused.step_([job])
        exact = base.clone()
        if noise:
            measured = eager.measure_(kept, before.float(), grad, noise, maximize)
            torch.testing.assert_close(average, kept, rtol=4 * UNIT, atol=1e-12)
            assert stepped.measured.mean == pytest.approx(measured.mean, rel=1e-6)
            added = eager.perturb_(exact, average, stepped.measured.mean, noise, name="w", step=step, lr=LR)
            assert (stepped.added.gated, stepped.added.zero) == (added.gated, added.zero)
            assert stepped.added.square == pytest.approx(added.square, rel=1e-6)
        bound = torch.stack([before.abs(), (base - before).abs(), (exact - base).abs()]).amax(0)
        assert ((theta.double() - exact).abs() <= 4 * UNIT * bound).all()
        torch.testing.assert_close(first.double(), m, rtol=4 * UNIT, atol=4 * UNIT * 1e-3)
        torch.testing.assert_close(second.double(), v, rtol=4 * UNIT, atol=0.0)
        update = (base - before).reshape(-1)
        observed = [part for block in update.split(16384) for part in block[:1024]]
        square = sum(float(part) ** 2 for part in observed) / max(len(observed), 1)
        assert stepped.update_square == pytest.approx(square, rel=1e-5)


@pytest.mark.parametrize(("rule", "torchs"), [("adamax", torch.optim.Adamax), ("adamw", torch.optim.AdamW)])
def test_without_noise_follows_torch(rule, torchs):
    theta, first, second, _ = made((77, 51), torch.float32)
    theirs = torch.nn.Parameter(theta.clone())
    optimizer = torchs([theirs], lr=LR, betas=BETAS, eps=EPS, weight_decay=0.01)
    for step in range(1, 11):
        with torch.no_grad():
            theta.copy_(theirs)
        theirs.grad = gradient(theta, step)
        if step > 1:
            state = optimizer.state[theirs]
            first.copy_(state["exp_avg"])
            second.copy_(state["exp_inf" if rule == "adamax" else "exp_avg_sq"])
        before = theta.abs()
        base = getattr(fused, rule)(LR, BETAS, EPS, 0.01, step)
        fused.step_([fused.Job(theta, theirs.grad, first, second, base, LR, step)])
        optimizer.step()
        assert ((theta - theirs).abs() <= 2 * 2.0**-23 * before.clamp(min=LR)).all()


def test_bfloat16_is_rounded_once():
    theta, first, second, average = made((65, 33), torch.bfloat16)
    wide = theta.float()
    states = [t.clone() for t in (first, second, average)]
    grad = gradient(theta, 1)
    base = fused.adamax(LR, BETAS, EPS, 0.0, 1)
    fused.step_(
        [fused.Job(theta, grad, first, second, base, LR, 1, noise=Noise(), average=average, name="w")]
    )
    job = fused.Job(wide, grad.float(), *states[:2], base, LR, 1, noise=Noise(), average=states[2], name="w")
    fused.step_([job])
    assert torch.equal(theta, wide.to(torch.bfloat16))
    assert torch.equal(average, states[2])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nonfinite_gradient_updates_as_torch_and_adds_no_noise(bad):
    theta, first, second, average = made((9, 9), torch.float32)
    theirs = torch.nn.Parameter(theta.clone())
    theirs.grad = gradient(theta, 1)
    theirs.grad[2, 2] = bad
    torch.optim.Adamax([theirs], lr=LR).step()
    base = fused.adamax(LR, BETAS, EPS, 0.0, 1)
    job = fused.Job(theta, theirs.grad, first, second, base, LR, 1, noise=Noise(), average=average, name="w")
    (stepped,) = fused.step_([job])
    assert stepped.measured.nonfinite == 1
    assert stepped.added == eager.Added()
    torch.testing.assert_close(theta, theirs.detach(), rtol=1e-6, atol=1e-9, equal_nan=True)


def test_many_parameters_equal_one_at_a_time():
    shapes = [(40, 50), (3,), (0,), (130, 131)]
    together, alone = ([made(shape, torch.float32, i) for i, shape in enumerate(shapes)] for _ in range(2))
    base = fused.adamw(LR, BETAS, EPS, 0.01, 1)

    def jobs(tensors):
        return [
            fused.Job(t, gradient(t, i), m, v, base, LR, 1, noise=Noise(), average=a, name=str(i))
            for i, (t, m, v, a) in enumerate(tensors)
        ]

    fused.step_(jobs(together))
    for job in jobs(alone):
        fused.step_([job])
    assert all(
        torch.equal(a, b) for x, y in zip(together, alone, strict=True) for a, b in zip(x, y, strict=True)
    )


def test_refusals():
    ok, grad = torch.zeros(4, 4), torch.zeros(4, 4)
    assert fused.refusal(ok, grad, ok) is None
    assert "float64" in fused.refusal(ok.double(), grad.double(), ok)
    assert "state_dtype" in fused.refusal(ok.bfloat16(), grad.bfloat16(), ok.bfloat16())
    assert "contiguous" in fused.refusal(ok.t(), grad[:, ::2], ok)
