"""How the Triton kernels reach a piece of a matrix: its pointers, its elements and their words."""

import triton
import triton.language as tl

from pats.kernels.triton.columns import *
from pats.kernels.triton.draws import words_of_blocks


@triton.jit
def entry(row, column: tl.constexpr, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer in a column of the table of pieces."""
    pointer = tl.load(row + column).to(tl.pointer_type(DTYPE))
    if ALIGNED:  # lets a thread load 16 bytes at once
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def gradient(row, moving, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer to the first element of a piece in this step's gradient."""
    address = moved(moving, tl.load(row + P_OWNER), M_GRADS).to(tl.int64, bitcast=True)
    pointer = address.to(tl.pointer_type(DTYPE)) + tl.load(row + P_OFFSET)
    if ALIGNED:
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def grad_scale(moving):
    """What the gradients of this step are divided by, in float64."""
    word = tl.load(moving + H_SCALE_AT)
    is_there = word.to(tl.int64, bitcast=True) != 0
    held = tl.load(moving + H_SCALE)
    return tl.where(is_there, number(word, tl.where(is_there, 4, 0)), held)


@triton.jit
def sample_places(row, i, inside):
    """Where a piece's observed entries are kept, and which of a program's entries these are."""
    return tl.load(row + P_SAMPLE) + (i // EVERY) * SAMPLED + i % EVERY, inside & (i % EVERY < SAMPLED)


@triton.jit
def local_indices(row, off, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """The local elements of a program, and which of them exist."""
    numel = tl.load(row + P_NUMEL)
    if ALIGNED:
        numel = tl.multiple_of(numel, 16)
    i = off + tl.arange(0, BLOCK)
    return i, i < numel


@triton.jit
def stream_words(row, off, step, purpose: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """Words (uint32) of the local elements off to off + BLOCK - 1 of a piece."""
    run, stride, start, key = (
        tl.load(row + P_RUN),
        tl.load(row + P_STRIDE),
        tl.load(row + P_START),
        tl.load(row + P_KEY),
    )
    if ALIGNED:  # consecutive, from a multiple of four: one block of the stream for four elements
        w0, w1, w2, w3 = words_of_blocks((start + off) // 4 + tl.arange(0, BLOCK // 4), key, step, purpose)
        word = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [BLOCK])
    else:
        i = off + tl.arange(0, BLOCK)
        index = start + (i // run) * stride + i % run
        w0, w1, w2, w3 = words_of_blocks(index // 4, key, step, purpose)
        lane = index % 4
        word = tl.where(lane == 0, w0, tl.where(lane == 1, w1, tl.where(lane == 2, w2, w3)))
    return word
