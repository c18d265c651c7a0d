"""Adamax and AdamW with the noise in one call: against float64, against torch and against plain torch."""

import pytest
import torch

from pats._noise import Noise
from pats.kernels import cpu, eager
from pats.kernels.cpu import library
from support.matrix_jobs import BETAS, EPS, LR, make_job, make_rule, measure_and_perturb

UNIT = 2.0**-24
COUNT = 30_000

built = pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")
PATHS = [pytest.param(cpu, marks=built, id="cpu"), pytest.param(eager, id="eager")]


def made(shape, dtype, seed=0, moments=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    theta = (torch.randn(shape, generator=generator) * 0.05).to(dtype)
    return theta, torch.zeros(shape, dtype=moments), torch.zeros(shape, dtype=moments), torch.zeros(shape)


def spread(theta):
    """Entries of all sizes, from far above an update to far below it."""
    generator = torch.Generator().manual_seed(7)
    return theta * 10 ** -torch.empty(theta.shape).uniform_(0, 6, generator=generator)


def gradient(theta, step):
    grad = torch.randn(theta.shape, generator=torch.Generator().manual_seed(100 + step)) * 1e-3
    return grad.to(theta.dtype)


def exact_update(name, theta, grad, first, second, step, decay, maximize):
    """θ, m, and u or v after the base update, in float64."""
    g = (-grad if maximize else grad) + (decay * theta if name == "adamax" else 0)
    first = BETAS[0] * first + (1 - BETAS[0]) * g
    size = LR / (1 - BETAS[0] ** step)
    if name == "adamax":
        second = torch.maximum(BETAS[1] * second, g.abs() + EPS)
        return theta - size * first / second, first, second
    second = BETAS[1] * second + (1 - BETAS[1]) * g * g
    norm = second.sqrt() / (1 - BETAS[1] ** step) ** 0.5 + EPS
    return theta * (1 - LR * decay) - size * first / norm, first, second


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["adamax", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("shape", "noise", "maximize"),
    [
        ((123, 301), Noise(), False),
        ((123, 301), Noise.paper(p=1.0), True),
        ((123, 301), None, False),
        ((301, 123), Noise(), False),
        ((301, 123), Noise(scale="constant", lam=1e-3), False),
        ((16385,), Noise(scale="constant", intensity="std", lam=1e-3), False),
        ((1,), Noise(p=1.0), False),
        ((), Noise(), False),
        ((0, 3), Noise(), False),
    ],
    ids=[
        "matrix",
        "every entry",
        "no noise",
        "all sizes",
        "all sizes, much noise",
        "block and one",
        "one",
        "no dimension",
        "empty",
    ],
)
def test_steps_are_exact(path, name, decay, shape, noise, maximize):
    theta, first, second, average = made(shape, torch.float32)
    theta = spread(theta) if shape == (301, 123) else theta
    for step in range(1, 6):
        grad = gradient(theta, step)
        wide = [t.double() for t in (theta, grad, first, second)]
        base, m, v = exact_update(name, *wide, step, decay, maximize)
        kept, before = average.clone(), wide[0]
        settings = {"maximize": maximize, "step": step, "name": "w"}
        this = make_job(theta, grad, average if noise else None, noise, **settings)
        this.rule = make_rule(name, first, second, decay)
        sums, (tally,) = path.step([this])
        exact = base.clone()
        if noise:
            told = eager.measure([make_job(before.float(), grad, kept, noise, **settings)], 1.0)
            torch.testing.assert_close(average, kept, rtol=4 * UNIT, atol=1e-12)
            torch.testing.assert_close(sums, told, rtol=1e-6, atol=0.0)
            (added,) = eager.perturb([make_job(exact, grad, average, noise, **settings)], sums)
            assert torch.equal(tally[:2], added[:2])
            torch.testing.assert_close(tally[2:4], added[2:4], rtol=1e-6, atol=0.0)
        bound = torch.stack([before.abs(), (base - before).abs(), (exact - base).abs()]).amax(0)
        assert ((theta.double() - exact).abs() <= 4 * UNIT * bound).all()
        torch.testing.assert_close(first.double(), m, rtol=4 * UNIT, atol=4 * UNIT * 1e-3)
        torch.testing.assert_close(second.double(), v, rtol=4 * UNIT, atol=0.0)
        update = (base - before).reshape(-1)
        part = 512 if path is cpu else 16384
        observed = [block[:part] for block in update.split(16384)]
        square = sum(float(part.square().sum()) for part in observed)
        assert float(tally[4]) == pytest.approx(square, rel=1e-5)
        assert tally[5] == sum(part.numel() for part in observed)


@built
@pytest.mark.parametrize("eps", [1e-8, 1e-20, 0.0])
@pytest.mark.parametrize("size", [1e-43, 1e-30, 1e-20, 1e-3, 1e18, 1e30, 5e37])
@pytest.mark.parametrize("name", ["adamax", "adamw"])
def test_gradients_of_any_size(name, size, eps):
    """A norm near the ends of float32 costs no exactness; a square beyond them is infinite, as torch's."""
    theta, first, second, _ = made((301,), torch.float32)
    # Weights beside which what is denormal weighs: the moments, or the reciprocal of the norm.
    theta *= 1e-35 if size < 1e-40 else 0.1
    grad = (gradient(theta, 1).double() * (size / 1e-3)).float()
    grad[grad == 0] = size  # without eps, 0 / 0 would be asked
    wide = [t.double() for t in (theta, grad, first, second)]
    this = make_job(theta, grad, None, None, step=1, rule=make_rule(name, first, second))
    this.rule.eps = eps
    cpu.step([this])
    change = LR * wide[1] / (wide[1].abs() + eps)
    if name == "adamw" and size > 1e20:
        change = torch.zeros_like(change)
    exact = wide[0] - change
    bound = torch.maximum(wide[0].abs(), change.abs())
    # Half a step of denormal numbers is the rounding of the smallest weights.
    assert ((theta.double() - exact).abs() <= 4 * UNIT * bound + 2.0**-150).all()


@built
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["adamax", "adamw"])
def test_same_bits_on_every_set_and_wherever_an_entry_stands(name, dtype):
    """Where float32 is enough is asked entry by entry, not row by row."""
    theta = spread(made((3001,), torch.float32)[0])
    assert 0.1 < float((theta.abs() < 4 * LR).float().mean()) < 0.9  # both ways
    theta, found = theta.to(dtype), []
    for isa in ("avx512", "avx2", "baseline"):
        if not library.LIBRARY.pats_choose(isa.encode()):
            continue
        for size in (3001, 1, 7, 100):
            whole = [t.clone() for t in (theta, theta.float() * 1e-2, theta.float().abs() * 1e-2)]
            for at in range(0, 3001, size):
                part, first, second = (t[at : at + size] for t in whole)
                grad = gradient(theta, 1)[at : at + size]
                cpu.step([make_job(part, grad, None, None, rule=make_rule(name, first, second), step=4)])
            found.append(whole)
    library.LIBRARY.pats_choose(None)
    assert not torch.equal(found[0][0], theta)
    for other in found[1:]:
        assert all(map(torch.equal, other, found[0]))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "torchs"), [("adamax", torch.optim.Adamax), ("adamw", torch.optim.AdamW)])
