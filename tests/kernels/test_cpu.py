"""The C kernel against the stream, the exact quantile and the plain torch path."""

import dataclasses

import pytest
import torch

from pats import kernels, philox
from pats._errors import InputError
from pats._noise import Noise, mean_of
from pats.kernels import Piece, cpu, eager
from pats.kernels.cpu import library
from support.matrix_jobs import (
    CASES,
    NAME,
    SHARDS,
    make_job,
    make_tensors,
    measure_and_perturb,
    one_step,
    one_step_of_shards,
)

ISAS = ("avx512", "avx2", "baseline")
UNIT = 2.0**-24

built = pytest.mark.skipif(library.LIBRARY is None, reason="the C kernel has not been built")


@pytest.fixture(params=ISAS)
def isa(request):
    if not library.LIBRARY.pats_choose(request.param.encode()):
        pytest.skip(f"this processor lacks {request.param}")
    yield request.param
    library.LIBRARY.pats_choose(None)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@built
@pytest.mark.parametrize("first", [0, 2**32 - 8, 2**32, 2**40 + 4, 2**62 - 32])
def test_words_equal_the_stream(isa, first):
    out = torch.empty(4 * 29, dtype=torch.int32)
    library.LIBRARY.pats_words(out.data_ptr(), first, 29, 7, 1, *philox.key(5, NAME))
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
    library.LIBRARY.pats_normal(z.data_ptr(), as_words.data_ptr(), len(word), threshold)
    exact = philox.normal_quantile(word, threshold)
    # Tighter than promised, and relative near the centre too.
    assert ((z - exact).abs() <= 1.5 * UNIT * exact.abs()).all()


# More blocks than are drawn for before their update: the room for draws ends, or that for tiles.
MANY = {
    f"many blocks, p = {p}": {"shape": (18 * 16384 + 77,), "noise": Noise(p=p)} for p in (2**-12, 0.2, 1.0)
}


@built
@pytest.mark.parametrize("case", (CASES | MANY).values(), ids=CASES | MANY)
def test_agrees_with_plain_torch(isa, case):
    case = {"shape": (123, 301), "dtype": torch.float32, "noise": Noise()} | case
    shape, dtype, noise = case.pop("shape"), case.pop("dtype"), case.pop("noise")
    theta, grad, average = make_tensors(shape, dtype)
    ours = one_step(cpu, theta, grad, average, noise, **case)
    # The average as ours: the second pass alone is compared, entry by entry.
    exact, mine = ours[1].clone(), ours[0]
    wide = theta.double()
    settings = {key: value for key, value in case.items() if key != "grad_scale"}
    (added,) = eager.perturb([make_job(wide, grad, exact, noise, **settings)], ours[2][None])
    q = (wide - theta.double()).abs()
    if dtype == torch.float32:
        bound = 4 * UNIT * torch.maximum(theta.double().abs(), q)
    else:
        bound = 2.0**-8 * wide.abs() + UNIT
    assert ((mine.double() - wide).abs() <= bound).all()
    assert torch.equal(mine[q == 0], theta[q == 0])
    assert torch.equal(ours[3][:2], added[:2])
    torch.testing.assert_close(ours[3][2:4], added[2:4], rtol=1e-6, atol=0.0)
    other = one_step(eager, theta, grad, average, noise, **case)
    torch.testing.assert_close(ours[1], other[1], rtol=4 * UNIT, atol=2 * UNIT * 1e-4)
    torch.testing.assert_close(ours[2], other[2], rtol=1e-6, atol=0.0)


@built
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_same_bits_on_every_set_and_number_of_threads(dtype, threads):
    theta, grad, average = make_tensors((257, 301), dtype)
    found = []
    for name in ISAS:
        for count in (1, 2, 3):
            if library.LIBRARY.pats_choose(name.encode()):
                threads(count)
                found.append(one_step(cpu, theta, grad, average, Noise()))
    library.LIBRARY.pats_choose(None)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, found[0], strict=True))


@pytest.mark.parametrize("path", [pytest.param(cpu, marks=built), eager], ids=["cpu", "eager"])
@pytest.mark.parametrize("cut", SHARDS)
@pytest.mark.parametrize("noise", [Noise(), Noise.paper(p=1.0)], ids=["default", "every entry"])
def test_shards_get_the_noise_of_the_whole(path, cut, noise):
    theta, grad, average = make_tensors((37, 41))
    whole = one_step(path, theta, grad, average, noise)
    for where, part in one_step_of_shards(path, cut, theta, grad, average, noise):
        assert torch.equal(part[0], whole[0][where])
        assert torch.equal(part[2], whole[1][where])


@pytest.mark.parametrize("path", [pytest.param(cpu, marks=built), eager], ids=["cpu", "eager"])
def test_elements_beyond_the_low_word_of_the_counter(path):
    """More than 2**34 elements, without allocating them: the shard stands far behind the start."""
    theta, grad, average = make_tensors((9, 7))
    start, numel = 2**34 - 32, 2**35
    pieces = (Piece(0, 63, start, 2**35, 2**35),)
    noise = Noise(scale="constant", p=1.0, lam=1e-2, gamma=0.0, eps=1.0)
    this = make_job(theta.clone(), grad, average, noise, numel=numel, pieces=pieces)
    sums = path.measure([this], 1.0)
    sums[0, 0] = float(this.average.mean()) * numel
    path.perturb([this], sums)
    z = philox.draw(0, NAME, 3, start, 63, 1.0).view(9, 7)
    mean = float(mean_of(sums[:, 0], [numel], torch.float32))
    r = 1e-2 * mean / (this.average.double() + mean)
    torch.testing.assert_close(this.theta.double(), theta + r.sqrt() * z, rtol=1e-6, atol=1e-7)


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
    theta, grad, _ = (LAYOUTS[layout](t) for t in make_tensors((40, 31)))
    if layout == "expanded gradient":
        grad = grad[:1].expand_as(theta)
    average = torch.zeros(theta.shape)
    dense = one_step(cpu, theta.contiguous(), grad.contiguous(), average, Noise())
    measure_and_perturb(cpu, [make_job(theta, grad, average, Noise())])
    assert torch.equal(theta, dense[0])
    assert torch.equal(average, dense[1])


