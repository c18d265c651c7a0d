"""The noise stream: counter-based random numbers (``rng_version`` 1).

Every number is a pure function of (seed, parameter name, step, element, purpose), so it is the same on
every device, on every replica, under any sharding and after any resume, and torch's global generators
are never touched:

    key     = first 8 bytes of blake2b(f"{seed}:{name}", digest_size=8), little-endian → (k0, k1)
    counter = (low32(⌊i/4⌋), high32(⌊i/4⌋), step, purpose)       i: global row-major index of the element
    word_i  = Philox4x32-10(counter, key)[i mod 4]

One word gives both draws of an element: with T = round(p·2³²) the gate z is 1 iff word < T, and then
(word + ½)/T is uniform in (0, 1) and its normal quantile is the Gaussian draw.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; known answers in
``tests/test_philox.py``.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

RNG_VERSION = 1

PATS, STOCHASTIC_ROUNDING, NOISYTUNE, MIXOUT, EMBEDDING = range(5)
HIDDEN, GRADIENT_MASK, WEIGHT, UPGD = range(5, 9)  # HyPe, Child-Tuning, weights for one pass, UPGD's updates

CHUNK = 1 << 16  # elements drawn at once: the working set stays in the second-level cache

_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_BUMP_0, _BUMP_1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


@lru_cache(maxsize=65536)
def key(seed: int, name: str) -> tuple[int, int]:
    """The stream's key (k0, k1) of a parameter: two words of 32 bits.

    Args:
        seed: Seed of the noise.
        name: Canonical name of the parameter (``pats.scope``).
    """
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def threshold(p: float) -> int:
    """T = round(p·2³²): an element is perturbed iff its word is below it.

    Args:
        p: Probability of the gate: 0, or in [2⁻¹², 1].

    Raises:
        ValueError: p lies outside; between 0 and 2⁻¹² too few levels would be left for the Gaussian.
    """
    if not (p == 0 or 2**-12 <= p <= 1):
        raise ValueError(f"p is {p!r}, but must be 0 or lie between 2**-12 and 1")
    return round(p * 2**32)


def words(
    seed: int,
    name: str,
    step: int,
    start: int,
    count: int,
    purpose: int = PATS,
    device: torch.device | str | None = None,
) -> Tensor:
    """The stream's words of the elements ``start`` to ``start + count - 1``.

    Source: Salmon et al. 2011 (Philox4x32-10); key and counter are PATS's own.

    Args:
        seed: Seed of the noise.
        name: Canonical name of the parameter.
        step: Optimizer step, 1-based; 0 for what happens before training. Taken modulo 2³².
        start: Global row-major index of the first element, from 0 to 2⁶⁴ - 1.
        count: Number of elements; 0 gives an empty tensor.
        purpose: What the words are for: 0 PATS, 1 stochastic rounding, 2 NoisyTune, 3 Mixout,
            4 embedding noise, 5 hidden states, 6 gradient masks, 7 weights for one pass, 8 UPGD.
        device: Where to compute; None is the CPU. The words are the same everywhere.

    Returns:
        Tensor of shape (count,) and dtype uint32.
    """
    _check_range(start, count)
    parts = [
        words_of(key(seed, name), step, first, size, purpose, device).to(torch.uint32)
        for first, size in chunks(start, count)
    ]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.uint32, device=device)


def draw(
    seed: int,
    name: str,
    step: int,
    start: int,
    count: int,
    p: float,
    purpose: int = PATS,
    device: torch.device | str | None = None,
) -> Tensor:
    """Gate times standard normal of the elements ``start`` to ``start + count - 1``.

    Source: PATS's own; the draw is q·z of Eq. 5 of the paper with σ = 1.

    Args:
        seed: Seed of the noise.
        name: Canonical name of the parameter.
        step: Optimizer step, 1-based.
        start: Global row-major index of the first element.
        count: Number of elements.
        p: Probability of the gate, 0 or in [2⁻¹², 1].
        purpose: As in ``words``.
        device: Where to compute; None is the CPU.

    Returns:
        Tensor of shape (count,) and dtype float64: the draws z_j·N(0, 1), 0 where the gate is closed.
    """
    _check_range(start, count)
    out = torch.zeros(count, dtype=torch.float64, device=device)
    for first, size in chunks(start, count):
        index, normal = gated(words_of(key(seed, name), step, first, size, purpose, device), threshold(p))
        out[first - start + index] = normal
    return out


def gated(word: Tensor, threshold: int) -> tuple[Tensor, Tensor]:
    """The elements whose gate is open, and their normal draws.

    Args:
        word: int64 tensor of words, one an element.
        threshold: T.

    Returns:
        Positions (int64, ascending) and standard normal draws (float64).
    """
    index = (word < threshold).nonzero().squeeze(1)
    return index, normal_quantile(word[index], threshold)


def normal_quantile(word: Tensor, threshold: int) -> Tensor:
    """Normal quantile of (word + ½)/T for words below T, in float64.

    The distance to the nearer end is taken in integers, so that both tails are exact.

    Args:
        word: int64 tensor of words, each below ``threshold``.
        threshold: T, from 1 to 2³².
    """
    twice = 2 * word + 1
    lower = twice <= threshold
    nearer = torch.where(lower, twice, 2 * threshold - twice)
    tail = torch.special.ndtri(nearer.to(torch.float64) / (2 * threshold))
    return torch.where(lower, tail, -tail)


def chunks(start: int, count: int) -> Iterator[tuple[int, int]]:
    """Split a range into (start, count) pieces of at most ``CHUNK`` elements, aligned to blocks."""
    end = start + count
    while start < end:
        stop = min(end, (start // CHUNK + 1) * CHUNK)
        yield start, stop - start
        start = stop


def _check_range(start: int, count: int) -> None:
    if start < 0 or count < 0 or start + count > 2**64:
        raise ValueError(f"elements {start} to {start + count - 1} leave the range 0 to 2**64 - 1")


def words_of(
    key: tuple[int, int],
    step: int,
    start: int,
    count: int,
    purpose: int = PATS,
    device: torch.device | str | None = None,
) -> Tensor:
    """Words of consecutive elements as int64, since uint32 has no arithmetic in torch."""
    first, last = start // 4, (start + count + 3) // 4
    block = torch.arange(first, last, dtype=torch.int64, device=device)
    return _blocks(key, step, block, purpose).view(-1)[start - 4 * first : start - 4 * first + count]


def words_at(key: tuple[int, int], step: int, index: Tensor, purpose: int = PATS) -> Tensor:
    """Words of any elements, int64, like ``index``, the elements' global row-major indices."""
    block = torch.div(index, 4, rounding_mode="floor")
    return _blocks(key, step, block, purpose).gather(1, (index % 4).unsqueeze(1)).squeeze(1)