def test_without_noise_follows_torch(path, name, torchs):
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
            second.copy_(state["exp_inf" if name == "adamax" else "exp_avg_sq"])
        before = theta.abs()
        path.step(
            [
                make_job(
                    theta,
                    theirs.grad,
                    None,
                    None,
                    step=step,
                    rule=make_rule(name, first, second, 0.01),
                    name="w",
                )
            ]
        )
        optimizer.step()
        assert ((theta - theirs).abs() <= 2 * 2.0**-23 * before.clamp(min=LR)).all()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("moments", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["adamax", "adamw"])
def test_bfloat16_is_rounded_once(path, moments, name):
    theta, first, second, average = made((65, 33), torch.bfloat16, moments=moments)
    wide = theta.float()
    states = [first.clone().float(), second.clone().float(), average.clone()]
    grad = gradient(theta, 1)
    path.step([make_job(theta, grad, average, Noise(), rule=make_rule(name, first, second), step=1)])
    path.step([make_job(wide, grad.float(), states[2], Noise(), rule=make_rule(name, *states[:2]), step=1)])
    # The plain path rounds from float64, so a tie in float32 may fall to the other side.
    assert (theta != wide.to(torch.bfloat16)).sum() <= (0 if path is cpu else 2)
    assert torch.equal(average, states[2])
    assert torch.equal(first, states[0].to(moments))
    assert torch.equal(second, states[1].to(moments))


