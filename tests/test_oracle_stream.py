"""The noise stream against ``oracle.py``, and its statistics, each with a control that must fail."""

import numpy as np
import pytest
import torch

import pats
from support import oracle

NAMES = ["encoder.layer.0.output.dense.weight", "schicht.größe", "层.权重", ""]


@pytest.mark.parametrize(
    ("counter", "key", "known"),
    [
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_the_oracle_gives_the_known_answers(counter, key, known):
    assert " ".join(f"{word:08x}" for word in oracle.philox(counter, key)) == known


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("purpose", range(5))
@pytest.mark.parametrize("start", [0, 1, 3, 65_535, 2**32 - 2, 2**34 + 5, 2**50 - 3, 2**63 - 9])
def test_words_and_draws(name, purpose, start):
    for seed, step, count in ((0, 1, 37), (2**40 + 1, 2**32 - 1, 5), (-7, 0, 1), (3, 113_000, 0)):
        where = (seed, name, step, start, count)
        expected = oracle.words(*where, purpose)
        assert np.array_equal(pats.philox.words(*where, purpose=purpose).numpy(), expected)
        for i in range(min(count, 5)):  # the oracle itself, by its plain form
            e = start + i
            counter = (e // 4 & oracle.LOW32, e // 4 >> 32, step, purpose)
            assert oracle.philox(counter, oracle.key_of(seed, name))[e % 4] == expected[i]
        for p in (2**-12, 0.2, 0.5, 1):
            drawn = pats.philox.draw(*where, p, purpose=purpose)
            assert drawn.dtype == torch.float64
            np.testing.assert_allclose(drawn.numpy(), oracle.draw(*where, p, purpose), 1e-13, 1e-13)


# Every statistic is told in its standard errors, and the bound is five: chance passes it once in 1.7
# million, and the seeds are fixed. The controls are errors that an implementation could make.
SIGMAS = 5.0
N, P = 10**7, 0.2


def _moments(draws, p):
    """How far the gate and the first four Hermite moments are from their values."""
    z = draws[draws != 0]
    n, z2 = len(z), z * z
    return {
        "gate": (n / len(draws) - p) / (p * (1 - p) / len(draws)) ** 0.5,
        "mean": z.mean() * n**0.5,
        "variance": (z2 - 1).mean() / (2 / n) ** 0.5,
        "skewness": (z2 * z - 3 * z).mean() / (6 / n) ** 0.5,
        "kurtosis": (z2 * z2 - 6 * z2 + 3).mean() / (24 / n) ** 0.5,
    }


def _quantile_of_the_whole_range(draws):
    """The gated word, divided by 2**32 and not by T."""
    word = oracle.words(0, "a", 1, 0, 10**5)
    return np.where(word < P * 2**32, oracle.quantile(word, 2**32), 0.0)


CONTROLS = {
    "gate": ("gate", lambda d: np.where(np.arange(len(d)) % 200 == 0, 0.0, d)),  # p is 0.199
    "shift": ("mean", lambda d: np.where(d != 0, d + 0.004, 0.0)),
    "quantile": ("mean", _quantile_of_the_whole_range),
    "scale": ("variance", lambda d: 1.005 * d),
    "one tail": ("skewness", lambda d: d.clip(max=2.5)),
    "both tails": ("kurtosis", lambda d: d.clip(-3.0, 3.0)),
}


@pytest.fixture(scope="module")
def draws():
    return pats.philox.draw(0, "a", 1, 0, N, P).numpy()


def test_moments(draws):
    off = _moments(draws, P)
    assert max(map(abs, off.values())) < SIGMAS, off


@pytest.mark.parametrize(("moment", "control"), CONTROLS.values(), ids=list(CONTROLS))
def test_a_wrong_draw_fails_the_moments(draws, moment, control):
    assert abs(_moments(control(draws), P)[moment]) > SIGMAS


def test_ten_million_draws_equal_the_oracle(draws):
    np.testing.assert_allclose(draws, oracle.draw(0, "a", 1, 0, N, P), 1e-13, 1e-13)
    assert np.abs(draws).max() > 4.9  # so far the tails were met


M = 10**6


def _correlations(x, y):
    """How far values, sizes and gates are from independence."""
    pairs = {"value": (x, y), "size": (x * x, y * y), "gate": (x != 0, y != 0)}
    return {name: np.corrcoef(a, b)[0, 1] * len(a) ** 0.5 for name, (a, b) in pairs.items()}


BASE = {"seed": 0, "name": "a", "step": 1, "start": 0, "purpose": 0}
OTHERS = {
    "tensor": {"name": "b"},
    "step": {"step": 2},
    "seed": {"seed": 1},
    "purpose": {"purpose": 2},
    "neighbour": {"start": 1},
    "block": {"start": 4},
    "word 32": {"start": 2**34},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_streams_are_uncorrelated(draws, other):
    off = _correlations(draws[:M], pats.philox.draw(**BASE | other, count=M, p=P).numpy())
    assert max(map(abs, off.values())) < SIGMAS, off


SHARED = {
    "one key for two tensors": lambda d: pats.philox.draw(**BASE, count=M, p=P).numpy(),
    "the sign alone": lambda d: -d[:M],
    "one entry in a hundred": lambda d: np.where(np.arange(M) % 100 == 0, d[:M], d[-M:]),
}


@pytest.mark.parametrize("wrong", SHARED.values(), ids=list(SHARED))
def test_a_shared_stream_fails_the_correlations(draws, wrong):
    off = _correlations(draws[:M], wrong(draws))
    assert all(abs(value) > SIGMAS for value in off.values()), off
