"""The two passes in C, on torch's own threads: float32 and bfloat16 parameters on a CPU.

The library is built by ``setup.py`` where there is a compiler; without it ``LIBRARY`` is None and the plain
torch path serves. It knows no torch: tensors are handed over as addresses, threads as a pointer to
``torch_parallel_for`` of torch's stable C interface. Every instruction set and every number of threads gives
the same bits.
"""

import ctypes
import glob
import os
from collections.abc import Mapping
from ctypes import c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from pats._noise import Noise
from pats.kernels.eager import Added, Measured
from pats.philox import PATS, key, threshold

ABI = 2

DTYPES = {torch.float32: 0, torch.bfloat16: 1}

PLAIN, ADAMAX, ADAMW = range(3)
MEASURE, UPDATE = 1, 2


class Matrix(ctypes.Structure):
    """One parameter and what is to be done with it: ``pats_matrix`` of ``pats.h``, field by field."""

    _fields_ = (
        *((name, c_void_p) for name in ("theta", "grad", "average", "first", "second")),
        ("numel", c_int64),
        ("threshold", c_uint64),
        *((name, c_uint32) for name in ("key0", "key1", "step", "purpose")),
        *((name, c_int32) for name in ("dtype", "base", "is_signed", "is_std")),
        *(
            (name, c_double)
            for name in ("lam", "gamma", "eps_absolute", "eps_relative", "grad_factor", "beta")
        ),
        *((name, c_double) for name in ("beta1", "beta2", "eps", "decay", "size", "root")),
        ("mean", c_double),
        *((name, c_int64) for name in ("nonfinite", "gated", "zero", "observed")),
        *((name, c_double) for name in ("square", "sigma_max", "update_square")),
    )


def _load() -> ctypes.CDLL | None:
    for path in sorted(glob.glob(str(Path(__file__).with_name("_core*")))):
        try:
            library = ctypes.CDLL(path)
            current = library.pats_abi() == ABI
        except (OSError, AttributeError):
            continue  # built for another system, or no library of ours
        library.pats_matrix_size.restype = c_int64
        if not current or library.pats_matrix_size() != ctypes.sizeof(Matrix):
            continue  # left over from another version
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
    return None


def _parallel_for() -> int | None:
    """Address of torch's ``torch_parallel_for``; None, which means serial, where torch does not show it."""
    try:
        name = "torch_cpu.dll" if os.name == "nt" else "libtorch_cpu"
        found = glob.glob(str(Path(torch.__file__).parent / "lib" / f"{name}*"))
        return ctypes.cast(ctypes.CDLL(found[0]).torch_parallel_for, c_void_p).value
    except (OSError, AttributeError, IndexError):
        return None


LIBRARY = _load()


def takes(*tensors: Tensor) -> bool:
    """Whether the C code can work on these tensors: all on the CPU, dense, of one dtype that it knows."""
    first = tensors[0]
    return first.dtype in DTYPES and all(
        t.device.type == "cpu" and t.layout is torch.strided and t.dtype == first.dtype for t in tensors
    )


def settings(noise: Noise, numel: int) -> dict[str, float]:
    """The fields of ``Matrix`` that ``noise`` alone decides."""
    relative = noise.eps_mode == "relative"
    return {
        "threshold": threshold(noise.p),
        "beta": noise.beta,
        "gamma": noise.gamma,
        "eps_relative": noise.eps if relative else 0.0,
        "eps_absolute": 0.0 if relative else noise.eps / (numel if noise.eps_mode == "algorithm1" else 1),
        "is_signed": noise.signed,
        "is_std": noise.intensity == "std",
        "purpose": PATS,
    }


def run(matrices: ctypes.Array[Matrix], passes: int) -> None:
    """Run the passes (``MEASURE``, ``UPDATE`` or both) over the matrices, one after another.

    Raises:
        MemoryError: No memory for the partial sums; nothing has been changed.
    """
    assert LIBRARY is not None
    if LIBRARY.pats_run(matrices, len(matrices), passes):
        raise MemoryError("no memory for the partial sums of the sensitivity")


def measure_(
    average: Tensor,
    theta: Tensor,
    grad: Tensor,
    noise: Noise,
    maximize: bool = False,
    grad_scale: float = 1.0,
) -> Measured:
    """Pass 1: as ``pats.kernels.eager.measure_``, of float32 and bfloat16 parameters on a CPU."""
    theta, grad = theta.contiguous(), grad.contiguous()
    matrices = (Matrix * 1)()
    fields = settings(noise, max(theta.numel(), 1)) | {
        "theta": theta.data_ptr(),
        "grad": grad.data_ptr(),
        "average": average.data_ptr() or None,
        "numel": theta.numel(),
        "dtype": DTYPES[theta.dtype],
        "grad_factor": (-1.0 if maximize else 1.0) / grad_scale,
    }
    fill(matrices[0], fields)
    run(matrices, MEASURE)
    torch.autograd.graph.increment_version(average)
    return Measured(matrices[0].mean, matrices[0].nonfinite)


def perturb_(
    theta: Tensor,
    average: Tensor,
    mean: float,
    noise: Noise,
    *,
    name: str,
    step: int,
    lr: float,
) -> Added:
    """Pass 2: as ``pats.kernels.eager.perturb_``; the draw and the sum are float32, σ is float64."""
    lam = noise.lam_t(lr)
    if lam == 0 or noise.p == 0 or mean == 0 or not theta.numel():
        return Added()
    contiguous = theta.contiguous()
    key0, key1 = key(noise.seed, name)
    matrices = (Matrix * 1)()
    fields = settings(noise, theta.numel()) | {
        "theta": contiguous.data_ptr(),
        "average": average.data_ptr(),
        "numel": theta.numel(),
        "dtype": DTYPES[theta.dtype],
        "mean": mean,
        "lam": lam,
        "key0": key0,
        "key1": key1,
        "step": step & 0xFFFFFFFF,
    }
    matrix = matrices[0]
    fill(matrix, fields)
    run(matrices, UPDATE)
    if contiguous is not theta and contiguous.data_ptr() != theta.data_ptr():
        theta.copy_(contiguous)
    else:
        torch.autograd.graph.increment_version(theta)
    return Added(matrix.gated, matrix.zero, matrix.square, matrix.sigma_max)


def fill(matrix: Matrix, fields: Mapping[str, float | None]) -> None:
    """Set fields by name."""
    for name, value in fields.items():
        setattr(matrix, name, value)