@built
@pytest.mark.parametrize("noise", [Noise(), None], ids=["noise", "no noise"])
def test_stochastic_rounding_is_the_streams(noise):
    """Bit by bit as the plain path, wherever both hold the same value before rounding."""
    found = []
    for path in (cpu, eager):
        theta, first, second, average = made((129, 65), torch.bfloat16)
        this = make_job(theta, gradient(theta, 1), average if noise else None, noise, step=1)
        this.rule = make_rule("adamax", first, second, stochastic_rounding=True)
        path.step([this])
        found.append(theta)
    differ = found[0] != found[1]
    assert differ.float().mean() < 1e-3
    assert not torch.equal(found[0], made((129, 65), torch.bfloat16)[0])


@pytest.mark.parametrize("path", PATHS)
def test_stochastic_rounding_keeps_small_updates_on_average(path):
    """An update of a 50th of a unit in the last place is lost by rounding, and kept on average at random."""
    size = 0.02 * 2.0**-8
    ends = {}
    for stochastic in (True, False):
        theta = torch.ones(COUNT, dtype=torch.bfloat16)
        for step in range(1, 26):
            first, second = torch.full((COUNT,), -1.0), torch.ones(COUNT)
            this = make_job(theta, torch.full_like(theta, -1.0), None, None, step=step)
            this.rule = make_rule("adamax", first, second, stochastic_rounding=stochastic)
            this.lr = size * (1 - BETAS[0] ** step)
            path.step([this])
        ends[stochastic] = float(theta.double().mean()) - 1
    assert ends[False] == 0
    assert ends[True] == pytest.approx(25 * size, rel=0.05)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(("name", "torchs"), [("adamax", torch.optim.Adamax), ("adamw", torch.optim.AdamW)])
def test_nonfinite_gradient_updates_as_torch_and_adds_no_noise(path, bad, name, torchs):
    theta, first, second, average = made((9, 9), torch.float32)
    theirs = torch.nn.Parameter(theta.clone())
    theirs.grad = gradient(theta, 1)
    theirs.grad[2, 2] = bad
    torchs([theirs], lr=LR, weight_decay=0.0).step()
    this = make_job(theta, theirs.grad, average, Noise(), rule=make_rule(name, first, second), step=1)
    sums, tally = path.step([this])
    assert sums[0, 1] == 1
    assert not tally[0, :4].any()
    torch.testing.assert_close(theta, theirs.detach(), rtol=1e-6, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("path", PATHS)
def test_many_parameters_equal_one_at_a_time(path):
    shapes = [(40, 50), (3,), (0,), (130, 131)]
    together, alone, apart = (
        [made(shape, torch.float32, i) for i, shape in enumerate(shapes)] for _ in range(3)
    )

    def jobs(tensors):
        return [
            make_job(t, gradient(t, i), a, Noise(), rule=make_rule("adamw", m, v, 0.01), step=1, name=str(i))
            for i, (t, m, v, a) in enumerate(tensors)
        ]

    path.step(jobs(together))
    for one in jobs(alone):
        path.step([one])
    measure_and_perturb(path, jobs(apart))
    for other in (alone, apart):
        assert all(
            torch.equal(a, b) for x, y in zip(together, other, strict=True) for a, b in zip(x, y, strict=True)
        )


LAYOUTS = {
    "transposed": lambda t: t.t(),
    "every second": lambda t: t[:, ::2],
    "unaligned": lambda t: t.reshape(-1)[1:],
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(path, layout):
    theta, first, second, average = made((40, 31), torch.float32)
    grad = gradient(theta, 1)
    views = [LAYOUTS[layout](t) for t in (theta, grad, first, second)]
    average = LAYOUTS[layout](average).contiguous()
    dense = [t.contiguous().clone() for t in (*views, average)]
    path.step([make_job(*views[:2], average, Noise(), rule=make_rule("adamax", *views[2:]), step=1)])
    path.step([make_job(*dense[:2], dense[4], Noise(), rule=make_rule("adamax", *dense[2:4]), step=1)])
    for view, copy in zip((*views, average), dense, strict=True):
        assert torch.equal(view, copy)


@built
def test_refusals():
    ok, average = torch.zeros(4, 4), torch.zeros(4, 4)

    def why(theta, grad=None, average=average, moments=ok):
        grad = theta if grad is None else grad
        return cpu.refusal(
            make_job(theta, grad, average, Noise(), rule=make_rule("adamax", moments, moments))
        )

    assert why(ok) is None
    assert why(ok.t(), ok[:, ::2]) is None
    assert "float64" in why(ok.double())
    assert "float16" in why(ok, ok.half())
    assert "dense" in why(ok, ok.to_sparse())
    assert "sensitivity" in why(ok, average=average.double())
    assert "moments" in why(ok, moments=ok.bfloat16())
    assert why(ok.bfloat16(), moments=ok.bfloat16()) is None
