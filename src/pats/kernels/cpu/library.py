"""The shared library of the C kernel: where it is, and what it is handed.

``setup.py`` builds it where there is a compiler; without it ``LIBRARY`` is None. It knows no torch: tensors
are addresses, threads a pointer to ``torch_parallel_for`` of torch's stable C interface.
"""

import ctypes
import glob
import os
from collections.abc import Sequence
from ctypes import c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path
from struct import Struct
from typing import Any

import torch
from torch import Tensor

from pats.kernels.job import SUMS, TALLY

ABI = 6

MEASURE, UPDATE = 1, 2

# ``pats_matrix`` of ``pats.h``, field by field: what the caller sets, then the results.
_TYPES: dict[str, Any] = {
    "P": c_void_p,
    "q": c_int64,
    "Q": c_uint64,
    "I": c_uint32,
    "i": c_int32,
    "d": c_double,
}
GIVEN = {
    **dict.fromkeys(("theta", "grad", "average", "first", "second", "budget"), "P"),
    **dict.fromkeys(("total", "numel", "run", "stride"), "q"),
    "start": "Q",
    **dict.fromkeys(("key0", "key1", "step", "purpose"), "I"),
    **dict.fromkeys(("dtype", "state_dtype"), "i"),
    "grad_factor": "d",
    "threshold": "Q",
    **dict.fromkeys(("is_signed", "is_std"), "i"),
    **dict.fromkeys(("beta", "gamma", "lam", "ceiling"), "d"),
    **dict.fromkeys(("open", "most", "share", "heat", "limit"), "d"),
    **dict.fromkeys(("eps_absolute", "eps_relative"), "d"),
    **dict.fromkeys(("base", "rounding"), "i"),
    **dict.fromkeys(("beta1", "beta2", "eps", "decay", "size", "root"), "d"),
}
RESULTS = (*SUMS, "mean", *TALLY)


class Matrix(ctypes.Structure):
    """One parameter, or a piece of one, and what is to be done with it."""

    _fields_ = tuple((name, _TYPES[code]) for name, code in (GIVEN | dict.fromkeys(RESULTS, "d")).items())


# What the caller sets, of a matrix that has not been measured.
PACKED = Struct("@" + "".join(GIVEN.values()))


def results(matrices: "ctypes.Array[Matrix]", names: Sequence[str]) -> Tensor:
    """A row for every matrix: results that lie beside each other in the record."""
    words = ctypes.sizeof(Matrix) // 8
    first = getattr(Matrix, names[0]).offset // 8
    table = torch.frombuffer(matrices, dtype=torch.float64).view(-1, words)
    return table[:, first : first + len(names)].clone()


def _load() -> ctypes.CDLL | None:
    paths = sorted(glob.glob(str(Path(__file__).with_name("_core*"))))
    return next((library for library in map(opened, paths) if library is not None), None)


def opened(path: str | Path) -> ctypes.CDLL | None:
    """The kernel in a file; None where it was built for another system, or is of another version."""
    try:
        library = ctypes.CDLL(str(path))
        current = library.pats_abi() == ABI
    except (OSError, AttributeError):
        return None
    library.pats_matrix_size.restype = c_int64
    if not current or library.pats_matrix_size() != ctypes.sizeof(Matrix):
        return None
    library.pats_isa_name.restype = c_char_p
    library.pats_choose.argtypes = [c_char_p]
    library.pats_threads.argtypes = [c_void_p]
    library.pats_run.argtypes = [c_void_p, c_int64, c_int32]
    library.pats_words.argtypes = [c_void_p, c_uint64, c_int64, c_uint32, c_uint32, c_uint32, c_uint32]
    library.pats_normal.argtypes = [c_void_p, c_void_p, c_int64, c_uint64]
    wanted = os.environ.get("PATS_ISA")
    if not library.pats_choose(wanted.encode() if wanted else None):
        library.pats_choose(None)
    library.pats_threads(_parallel_for())
    return library


def _parallel_for() -> int | None:
    """Address of torch's ``torch_parallel_for``; None, which means serial, where torch does not show it."""
    try:
        name = "torch_cpu.dll" if os.name == "nt" else "libtorch_cpu"
        paths = glob.glob(str(Path(torch.__file__).parent / "lib" / f"{name}*"))
        return ctypes.cast(ctypes.CDLL(paths[0]).torch_parallel_for, c_void_p).value
    except (OSError, AttributeError, IndexError):
        return None


LIBRARY = _load()


def words(key: tuple[int, int], step: int, start: int, count: int, purpose: int) -> Tensor | None:
    """``pats.philox.words_of`` on the CPU in a small part of its time; None without the library."""
    if LIBRARY is None:
        return None
    first, last = start // 4, (start + count + 3) // 4
    room = torch.empty(4 * (last - first), dtype=torch.int32)
    LIBRARY.pats_words(room.data_ptr(), first, last - first, step & 0xFFFFFFFF, purpose, *key)
    return room.view(torch.uint32)[start - 4 * first :][:count].long()


def run(matrices: "ctypes.Array[Matrix]", passes: int) -> None:
    """Run the passes (``MEASURE``, ``UPDATE`` or both) over the matrices, one after another.

    Raises:
        MemoryError: No memory for the partial sums; nothing has been changed.
    """
    assert LIBRARY is not None
    if LIBRARY.pats_run(matrices, len(matrices), passes):
        raise MemoryError("no memory for the partial sums of the sensitivity")
