"""The C kernel against the stream, the exact quantile and the plain torch path."""

import dataclasses

import pytest
import torch

from pats import kernels, philox
from pats._errors import InputError
from pats._noise import Noise
from pats.kernels import cpu, eager

ISAS = ("avx512", "avx2", "baseline")
NAME = "encoder.layer.0.attention.weight"
UNIT = 2.0**-24

built = pytest.mark.skipif(cpu.LIBRARY is None, reason="the C kernel has not been built")


@pytest.fixture(params=ISAS)
def isa(request):
    if not cpu.LIBRARY.pats_choose(request.param.encode()):
        pytest.skip(f"this processor lacks {request.param}")
    yield request.param
    cpu.LIBRARY.pats_choose(None)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def made(shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(shape, generator=generator) * 0.05
    grad = torch.randn(shape, generator=generator) * 1e-3
    average = torch.rand(shape, generator=generator) * 1e-4
    return theta.to(dtype), grad.to(dtype), average


def step_of(path, theta, grad, average, noise, **more):
    """Both passes on copies; what they return, and the copies."""
    theta, average = theta.clone(), average.clone()
    measured = path.measure_(average, theta, grad, noise, **more)
    added = path.perturb_(theta, average, measured.mean, noise, name=NAME, step=3, lr=1e-3)
    return theta, average, measured, added


@built
@pytest.mark.parametrize("first", [0, 2**32 - 8, 2**32, 2**40 + 4, 2**62 - 32])
def test_words_equal_the_stream(isa, first):
    out = torch.empty(4 * 29, dtype=torch.int32)
    cpu.LIBRARY.pats_words(out.data_ptr(), first, 29, 7, 1, *philox.key(5, NAME))
    assert torch.equal(out.view(torch.uint32), philox.words(5, NAME, 7, 4 * first, 4 * 29, purpose=1))


@built
@pytest.mark.parametrize("threshold", [2**32, round(0.2 * 2**32), 2**20, 1000003])
def test_quantile(isa, threshold):
    ends = torch.arange(20_000)
    word = torch.cat(
        [
            ends,
            threshold - 1 - ends,
            threshold // 2 - 10_000 + ends,
            torch.randint(threshold, (50_000,), generator=torch.Generator().manual_seed(1)),
        ]
    )
    z = torch.empty(len(word), dtype=torch.float64)
    as_words = word.to(torch.uint32)
    cpu.LIBRARY.pats_normal(z.data_ptr(), as_words.data_ptr(), len(word), threshold)
    exact = philox.normal_quantile(word, threshold)
    # Tighter than promised, and relative near the centre too.
    assert ((z - exact).abs() <= 1.5 * UNIT * exact.abs()).all()


CASES = {
    "matrix": {},
    "paper": {"noise": Noise.paper()},
    "algorithm1": {"noise": Noise(eps=1e-3, eps_mode="algorithm1")},
    "std": {"noise": Noise(intensity="std", lam=1e-3)},
    "signed": {"noise": Noise(signed=True)},
    "lr": {"noise": Noise(lam=None, scale="lr", kappa=1.0)},
    "every entry": {"noise": Noise(p=1.0)},
    "no entry": {"noise": Noise(p=0.0)},
    "no noise": {"noise": Noise(lam=0.0)},
    "much spared": {"noise": Noise(gamma=1.0)},
    "no average": {"noise": Noise(beta=0.0)},
    "maximize": {"maximize": True, "noise": Noise(signed=True)},
    "scaled": {"grad_scale": 1024.0},
    "odd": {"shape": (7, 13)},
    "tile and one": {"shape": (1025,)},
    "block and one": {"shape": (16385,)},
    "one": {"shape": (1,)},
    "no dimension": {"shape": ()},
    "empty": {"shape": (0, 5)},
    "bfloat16": {"dtype": torch.bfloat16},
}


@built
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agrees_with_plain_torch(isa, case):
    case = {"shape": (123, 301), "dtype": torch.float32, "noise": Noise()} | case
    shape, dtype, noise = case.pop("shape"), case.pop("dtype"), case.pop("noise")
    theta, grad, average = made(shape, dtype)
    ours = step_of(cpu, theta, grad, average, noise, **case)
    # The average as ours: the second pass alone is compared, entry by entry.
    exact, mine = ours[1].clone(), ours[0]
    wide = theta.double()
    added = eager.perturb_(wide, exact, ours[2].mean, noise, name=NAME, step=3, lr=1e-3)
    q = (wide - theta.double()).abs()
    if dtype == torch.float32:
        bound = 4 * UNIT * torch.maximum(theta.double().abs(), q)
    else:
        bound = 2.0**-8 * wide.abs() + UNIT
    assert ((mine.double() - wide).abs() <= bound).all()
    assert torch.equal(mine[q == 0], theta[q == 0])
    assert (ours[3].gated, ours[3].zero) == (added.gated, added.zero)
    assert ours[3].square == pytest.approx(added.square, rel=1e-6)
    assert ours[3].sigma_max == pytest.approx(added.sigma_max, rel=1e-6)
    other = step_of(eager, theta, grad, average, noise, **case)
    torch.testing.assert_close(ours[1], other[1], rtol=4 * UNIT, atol=2 * UNIT * 1e-4)
    assert ours[2].mean == pytest.approx(other[2].mean, rel=1e-6)


@built
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_same_bits_on_every_set_and_number_of_threads(dtype, threads):
    theta, grad, average = made((257, 301), dtype)
    found = []
    for name in ISAS:
        for count in (1, 2, 3):
            if cpu.LIBRARY.pats_choose(name.encode()):
                threads(count)
                found.append(step_of(cpu, theta, grad, average, Noise()))
    cpu.LIBRARY.pats_choose(None)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other[:2], found[0][:2], strict=True))
        assert other[2:] == found[0][2:]


