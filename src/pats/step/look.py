"""Whether tensors are what they were, where they were; and whether dicts and lists hold what they held.

All of it is looked at, at every step on a device. C does that where the kernel's library is there
(``kernels/cpu/look.c``) and torch describes its tensors to C, in DLPack's standard way. Python gives the same
answers otherwise, as without Python's global lock, which the C needs.
"""

import ctypes
import sys
from collections.abc import Collection, Sequence
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    py_object,
)
from itertools import chain, repeat
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor

from pats.kernels.cpu import library

_GRAD = sys.intern("grad")
_grad, _dtype = attrgetter(_GRAD), attrgetter("dtype")
_DLPACK = 1  # the major version whose tables have not changed
_FUNCTIONS = ("PyObject_GetAttr", "Py_DecRef", "PyDict_Next", "PyList_Size", "PyList_GetItem")


class _Seen(Structure):
    """``pats_seen`` of ``look.c``."""

    _fields_ = (
        ("data", c_uint64),
        ("numel", c_int64),
        ("device_type", c_int32),
        ("device", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("contiguous", c_int32),
        ("near", c_void_p),
    )


class _DLPack(Structure):
    """The table of functions with which torch describes its tensors, as DLPack defines it."""

    _fields_ = (
        ("major", c_uint32),
        ("minor", c_uint32),
        ("earlier", c_void_p),
        ("allocate", c_void_p),
        ("take_from", c_void_p),
        ("give_to", c_void_p),
        ("describe", c_void_p),
    )


def _load() -> ctypes.PyDLL | None:
    """The library, which keeps Python's lock; None where it cannot be of use."""
    capsule = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    locked: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    if library.LIBRARY is None or capsule is None or not locked:
        return None
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = c_void_p, [py_object, c_char_p]
    try:
        torchs = _DLPack.from_address(address(capsule, b"dlpack_exchange_api"))
        found = ctypes.PyDLL(library.LIBRARY._name)
        python = [ctypes.cast(getattr(ctypes.pythonapi, name), c_void_p).value for name in _FUNCTIONS]
        size = found.pats_seen_size
    except (OSError, AttributeError, TypeError, ValueError):
        return None
    size.restype = c_int64
    if torchs.major != _DLPACK or not torchs.describe or size() != ctypes.sizeof(_Seen):
        return None
    found.pats_look_through((c_void_p * 6)(torchs.describe, *python))
    found.pats_see.argtypes = found.pats_same_tensors.argtypes = [c_void_p, c_int64, POINTER(_Seen)]
    found.pats_numbers.argtypes = [c_void_p, c_int64, POINTER(_Seen), c_double, c_double, c_void_p]
    objects: list[Any] = [c_void_p, c_int64, py_object, py_object, POINTER(_Seen)]
    found.pats_gradients.argtypes = [*objects, c_void_p, c_void_p, c_int64]
    found.pats_same_values.argtypes = [c_void_p, c_int64, c_void_p, c_int64]
    found.pats_same_items.argtypes = [py_object, c_void_p, c_int64]
    return found if _describes(found) else None


def _describes(found: ctypes.PyDLL) -> bool:
    """Whether the library describes a tensor as Python does."""
    tensor, seen = torch.zeros(2, 3)[:, 1:], (_Seen * 1)()
    described = (tensor.data_ptr(), tensor.numel(), 0, 32)
    return bool(found.pats_see(_addresses([tensor]), 1, seen)) and described == (
        seen[0].data,
        seen[0].numel,
        seen[0].contiguous,
        seen[0].bits,
    )


def _addresses(objects: Sequence[object]) -> "ctypes.Array[c_void_p]":
    return (c_void_p * len(objects))(*map(id, objects))


LIBRARY = _load()


class Tensors:
    """Tensors, where they are in memory and what is there: dtype, number of elements, contiguous or not.

    Args:
        tensors: The tensors.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = [*tensors]
        self._seen, self._addresses = _seen(self._tensors), _addresses(self._tensors)
        self._found = None if self._seen else _places(self._tensors)

    def hold(self) -> bool:
        """Whether all of them are as they were."""
        if LIBRARY is None or self._seen is None:
            return self._found is not None and _places(self._tensors) == self._found
        try:
            return bool(LIBRARY.pats_same_tensors(self._addresses, len(self._tensors), self._seen))
        except RuntimeError:  # one has no memory any more
            return False


class Numbers(Tensors):
    """Single numbers on the host, of one dtype, that are views of one tensor.

    Args:
        tensors: The numbers.
        together: The tensor.
    """

    def __init__(self, tensors: Sequence[Tensor], together: Tensor) -> None:
        super().__init__(tensors)
        self._together = together

    def read(self, to: Tensor, more: float, below: float) -> bool:
        """Write them in float64, with something added to each.

        Args:
            to: Where; on the host, contiguous.
            more: What is added.
            below: A limit for those in float32.

        Returns:
            False where one is not as it was, or not below the limit.
        """
        narrow = self._together.dtype == torch.float32
        if LIBRARY is None or self._seen is None or not (narrow or self._together.dtype == torch.float64):
            if not self.hold() or (narrow and not bool((self._together < below).all())):
                return False
            torch.add(self._together, more, out=to)
            return True
        asked = self._addresses, len(self._tensors), self._seen, more, below, to.data_ptr()
        try:
            return bool(LIBRARY.pats_numbers(*asked))
        except RuntimeError:
            return False


class Gradients:
    """The gradients of some parameters, which are other tensors at every step, of the kind that they are now.

    Args:
        parameters: The parameters, all with a gradient.
        to: Where the addresses of the first ones are written: int64, on the host, contiguous.
        low: Bits that must be 0 in each of these addresses.
    """

    def __init__(self, parameters: Sequence[Tensor], to: Tensor, low: Tensor) -> None:
        self._parameters, self._to, self._low = [*parameters], to, low
        grads = [*map(_grad, self._parameters)]
        self._seen, self._addresses = _seen(grads), _addresses(self._parameters)
        self._kinds = None if self._seen else _places(grads)

    def take(self) -> bool:
        """Write the addresses; False where a gradient is missing, freed, or of another kind."""
        if LIBRARY is None or self._seen is None:
            return self._looked_up()
        asked = self._addresses, len(self._parameters), _GRAD, None, self._seen
        places = self._low.data_ptr(), self._to.data_ptr(), len(self._to)
        try:
            return bool(LIBRARY.pats_gradients(*asked, *places))
        except RuntimeError:  # a sparse one lies nowhere
            return False

    def _looked_up(self) -> bool:
        grads = [*map(_grad, self._parameters)]
        found = None if any(map(is_, grads, repeat(None))) else _places(grads)
        if found is None or self._kinds is None or found[1:] != self._kinds[1:]:
            return False
        # The memory of one that has been freed is nowhere, as is that of an empty one.
        if found[0].count(0) != found[2].count(0):
            return False
        self._to.copy_(torch.tensor(found[0][: len(self._to)], dtype=torch.int64))
        return not bool(torch.bitwise_and(self._to, self._low).any())


class Values:
    """The objects that some dicts hold, in their order.

    Args:
        dicts: The dicts.
    """

    def __init__(self, dicts: Sequence[dict[Any, Any]]) -> None:
        self._dicts, self.all = [*dicts], [*_values(dicts)]
        self._addresses, self._held = _addresses(self._dicts), _addresses(self.all)

    def hold(self) -> bool:
        """Whether they hold the same ones."""
        if LIBRARY is None:
            return same([*_values(self._dicts)], self.all)
        asked = self._addresses, len(self._dicts), self._held, len(self.all)
        return bool(LIBRARY.pats_same_values(*asked))


class Items:
    """The objects that a list holds.

    Args:
        items: The list.
    """

    def __init__(self, items: Sequence[object]) -> None:
        self.all = [*items]
        self._held = _addresses(self.all)

    def are(self, items: Sequence[object]) -> bool:
        """Whether a list holds the same ones."""
        if LIBRARY is None or not isinstance(items, list):
            return same(items, self.all)
        return bool(LIBRARY.pats_same_items(items, self._held, len(self.all)))


def same(here: Collection[object], before: Collection[object]) -> bool:
    """Whether they hold the same objects: to compare tensors, or to look them up, would take longer."""
    return len(here) == len(before) and all(map(is_, here, before))


def _values(dicts: Sequence[dict[Any, Any]]) -> "chain[Any]":
    return chain.from_iterable(map(dict.values, dicts))


def _seen(tensors: Sequence[Tensor]) -> "ctypes.Array[_Seen] | None":
    """What C sees of tensors; None where it does not see all of them."""
    if LIBRARY is None:
        return None
    seen = (_Seen * len(tensors))()
    try:
        return seen if LIBRARY.pats_see(_addresses(tensors), len(tensors), seen) else None
    except RuntimeError:
        return None


def _places(tensors: Sequence[Tensor]) -> tuple[list[Any], ...] | None:
    """What C sees of tensors, in Python; None where one lies nowhere, as a sparse one."""
    try:
        return (
            [*map(Tensor.data_ptr, tensors)],
            [*map(_dtype, tensors)],
            [*map(Tensor.numel, tensors)],
            [*map(Tensor.is_contiguous, tensors)],
            [*map(Tensor.get_device, tensors)],
        )
    except RuntimeError:
        return None
