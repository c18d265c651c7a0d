import pytest
import torch

from pats import philox
from pats.kernels import draws
from pats.kernels.cpu.library import LIBRARY

CPU = torch.device("cpu")
KEY = philox.key(5, "a weight")
built = pytest.mark.skipif(LIBRARY is None, reason="the C kernel has not been built")


@pytest.fixture(params=["eager", pytest.param("cpu", marks=built)])
def path(request, monkeypatch):
    monkeypatch.setenv("PATS_KERNEL", request.param)
    return request.param


# The first element and the number of them: within a block, over a chunk's end, over the counter's low word.
RANGES = [(0, 7), (3, 1), (5, 70_000), (2**34 - 6, 70_000), (3 << 34, 9)]


@pytest.mark.parametrize(("start", "count"), RANGES)
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 0.75, 1.0])
def test_what_is_kept_is_the_streams(path, start, count, p):
    word = philox.words(5, "a weight", 9, start, count, purpose=6).to(torch.int64)
    found = draws.kept(KEY, 9, start, count, 6, p, CPU)
    assert torch.equal(found, word < round(p * 2**32))


@pytest.mark.parametrize(("start", "count"), RANGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normal_draws_are_the_quantiles_of_the_streams_words(path, start, count, dtype):
    exact = philox.draw(5, "a weight", 9, start, count, 1.0, purpose=7)
    found = draws.normal(KEY, 9, start, torch.Size([count]), 7, dtype, CPU)
    assert found.dtype == dtype
    tolerance = 0.0 if dtype == torch.float64 else 2**-22
    torch.testing.assert_close(found.double(), exact, rtol=tolerance, atol=tolerance)


def test_a_tensor_keeps_its_shape_and_may_be_empty(path):
    flat = draws.normal(KEY, 1, 4, torch.Size([6]), 7, torch.float32, CPU)
    assert torch.equal(draws.normal(KEY, 1, 4, torch.Size([2, 3]), 7, torch.float32, CPU), flat.view(2, 3))
    assert draws.normal(KEY, 1, 4, torch.Size([0, 3]), 7, torch.float32, CPU).shape == (0, 3)
    assert draws.normal(KEY, 1, 4, torch.Size([]), 7, torch.float32, CPU) == flat[0]


UNIT = 2.0**-24


@pytest.mark.parametrize("path", [None, "eager"])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (7, 11), (257, 259), (3, 2**16 + 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_draws_of_a_parameter_are_the_streams(path, shape, dtype, monkeypatch):
    if path is not None:
        monkeypatch.setenv("PATS_KERNEL", path)
    like = torch.zeros(shape, dtype=dtype)
    drawn = draws.normal_like(2**40 + 3, "layer.0.größe", 5, like, purpose=7)
    exact = philox.draw(2**40 + 3, "layer.0.größe", 5, 0, like.numel(), 1.0, purpose=7).view(shape)
    assert drawn.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert drawn.shape == shape
    bound = 0.0 if dtype == torch.float64 else 4 * UNIT
    assert ((drawn.double() - exact).abs() <= bound * exact.abs().clamp(min=1)).all()


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "b"}, {"step": 2}, {"purpose": 8}], ids=str)
def test_every_coordinate_counts(other):
    at = {"seed": 0, "name": "a", "step": 1, "like": torch.zeros(4, 1000), "purpose": 7}
    one, two = draws.normal_like(**at), draws.normal_like(**(at | other))
    assert torch.equal(one, draws.normal_like(**at))
    assert abs(float((one * two).mean())) < 0.08  # 5 standard deviations
    assert abs(float(one.mean())) < 0.08
    assert float(one.std()) == pytest.approx(1.0, abs=0.06)
