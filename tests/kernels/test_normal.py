"""Normal draws of whole tensors: the stream's, whatever draws them."""

import pytest
import torch

from pats import philox
from pats.kernels.normal import standard_normal

UNIT = 2.0**-24


@pytest.mark.parametrize("path", [None, "eager"])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (7, 11), (257, 259), (3, 2**16 + 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_they_are_the_streams(path, shape, dtype, monkeypatch):
    if path is not None:
        monkeypatch.setenv("PATS_KERNEL", path)
    like = torch.zeros(shape, dtype=dtype)
    drawn = standard_normal(2**40 + 3, "layer.0.größe", 5, like, purpose=7)
    exact = philox.draw(2**40 + 3, "layer.0.größe", 5, 0, like.numel(), 1.0, purpose=7).view(shape)
    assert drawn.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert drawn.shape == shape
    bound = 0.0 if dtype == torch.float64 else 4 * UNIT
    assert ((drawn.double() - exact).abs() <= bound * exact.abs().clamp(min=1)).all()


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "b"}, {"step": 2}, {"purpose": 8}], ids=str)
def test_every_coordinate_counts(other):
    at = {"seed": 0, "name": "a", "step": 1, "like": torch.zeros(4, 1000), "purpose": 7}
    one, two = standard_normal(**at), standard_normal(**(at | other))
    assert torch.equal(one, standard_normal(**at))
    assert abs(float((one * two).mean())) < 0.08  # 5 standard deviations
    assert abs(float(one.mean())) < 0.08
    assert float(one.std()) == pytest.approx(1.0, abs=0.06)
