"""Standard normal draws for every entry of a tensor: the stream's words, and the quantile of each.

On a CPU the C kernel does it, if it has been built; its draws agree with plain torch's to the rounding of
float32, as those of PATS do.
"""

import os

import torch
from torch import Tensor

from pats import philox
from pats.kernels.cpu import library
from pats.philox import CHUNK, chunks

_ALL = 2**32  # the threshold at which every gate is open


def standard_normal(seed: int, name: str, step: int, like: Tensor, purpose: int) -> Tensor:
    """N(0, 1) for every entry, by its row-major index.

    Args:
        seed: Seed of the noise.
        name: Canonical name of the parameter.
        step: Optimizer step, 1-based.
        like: A tensor of the shape that is wanted, whole, on the device that is wanted.
        purpose: As in ``philox.words``.

    Returns:
        The draws, in float64 for a tensor of float64, else in float32.
    """
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    drawn = torch.empty(like.numel(), dtype=dtype, device=like.device)
    key = philox.key(seed, name)
    in_c = dtype == torch.float32 and like.device.type == "cpu" and _allowed()
    word = torch.empty(CHUNK, dtype=torch.uint32)
    normal = torch.empty(CHUNK, dtype=torch.float64)
    for start, count in chunks(0, drawn.numel()):
        part = drawn[start : start + count]
        if in_c:
            assert library.LIBRARY is not None
            words, low = word.data_ptr(), step & (2**32 - 1)
            library.LIBRARY.pats_words(words, start // 4, -(-count // 4), low, purpose, *key)
            library.LIBRARY.pats_normal(normal.data_ptr(), words, count, _ALL)
            part.copy_(normal[:count])
        else:
            words_of = philox.words_of(key, step, start, count, purpose, like.device)
            part.copy_(philox.normal_quantile(words_of, _ALL))
    return drawn.view(like.shape)


def _allowed() -> bool:
    return library.LIBRARY is not None and os.environ.get("PATS_KERNEL") != "eager"
