import os
import subprocess
import sys

import pytest
import torch

from pats import philox

KNOWN_ANSWERS = [  # Random123, kat_vectors, "philox4x32 10"
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]

WORDS = [2759554950, 4149054049, 1155669375]  # of elements 5 to 7 of a stream of version 1


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    words = philox.philox4x32(tuple(torch.tensor(c) for c in counter), key)
    assert [f"{word:08x}" for word in map(int, words)] == answer.split()


@pytest.mark.parametrize(("start", "count"), [(0, 0), (0, 1), (3, 1), (1, 6), (65_533, 9), (0, 200_000)])
def test_a_range_is_a_slice_of_the_stream(start, count):
    whole = philox.words(7, "layer.weight", 3, 0, 200_010)
    part = philox.words(7, "layer.weight", 3, start, count)
    assert part.dtype == torch.uint32
    assert torch.equal(part, whole[start : start + count])


def test_words_of_scattered_elements_are_those_of_the_stream():
    index = torch.tensor([9, 0, 65_543, 4, 2, 9, 131_071])
    whole = philox.words(7, "layer.weight", 3, 0, 131_072).to(torch.int64)
    found = philox.words_at(philox.key(7, "layer.weight"), 3, index)
    assert torch.equal(found, whole[index])


def test_the_stream_has_its_version():
    """A stream of other words must have another one: checkpoints tell it."""
    assert philox.RNG_VERSION == 1
    assert [*map(int, philox.words(7, "layer.weight", 3, 5, 3))] == WORDS


def test_every_coordinate_matters():
    base = {"seed": 1, "name": "w", "step": 1, "start": 0, "count": 64, "purpose": 0}
    reference = philox.words(**base)
    for change in (
        {"seed": 2},
        {"name": "v"},
        {"step": 2},
        {"start": 64},
        {"start": 2**34},
        {"purpose": 1},
    ):
        other = philox.words(**(base | change))
        assert (other.to(torch.int64) == reference.to(torch.int64)).sum() <= 1, change


def test_the_same_in_another_process_under_another_hash_seed():
    script = "from pats import philox; print(philox.words(5, 'é', 2, 10, 4).tolist())"
    out = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONHASHSEED": "17"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out.strip() == str(philox.words(5, "é", 2, 10, 4).tolist())


def test_torch_generators_stay_untouched():
    before = torch.get_rng_state()
    philox.draw(1, "w", 1, 0, 1000, 0.2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("p", [-0.1, 1.1, 2**-13, float("nan")])
def test_impossible_gates_are_refused(p):
    with pytest.raises(ValueError, match="must be 0 or lie between"):
        philox.threshold(p)


@pytest.mark.parametrize(("p", "threshold"), [(0, 0), (2**-12, 2**20), (0.3, 1288490189), (1, 2**32)])
def test_gates_as_whole_numbers(p, threshold):
    assert philox.threshold(p) == threshold
    draws = philox.draw(7, "layer.weight", 3, 0, 65_536, p)
    assert float((draws != 0).double().mean()) == pytest.approx(p, abs=0.01)
    assert bool(draws.any()) == (p > 0)


def test_open_gates_are_a_list():
    word = torch.tensor([5, 2**31, 7, 2**32 - 1])
    for threshold, expected in ((6, [0]), (2**30, [0, 2]), (1, []), (2**32, [0, 1, 2, 3])):
        index, normal = philox.gated(word, threshold)
        assert index.tolist() == expected
        assert normal.shape == index.shape


def test_tails_are_symmetric_and_exact():
    threshold = 2**32
    ends = torch.tensor([0, 1, threshold - 2, threshold - 1])
    z = philox.normal_quantile(ends, threshold)
    assert z[0] == -z[3]
    assert z[1] == -z[2]
    assert abs(z[0].item() + 6.3379) < 1e-3  # the quantile of 2**-33


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (0, -1), (2**64 - 1, 2)])
def test_a_range_outside_the_counter_is_refused(start, count):
    with pytest.raises(ValueError, match="leave the range"):
        philox.words(0, "w", 1, start, count)
