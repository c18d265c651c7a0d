"""Draws of the noise stream for whole tensors, for methods that draw for every weight at every step.

In C for tensors on a CPU, else in plain torch. Words are the same on both paths, normal draws agree to the
rounding of float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pats import kernels, philox
from pats.kernels.cpu.library import LIBRARY

_LARGE = 1 << 24  # elements drawn at once where every operation is a launch
_SIGN = -(2**31)


def kept(
    key: tuple[int, int], step: int, start: int, count: int, purpose: int, p: float, device: torch.device
) -> Tensor:
    """Which elements are kept, each with probability p: those whose word is below round(p·2³²).

    Args:
        key: Of ``philox.key``.
        step: Optimizer step.
        start: Global index of the first element.
        count: Number of elements.
        purpose: As in ``philox.words``.
        p: Probability in [0, 1].
        device: Where to compute.

    Returns:
        bool, one an element.
    """
    limit = round(p * 2**32)
    out = torch.ones(count, dtype=torch.bool, device=device)
    for first, size in _parts(count, device) if limit < 2**32 else ():
        if _in_c(device):
            # Words are unsigned: with their sign bits turned, they compare as signed numbers do.
            word = _words(key, step, start + first, size, purpose).bitwise_xor_(_SIGN)
            out[first : first + size] = word < limit + _SIGN
        else:
            out[first : first + size] = (
                philox.words_of(key, step, start + first, size, purpose, device) < limit
            )
    return out


def normal(
    key: tuple[int, int],
    step: int,
    start: int,
    shape: torch.Size,
    purpose: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """N(0, 1) for every entry of a tensor, its elements one after another from ``start`` on.

    Args:
        key: Of ``philox.key``.
        step: Optimizer step.
        start: Global index of the first element.
        shape: Of the tensor.
        purpose: As in ``philox.words``.
        dtype: float32, or float64, which is always drawn in plain torch.
        device: Where to compute.
    """
    drawn = torch.empty(shape.numel(), dtype=dtype, device=device)
    for first, size in _parts(len(drawn), device):
        part = drawn[first : first + size]
        if dtype == torch.float32 and _in_c(device):
            assert LIBRARY is not None
            word, z = _words(key, step, start + first, size, purpose), torch.empty(size, dtype=torch.float64)
            LIBRARY.pats_normal(z.data_ptr(), word.data_ptr(), size, 2**32)
            part.copy_(z)
        else:
            word = philox.words_of(key, step, start + first, size, purpose, device)
            part.copy_(philox.normal_quantile(word, 2**32))
    return drawn.view(shape)


def normal_like(seed: int, name: str, step: int, like: Tensor, purpose: int) -> Tensor:
    """N(0, 1) for every entry of a whole parameter, by its row-major index.

    Args:
        seed: Seed of the noise.
        name: Canonical name of the parameter.
        step: Optimizer step, 1-based.
        like: A tensor of the shape that is wanted, on the device that is wanted.
        purpose: As in ``philox.words``.

    Returns:
        The draws, in float64 for a tensor of float64, else in float32.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    return normal(philox.key(seed, name), step, 0, like.shape, purpose, dtype, like.device)


def _parts(count: int, device: torch.device) -> Iterator[tuple[int, int]]:
    size = philox.CHUNK if device.type == "cpu" else _LARGE
    return ((first, min(size, count - first)) for first in range(0, count, size))


def _in_c(device: torch.device) -> bool:
    return LIBRARY is not None and device.type == "cpu" and kernels.forced() != "eager"


def _words(key: tuple[int, int], step: int, start: int, count: int, purpose: int) -> Tensor:
    """The stream's words as int32, of the same bits."""
    assert LIBRARY is not None
    first, before = start // 4, start % 4
    blocks = (before + count + 3) // 4
    out = torch.empty(4 * blocks, dtype=torch.int32)
    LIBRARY.pats_words(out.data_ptr(), first, blocks, step & 0xFFFFFFFF, purpose, *key)
    return out[before : before + count].contiguous()