@built
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nonfinite_entries_keep_their_average(isa, bad):
    theta, grad, average = make_tensors((50, 41))
    grad[3, 5] = grad[49, 40] = bad
    after, found, sums, tally = one_step(cpu, theta, grad, average, Noise())
    assert sums[1] == 2
    assert found[3, 5] == average[3, 5]
    assert found[49, 40] == average[49, 40]
    assert found.isfinite().all()
    assert torch.equal(after, theta)
    assert not tally.any()


@built
def test_zero_gradients_add_no_noise(isa):
    theta, grad, average = make_tensors((50, 41))
    for noise in (Noise(), Noise.paper(), Noise(eps=0.0)):
        after, _, sums, tally = one_step(cpu, theta, torch.zeros_like(grad), average * 0, noise)
        assert not sums[:2].any()
        assert not tally.any()
        assert torch.equal(after, theta)


@built
def test_no_sensitivity_and_no_eps_count_as_zero(isa):
    theta, grad, average = make_tensors((50, 41))
    grad[:, ::2] = 0
    average[:, ::2] = 0
    after, _, _, tally = one_step(cpu, theta, grad, average, Noise(eps=0.0, p=1.0))
    assert tally[1] >= 50 * 21
    assert torch.equal(after[:, ::2], theta[:, ::2])


@built
def test_negative_zero_stays_where_the_gate_is_closed(isa):
    theta, grad, average = make_tensors((64, 64))
    theta[:] = -0.0
    after = one_step(cpu, theta, grad + 1, average, Noise())[0]
    assert torch.signbit(after[after == 0]).all()


@built
def test_versions_are_counted():
    theta, grad, average = make_tensors((8, 8))
    before = theta._version, average._version
    measure_and_perturb(cpu, [make_job(theta, grad, average, Noise())])
    assert theta._version > before[0]
    assert average._version > before[1]


def chosen(theta, grad, average, noise):
    """One step on the path that is chosen for the tensors: θ after it, and the path."""
    theta = theta.clone()
    (batch,) = kernels.batches([make_job(theta, grad, average.clone(), noise)])
    batch.perturb(batch.measure())
    return theta, batch.path


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_dtypes_take_the_plain_path(dtype):
    theta, grad, average = make_tensors((9, 9), dtype)
    ours, path = chosen(theta, grad, average, Noise())
    assert path is eager
    assert torch.equal(ours, one_step(eager, theta, grad, average, Noise())[0])


@built
def test_environment_forces_a_path(monkeypatch):
    theta, grad, average = make_tensors((99, 99))
    bits = {
        "eager": one_step(eager, theta, grad, average, Noise())[0],
        "cpu": one_step(cpu, theta, grad, average, Noise())[0],
    }
    for path, expected in bits.items():
        monkeypatch.setenv("PATS_KERNEL", path)
        assert torch.equal(chosen(theta, grad, average, Noise())[0], expected)
        assert kernels.info().path == path
        assert (kernels.info().why is None) == (path == "cpu")
    monkeypatch.setenv("PATS_KERNEL", "gpu")
    with pytest.raises(InputError, match="PATS_KERNEL is 'gpu', but must be one of: eager, cpu, triton"):
        kernels.info()


# PATS_KERNEL, the type of device, the path, and a part of why it is the plain one.
INFOS = [
    (None, "mps", "eager", "on a CPU, not torch.float32 on mps"),
    ("eager", "cuda", "eager", "PATS_KERNEL asks for eager"),
    ("cpu", "cuda", "eager", "on a CPU, not torch.float32 on cuda"),
    ("cpu", "cpu", "cpu", None),
]


@pytest.mark.parametrize("kernel", [True, False])
def test_info_names_the_card_and_what_was_measured_on_it(monkeypatch, kernel):
    monkeypatch.delenv("PATS_KERNEL", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda number: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(kernels.triton, "missing", lambda device, dtype: None if kernel else "no Triton")
    found = kernels.info("cuda")
    assert (found.path, found.card) == ("triton" if kernel else "eager", "NVIDIA H100 80GB HBM3")
    assert str(found).startswith(f"{found.path} (NVIDIA H100 80GB HBM3), ")
    assert ("not been measured" in (found.measured or "")) is kernel
    assert kernels.info("cpu").card is kernels.info("cpu").measured is None


@built
@pytest.mark.parametrize(("wanted", "device", "path", "why"), INFOS)
def test_info_tells_why_no_kernel_runs(monkeypatch, wanted, device, path, why):
    monkeypatch.delenv("PATS_KERNEL", raising=False)
    if wanted is not None:
        monkeypatch.setenv("PATS_KERNEL", wanted)
    found = kernels.info(device)
    assert found.path == path
    assert found.why is None if why is None else why in found.why


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(library, "LIBRARY", None)
    assert dataclasses.asdict(kernels.info()) == {
        "path": "eager",
        "isa": None,
        "threads": torch.get_num_threads(),
        "why": "the C kernel has not been built: install a C compiler and reinstall pats-finetune",
        "card": None,
    }
    theta, grad, average = make_tensors((9, 9))
    assert not torch.equal(chosen(theta, grad, average, Noise())[0], theta)
    monkeypatch.setenv("PATS_KERNEL", "cpu")
    with pytest.raises(InputError, match="has not been built"):
        kernels.info()
