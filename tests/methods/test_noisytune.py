import numpy as np
import pytest
import torch

from pats import InputError, noisytune_, philox
from pats.methods import Training, create
from support.architectures import Classifier


def fresh():
    torch.manual_seed(0)
    return Classifier()


def test_formula():
    before, after = fresh(), fresh()
    noisytune_(after, intensity=0.3, seed=5)
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        old = old.detach().double().numpy()
        words = philox.words(5, name, 0, 0, old.size, purpose=2).numpy().astype(np.float64)
        uniform = ((words + 0.5) / 2**32 - 0.5).reshape(old.shape)
        # The head is new, and the norms are constant.
        left_alone = name.startswith(("head", "words")) or "norm" in name
        expected = old if left_alone else old + uniform * 0.3 * old.std(ddof=1)
        np.testing.assert_array_equal(new.detach().numpy(), expected.astype(np.float32))


def test_half_width():
    layer = torch.nn.Linear(1000, 1000)
    old = layer.weight.detach().clone()
    noisytune_(layer, intensity=0.15, scope="weight")
    noise = (layer.weight.detach() - old) / old.std()
    assert 0.0749 < float(noise.abs().max()) <= 0.0751
    assert float(noise.std()) == pytest.approx(0.15 / 12**0.5, rel=0.01)
    assert abs(float(noise.mean())) < 3e-4


@pytest.mark.parametrize("value", [[2.0], [2.0, 2.0], [1.0, float("inf")]])
def test_left_alone(value):
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.tensor(value))
    noisytune_(model, scope="all")
    assert torch.equal(model.weight.detach(), torch.tensor(value))


def test_zero_changes_nothing():
    model = fresh()
    noisytune_(model, intensity=0.0)
    for old, new in zip(fresh().parameters(), model.parameters(), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize("intensity", [-1.0, float("nan"), float("inf")])
def test_bad_intensity(intensity):
    with pytest.raises(InputError, match="intensity"):
        noisytune_(fresh(), intensity=intensity)


def test_method_leaves_fresh_parameters_out():
    old, new = fresh(), fresh()
    lacking = "tower.layers.1.dense.weight"
    create("noisytune").prepare_(new, Training(fresh=frozenset([lacking])))
    changed = {
        name
        for (name, a), b in zip(old.named_parameters(), new.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    dense = {f"tower.layers.{n}.dense.{part}" for n in (0, 1) for part in ("weight", "bias")}
    assert changed == dense - {lacking}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtypes_and_layouts(dtype):
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.randn(6, 4, dtype=dtype).t())
    plain = torch.nn.Module()
    plain.weight = torch.nn.Parameter(layer.weight.detach().clone(memory_format=torch.contiguous_format))
    noisytune_(layer, scope="all")
    noisytune_(plain, scope="all")
    assert layer.weight.dtype == dtype
    assert torch.equal(layer.weight, plain.weight)