LAYOUTS = {
    "transposed": lambda t: t.t(),
    "every second": lambda t: t[:, ::2],
    "column": lambda t: t[:, 1],
    "unaligned": lambda t: t.reshape(-1)[1:],
    "expanded gradient": lambda t: t,
}


@built
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    theta, grad, _ = (LAYOUTS[layout](t) for t in made((40, 31)))
    if layout == "expanded gradient":
        grad = grad[:1].expand_as(theta)
    average = torch.zeros(theta.shape)
    dense = step_of(cpu, theta.contiguous(), grad.contiguous(), average, Noise())
    measured = cpu.measure_(average, theta, grad, Noise())
    cpu.perturb_(theta, average, measured.mean, Noise(), name=NAME, step=3, lr=1e-3)
    assert torch.equal(theta, dense[0])
    assert torch.equal(average, dense[1])


@built
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nonfinite_entries_keep_their_average(isa, bad):
    theta, grad, average = made((50, 41))
    grad[3, 5] = grad[49, 40] = bad
    kept = average.clone()
    measured = cpu.measure_(average, theta, grad, Noise())
    assert measured.nonfinite == 2
    assert average[3, 5] == kept[3, 5]
    assert average[49, 40] == kept[49, 40]
    assert average.isfinite().all()


@built
def test_zero_gradients_add_no_noise(isa):
    theta, grad, average = made((50, 41))
    for noise in (Noise(), Noise.paper(), Noise(eps=0.0)):
        after, _, measured, added = step_of(cpu, theta, torch.zeros_like(grad), average * 0, noise)
        assert measured.mean == 0
        assert added == eager.Added()
        assert torch.equal(after, theta)


@built
def test_no_sensitivity_and_no_eps_count_as_zero(isa):
    theta, grad, average = made((50, 41))
    grad[:, ::2] = 0
    average[:, ::2] = 0
    after, _, _, added = step_of(cpu, theta, grad, average, Noise(eps=0.0, p=1.0))
    assert added.zero >= 50 * 21
    assert torch.equal(after[:, ::2], theta[:, ::2])


@built
def test_negative_zero_stays_where_the_gate_is_closed(isa):
    theta, grad, average = made((64, 64))
    theta[:] = -0.0
    after = step_of(cpu, theta, grad + 1, average, Noise())[0]
    assert torch.signbit(after[after == 0]).all()


@built
def test_versions_are_counted():
    theta, grad, average = made((8, 8))
    before = theta._version, average._version
    measured = cpu.measure_(average, theta, grad, Noise())
    cpu.perturb_(theta, average, measured.mean, Noise(), name=NAME, step=1, lr=1e-3)
    assert theta._version > before[0]
    assert average._version > before[1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_dtypes_take_the_plain_path(dtype):
    theta, grad, average = made((9, 9), dtype)
    average = average.to(torch.float64 if dtype == torch.float64 else torch.float32)
    ours = step_of(kernels, theta, grad, average, Noise())
    plain = step_of(eager, theta, grad, average, Noise())
    assert torch.equal(ours[0], plain[0])
    assert ours[2:] == plain[2:]


@built
def test_environment_forces_a_path(monkeypatch):
    theta, grad, average = made((99, 99))
    bits = {
        "eager": step_of(eager, theta, grad, average, Noise())[0],
        "cpu": step_of(cpu, theta, grad, average, Noise())[0],
    }
    for path, expected in bits.items():
        monkeypatch.setenv("PATS_KERNEL", path)
        assert torch.equal(step_of(kernels, theta, grad, average, Noise())[0], expected)
        assert kernels.info().path == path
    monkeypatch.setenv("PATS_KERNEL", "gpu")
    with pytest.raises(InputError, match="PATS_KERNEL is 'gpu', but must be one of: eager, cpu"):
        kernels.info()


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(cpu, "LIBRARY", None)
    assert dataclasses.asdict(kernels.info()) == {
        "path": "eager",
        "isa": None,
        "threads": torch.get_num_threads(),
    }
    theta, grad, average = made((9, 9))
    assert step_of(kernels, theta, grad, average, Noise())[3].gated > 0
    monkeypatch.setenv("PATS_KERNEL", "cpu")
    with pytest.raises(InputError, match="has not been built"):
        kernels.info()