def _blocks(key: tuple[int, int], step: int, block: Tensor, purpose: int) -> Tensor:
    """The four words of every block, a row each."""
    step_word, purpose_word = torch.full_like(block, step & _LOW), torch.full_like(block, purpose)
    return torch.stack(philox4x32((block & _LOW, block >> 32, step_word, purpose_word), key), dim=1)


def philox4x32(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int | Tensor, int | Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox4x32-10: four words for every counter.

    Args:
        counter: Four int64 tensors of one shape with values below 2³²; two are overwritten.
        key: Two words, or an int64 tensor of words for each, one a counter.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # int64 products wrap modulo 2**64, and the mask after the shift undoes its sign extension.
        product_0, product_1 = c0.mul_(_MULTIPLIER_0), c2.mul_(_MULTIPLIER_1)
        high_0, high_1 = (product_0 >> 32).bitwise_and_(_LOW), (product_1 >> 32).bitwise_and_(_LOW)
        c0, c2 = high_1.bitwise_xor_(c1).bitwise_xor_(k0), high_0.bitwise_xor_(c3).bitwise_xor_(k1)
        c1, c3 = product_1.bitwise_and_(_LOW), product_0.bitwise_and_(_LOW)
        k0, k1 = (k0 + _BUMP_0) & _LOW, (k1 + _BUMP_1) & _LOW
    return c0, c1, c2, c3
