"""The Triton kernels against the stream and plain torch: natively on a GPU, else in Triton's interpreter."""

import pytest
import torch

from pats import kernels, philox
from pats._budget import ROW
from pats._noise import Noise
from pats.kernels import Piece, eager
from pats.kernels import triton as path
from pats.kernels.job import SUMS, TALLY
from pats.kernels.triton import tables
from support.matrix_jobs import (
    BETAS,
    CASES,
    EPS,
    LR,
    NAME,
    SHARDS,
    make_job,
    make_rule,
    make_tensors,
    one_step,
    one_step_of_shards,
)

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
kernel = pytest.importorskip("pats.kernels.triton.kernel")
draws = pytest.importorskip("pats.kernels.triton.draws")
pieces = pytest.importorskip("pats.kernels.triton.pieces")

UNIT = 2.0**-24
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and not path.INTERPRETED, reason="needs a GPU, or TRITON_INTERPRET=1 from the start"
)


def on(*tensors):
    return [tensor.to(DEVICE) for tensor in tensors]


@triton.jit
def dump(row, out, OFF: tl.constexpr, PURPOSE: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    word = pieces.stream_words(row, OFF, tl.full([], 7, tl.uint32), PURPOSE, ALIGNED, BLOCK)
    tl.store(out + tl.arange(0, BLOCK), word.to(tl.int64))


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("start", [0, 2**34 - 32, 2**34, 2**42 + 16, 2**62 - 128])
def test_words_equal_the_stream(start, aligned):
    key0, key1 = philox.key(5, NAME)
    row = dict.fromkeys(tables.PieceRow._fields, 0)
    row |= {"run": 2**62, "stride": 2**62, "start": start, "key": path._signed(key0 | key1 << 32)}
    out = torch.zeros(64, dtype=torch.int64, device=DEVICE)
    dump[(1,)](torch.tensor([*row.values()], device=DEVICE), out, 8, 1, aligned, 64)
    expected = philox.words(5, NAME, 7, start + 8, 64, purpose=1)
    assert torch.equal(out.cpu(), expected.long())


TABLES = {
    "P_": tables.PieceRow._fields,
    "J_": tables.JobRow._fields,
    "A_": ROW,
    "S_": SUMS,
    "T_": TALLY,
}


@pytest.mark.parametrize(("prefix", "names"), TABLES.items(), ids=TABLES)
def test_the_kernels_know_columns_by_the_names_of_the_tables(prefix, names):
    known = {name: getattr(kernel, prefix + name.upper()).value for name in names}
    assert known == {name: number for number, name in enumerate(names)}


def test_the_flags_of_a_piece_are_apart():
    flags = [tables.SIGNED, tables.STD, tables.BY_LR, tables.ROUNDING, tables.NOISY, tables.BUDGET]
    flags += [tables.HEAT, tables.BASE]
    assert sum(flags) == 2 * max(flags) - 1
    assert max(flags) == tables.BASE  # the code of the base update follows


@triton.jit
def quantiles(word, out, threshold, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    z, low = draws.normal_quantile(tl.load(word + at).to(tl.uint32), threshold)
    tl.store(out + at, z.to(tl.float64) + low.to(tl.float64))


@pytest.mark.parametrize("threshold", [2**32, round(0.2 * 2**32), 2**20])
def test_quantile(threshold):
    ends = torch.arange(1024)
    middle = torch.randint(threshold, (2048,), generator=torch.Generator().manual_seed(1))
    word = torch.cat([ends, threshold - 1 - ends, threshold // 2 - 512 + ends, middle])
    out = torch.zeros(len(word), dtype=torch.float64, device=DEVICE)
    quantiles[(len(word) // 1024,)](word.to(DEVICE), out, threshold, 1024)
    exact = philox.normal_quantile(word, threshold)
    assert ((out.cpu() - exact).abs() <= 4 * UNIT * exact.abs().clamp(min=1.0)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_plain_torch(case, dtype):
    case = {"shape": (23, 61), "noise": Noise()} | case
    noise, shape = case.pop("noise"), case.pop("shape")
    if case.pop("dtype", dtype) != dtype or (len(shape) == 1 and shape[0] > 2000):
        shape = (1025,)
    theta, grad, average = on(*make_tensors(shape, dtype))
    ours = one_step(path, theta, grad, average, noise, **case)
    plain = one_step(eager, theta, grad, average, noise, **case)
    torch.testing.assert_close(ours[1], plain[1], rtol=4 * UNIT, atol=2 * UNIT * 1e-4)
    torch.testing.assert_close(ours[2], plain[2], rtol=1e-6, atol=0.0)
    assert torch.equal(ours[3][:2], plain[3][:2])
    torch.testing.assert_close(ours[3][2:4], plain[3][2:4], rtol=1e-5, atol=0.0)
    if dtype == torch.float32:
        q = (plain[0].double() - theta.double()).abs()
        bound = 4 * UNIT * torch.maximum(theta.double().abs(), q)
    else:
        bound = torch.finfo(dtype).eps * plain[0].double().abs() + UNIT
    assert ((ours[0].double() - plain[0].double()).abs() <= bound).all()
    assert torch.equal(ours[0][plain[0] == theta], theta[plain[0] == theta]) or dtype != torch.float32


@pytest.mark.parametrize("name", ["adamax", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("noise", [Noise(), Noise.paper(p=1.0), None], ids=["default", "every entry", "none"])
def test_steps_are_those_of_plain_torch(name, decay, noise):
    theta = on(*make_tensors((33, 32)))[0]
    theirs = [theta, *(torch.zeros_like(theta) for _ in range(3))]
    for step in range(1, 5):
        gradient = on(make_tensors((33, 32), seed=step)[1])[0]
        mine = [t.clone() for t in theirs]  # from equal states at every step
        before = theirs[0].double()
        for walk, (t, m, v, s) in ((path, mine), (eager, theirs)):
            this = make_job(t, gradient, s if noise else None, noise, step=step, maximize=step % 2 == 0)
            this.rule = make_rule(name, m, v, decay)
            walk.step([this])
        bound = torch.maximum(before.abs(), (theirs[0].double() - before).abs())
        assert ((mine[0].double() - theirs[0].double()).abs() <= 4 * UNIT * bound).all()
        torch.testing.assert_close(mine[1], theirs[1], rtol=4 * UNIT, atol=4 * UNIT * 1e-3)
        torch.testing.assert_close(mine[2], theirs[2], rtol=4 * UNIT, atol=0.0)
        torch.testing.assert_close(mine[3], theirs[3], rtol=4 * UNIT, atol=1e-12)


@pytest.mark.parametrize("moments", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("stochastic", [False, True])
def test_bfloat16(moments, stochastic):
    found = []
    for walk in (path, eager):
        theta, grad, average = on(*make_tensors((33, 64), torch.bfloat16))
        first, second = (torch.zeros(33, 64, dtype=moments, device=DEVICE) for _ in range(2))
        this = make_job(theta, grad, average, Noise(), step=1)
        this.rule = make_rule("adamax", first, second, stochastic_rounding=stochastic)
        walk.step([this])
        found.append((theta, first, second))
    assert (found[0][0] != found[1][0]).float().mean() <= 2e-3
    assert torch.equal(found[0][1], found[1][1])
    assert torch.equal(found[0][2], found[1][2])


@pytest.mark.parametrize("base", [None, "adamax"], ids=str)
@pytest.mark.parametrize("cut", SHARDS)
def test_shards_get_the_bits_of_the_whole(cut, base):
    """Uneven, strided and empty parts, in the same launches."""
    tensors = on(*make_tensors((37, 41)))
    whole = [t.clone() for t in tensors]
    this = make_job(*whole, Noise())
    if base is not None:
        whole += [torch.full_like(whole[0], 1e-3) for _ in range(2)]
        this.rule = make_rule(base, *whole[3:], 0.01)
    path.perturb([this], path.measure([this], 1.0))
    parts = one_step_of_shards(path, cut, *tensors, Noise(), base)
    assert sum(part[0].numel() for _, part in parts) == 37 * 41
    for where, part in parts:
        for mine, theirs in zip(part, whole, strict=True):
            assert torch.equal(mine, theirs[where])


def test_elements_beyond_32_bits_of_the_index():
    theta, grad, average = on(*make_tensors((9, 7)))
    pieces = (Piece(0, 63, 2**34 - 32, 2**35, 2**35),)
    after = [t.clone() for t in (theta, theta)]
    for t, walk in zip(after, (path, eager), strict=True):
        this = make_job(t, grad, average.clone(), Noise(p=1.0), numel=2**35, pieces=pieces)
        walk.perturb(
            [this], torch.tensor([[2**35 * 1e-4, 0.0, 2**35 * 3.0]], dtype=torch.float64, device=DEVICE)
        )
    assert not torch.equal(after[0], theta)
    torch.testing.assert_close(after[0], after[1], rtol=4 * UNIT, atol=4 * UNIT * 1e-2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nonfinite_gradient_updates_as_torch_and_adds_no_noise(bad):
    theta, grad, average = on(*make_tensors((9, 9)))
    grad[2, 2] = bad
    theirs = torch.nn.Parameter(theta.clone())
    theirs.grad = grad.clone()
    torch.optim.Adamax([theirs], lr=LR, betas=BETAS, eps=EPS).step()
    kept = average.clone()
    this = make_job(theta, grad, average, Noise(), step=1)
    this.rule = make_rule("adamax", torch.zeros_like(theta), torch.zeros_like(theta))
    sums, tally = path.step([this])
    assert sums[0, 1] == 1
    assert not tally[0, :4].any()
    assert average[2, 2] == kept[2, 2]
    torch.testing.assert_close(theta, theirs.detach(), rtol=1e-6, atol=1e-9, equal_nan=True)


def test_many_matrices_of_mixed_kinds_in_one_step():
    """Sizes, dtypes, moments, layouts, with and without noise: as one at a time, in few launches."""
    rows = [
        ((40, 50), torch.float32, torch.float32, True),
        ((3,), torch.float32, torch.float32, True),
        ((0,), torch.float32, torch.float32, True),
        ((16, 64), torch.bfloat16, torch.bfloat16, True),
        ((31, 20), torch.float16, torch.float32, False),
        ((1025,), torch.float32, torch.float32, False),
        ((), torch.float32, torch.float32, True),
    ]

    def jobs():
        for i, (shape, dtype, moments, noisy) in enumerate(rows):
            theta, grad, average = on(*make_tensors(shape, dtype, seed=i))
            if i == 0:
                theta, grad, average = theta.t(), grad.t(), average.t().contiguous()
            states = [torch.zeros_like(theta, dtype=moments) for _ in range(2)]
            noise = Noise(seed=i) if noisy else None
            more = {"name": str(i), "step": 2, "rule": make_rule("adamw", *states, 0.01)}
            yield make_job(theta, grad, average if noisy else None, noise, **more)

    together, alone = [*jobs()], [*jobs()]
    sums, tally = path.step(together)
    for i, one in enumerate(alone):
        sum_, tally_ = path.step([one])
        assert torch.equal(one.theta, together[i].theta)
        assert torch.equal(one.rule.second, together[i].rule.second)
        assert torch.equal(sum_[0], sums[i])
        assert torch.equal(tally_[0], tally[i])


def test_learning_rate_and_step_are_read_on_the_device():
    noise = Noise(scale="lr", kappa=1.0)
    theta, grad, average = on(*make_tensors((17, 16)))
    found = []
    for moving in (lambda x: x, lambda x: torch.tensor(float(x), device=DEVICE)):
        this = make_job(theta.clone(), grad, average.clone(), noise, step=moving(3), lr=moving(2.0**-10))
        this.rule = make_rule("adamw", torch.zeros_like(theta), torch.zeros_like(theta))
        path.step([this])
        found.append(this.theta)
    assert torch.equal(*found)
    assert not torch.equal(found[0], theta)


def test_environment_chooses_the_path(monkeypatch):
    theta, grad, average = on(*make_tensors((9, 9)))
    monkeypatch.setenv("PATS_KERNEL", "triton")
    (batch,) = kernels.batches([make_job(theta, grad, average, Noise())])
    assert batch.path is path
    (batch,) = kernels.batches([make_job(theta.double(), grad.double(), average.double(), Noise())])
    assert batch.path is eager


def test_refusals():
    theta, grad, average = on(*make_tensors((4, 4)))
    assert path.refusal(make_job(theta, grad, average, Noise())) is None
    assert "float64" in path.refusal(make_job(theta.double(), grad.double(), average, Noise()))
    assert "gradient" in path.refusal(make_job(theta, grad.half(), average, Noise()))
    assert "sensitivity" in path.refusal(make_job(theta, grad, average.double(), Noise()))
    moments = make_rule("adamax", theta.double(), theta.double())
    assert "moments" in path.refusal(make_job(theta, grad, average, Noise(), rule=moments))
