"""Sharded parameters: which entries of a matrix this rank holds, and the one sum over ranks.

The noise of an entry depends on its index in the whole matrix, and its size on the mean over the whole
matrix, so a shard needs two things: the global index of each of its entries, which ``pieces`` describes, and
the sums of all shards, which ``reduce_`` adds up. Nothing of a matrix's size is ever gathered.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from pats._errors import InputError
from pats._noise import state_dtype
from pats.kernels import Piece, whole
from pats.philox import CHUNK

if TYPE_CHECKING:  # importing torch.distributed.tensor takes half a second, which only its users pay
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor.placement_types import Placement

    Layout = tuple[DeviceMesh, tuple[Placement, ...]]


_PLAIN = (Tensor, torch.nn.Parameter)


def local(tensor: Tensor) -> Tensor:
    """This rank's shard of a DTensor; another tensor as it is."""
    if _layout(tensor) is None:
        return tensor
    shard: Any = tensor.to_local()  # type: ignore[attr-defined]
    wait = getattr(shard, "wait", None)  # the result of a collective that may still be under way
    return wait() if wait is not None else shard  # type: ignore[no-any-return]


def like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor that every rank has, with dtype and device of a parameter and spread as it is."""
    layout = _layout(parameter)
    given = tensor.to(local(parameter))
    if layout is None:
        return given
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(given, *layout, src_data_rank=None)


def local_grad(parameter: Tensor) -> Tensor:
    """This rank's shard of a parameter's gradient, brought to the placements of the parameter."""
    grad, layout = parameter.grad, _layout(parameter)
    assert grad is not None
    if layout is not None and _layout(grad) != layout:  # tensor parallelism may leave partial sums
        grad = grad.redistribute(*layout)  # type: ignore[attr-defined]
    return local(grad)


def _layout(tensor: Tensor) -> "Layout | None":
    """Mesh and placements of a DTensor; None for another tensor."""
    if type(tensor) in _PLAIN:
        return None
    mesh: DeviceMesh | None = getattr(tensor, "device_mesh", None)
    return None if mesh is None else (mesh, tuple(tensor.placements))  # type: ignore[attr-defined]


def alike(tensor: Tensor, other: Tensor) -> bool:
    """Whether both are spread over the ranks in the same way."""
    return _layout(tensor) == _layout(other)


def pieces(tensor: Tensor) -> tuple[Piece, ...]:
    """Where this rank's entries are in the whole matrix; an empty shard has no pieces.

    Covers every placement that shards by blocks: ``Shard`` on any dimension, on several mesh dimensions,
    uneven, and the strided shards of FSDP2 on top of tensor parallelism.
    """
    layout = _layout(tensor)
    if layout is None:
        return whole(tensor.numel())
    return _pieces(tuple(tensor.shape), layout)


@lru_cache(maxsize=4096)
def _pieces(shape: tuple[int, ...], layout: "Layout") -> tuple[Piece, ...]:
    held = [_held(dim, size, layout) for dim, size in enumerate(shape)]
    if not all(held):
        return ()
    # Dimensions held whole at the end make longer runs of the one before them.
    inner, cut = 1, len(shape)
    while cut and len(held[cut - 1]) == 1 and held[cut - 1][0] == (0, shape[cut - 1]):
        cut -= 1
        inner *= shape[cut]
    if cut == 0:
        return (Piece(0, inner, 0, inner, inner),)
    starts = torch.zeros(1, dtype=torch.int64)
    size = inner
    strides = [0] * cut
    for dim in reversed(range(cut)):
        strides[dim] = size
        size *= shape[dim]
    for dim in range(cut - 1):
        rows = torch.cat([torch.arange(first, first + count) for first, count in held[dim]])
        starts = (starts[:, None] + rows * strides[dim]).view(-1)
    last = torch.tensor([first for first, _ in held[cut - 1]]) * inner
    runs = [count * inner for _, count in held[cut - 1]] * len(starts)
    return _merged((starts[:, None] + last).view(-1).tolist(), runs)


def _held(dim: int, size: int, layout: "Layout") -> list[tuple[int, int]]:
    """(first, count) of the ranges of indices along one dimension that this rank holds, in its order."""
    from torch.distributed.tensor import Replicate, distribute_tensor

    mesh, placements = layout
    if not any(getattr(placement, "dim", None) == dim for placement in placements):
        return [(0, size)]
    # Distributing the indices themselves leaves every rule about uneven and strided shards to torch.
    along = [
        _on_first(placement) if getattr(placement, "dim", None) == dim else Replicate()
        for placement in placements
    ]
    index = torch.arange(size, device=mesh.device_type)
    held = distribute_tensor(index, mesh, along, src_data_rank=None).to_local().tolist()
    breaks = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(held)) if b != a + 1), len(held)]
    return [(held[first], last - first) for first, last in pairwise(breaks) if last > first]


def _on_first(placement: "Placement") -> "Placement":
    """The same kind of shard on dimension 0."""
    from torch.distributed.tensor import Shard

    if type(placement) is Shard:
        return Shard(0)
    return type(placement)(0, split_factor=placement.split_factor)  # type: ignore[call-arg, attr-defined]


def _merged(starts: list[int], runs: list[int]) -> tuple[Piece, ...]:
    """Runs in local order as few pieces: adjacent runs are one, runs at equal distances one piece."""
    joined: list[tuple[int, int]] = []
    for start, run in zip(starts, runs, strict=True):
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + run)
        else:
            joined.append((start, run))
    pieces: list[Piece] = []
    offset, first = 0, 0
    while first < len(joined):
        start, run = joined[first]
        stride, last = run, first + 1
        if last < len(joined) and joined[last][1] == run and joined[last][0] > start:
            stride = joined[last][0] - start
            while last < len(joined) and joined[last] == (start + (last - first) * stride, run):
                last += 1
        count = (last - first) * run
        pieces.append(Piece(offset, count, start, run, stride))
        offset, first = offset + count, last
    return tuple(pieces)


@dataclass
class Slot:
    """One matrix in the sum over ranks, whether or not this rank has a gradient for it.

    Args:
        parameter: The matrix.
        name: Its canonical name.
        seed: The seed of its noise.
        sums: This rank's sums, such as ``SUMS`` of ``pats.kernels.job``: float64, changed in place; as many
            numbers for every matrix.
    """

    parameter: Tensor
    name: str
    seed: int
    sums: Tensor


def reduce_(slots: Sequence[Slot], check: bool = True) -> None:
    """Add up the sums over the ranks among which a matrix is sharded; those of other matrices stay.

    One all-reduce for every (mesh, placements), a collective: every rank must come with the same slots in
    the same order.

    Args:
        slots: All matrices in scope.
        check: Whether to read in the sum itself that the ranks came with the same seeds and names, which
            makes the host wait for an accelerator.

    Raises:
        InputError: Ranks differ.
    """
    groups: dict[Layout, list[Slot]] = {}
    for slot in slots:
        layout = _layout(slot.parameter)
        if layout is not None and _split_dims(layout):
            groups.setdefault(layout, []).append(slot)
    for layout, members in groups.items():
        _reduce_group_(layout, members, check)


Number = TypeVar("Number", float, Tensor)  # on the host, or where the matrices are


def spreads(parameters: Sequence[Tensor]) -> list[float]:
    """Standard deviation of each whole matrix, in float64 and rounded once; 0 for a single entry.

    A collective where some are sharded: every rank must come with the same ones in the same order. The host
    reads the results.
    """
    squares, count = _squares(parameters, _read)
    deviations = []
    for parameter, square, n in zip(parameters, squares, count, strict=True):
        value = math.sqrt(square / (n - 1)) if n > 1 and math.isfinite(square) else 0.0
        deviations.append(float(torch.tensor(value, dtype=torch.float64).to(state_dtype(parameter))))
    return deviations


def spreads_there(parameters: Sequence[Tensor]) -> list[Tensor]:
    """``spreads`` where the matrices are: the host reads nothing."""
    squares, count = _squares(parameters, list)
    return [
        torch.where(square.isfinite() & (n > 1), (square / max(n - 1, 1)).sqrt(), 0.0)
        .to(state_dtype(parameter))
        .double()
        for parameter, square, n in zip(parameters, squares, count, strict=True)
    ]


def _squares(
    parameters: Sequence[Tensor], taken: Callable[[Sequence[Tensor]], list[Number]]
) -> tuple[list[Number], list[int]]:
    """Sums of squared distances from the mean, as ``taken`` takes sums, and how many entries there are."""
    count = [max(parameter.numel(), 1) for parameter in parameters]
    sums = taken(_summed(parameters, [_moment(local(p.detach()), None) for p in parameters]))
    means = [total / n for total, n in zip(sums, count, strict=True)]
    own = [_moment(local(p.detach()), mean) for p, mean in zip(parameters, means, strict=True)]
    return taken(_summed(parameters, own)), count


def _moment(part: Tensor, mean: float | Tensor | None) -> Tensor:
    """Sum of the entries, or of their squared distances from the mean: float64, without a large temporary."""
    if mean is None:
        return part.sum(dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64, device=part.device)
    rows = part if part.ndim else part.view(1)
    if rows.numel():
        for few in torch.split(rows, max(1, CHUNK * len(rows) // rows.numel())):
            total += (few.double() - mean).square_().sum()
    return total


def _summed(parameters: Sequence[Tensor], own: Sequence[Tensor]) -> list[Tensor]:
    """This rank's numbers added up over the ranks among which each matrix is sharded."""
    groups: dict[Layout, list[int]] = {}
    for index, parameter in enumerate(parameters):
        layout = _layout(parameter)
        if layout is not None and _split_dims(layout):
            groups.setdefault(layout, []).append(index)
    totals = [*own]
    for layout, members in groups.items():
        values = torch.stack([own[index].to(own[members[0]].device) for index in members])
        for group in _groups(layout):
            dist.all_reduce(values, group=group)
        for index, value in zip(members, values, strict=True):
            totals[index] = value
    return totals


def _read(values: Sequence[Tensor]) -> list[float]:
    """Numbers of a device, which the host waits for once."""
    there = [value.to(values[0].device) for value in values]
    read: list[float] = torch.stack(there).tolist() if there else []
    return read


def is_sharded(tensor: Tensor) -> bool:
    """Whether ranks hold different parts of it."""
    layout = _layout(tensor)
    return layout is not None and bool(_split_dims(layout))


def _split_dims(layout: "Layout") -> list[int]:
    """Dimensions of the mesh along which ranks hold different parts."""
    return [dim for dim, placement in enumerate(layout[1]) if not placement.is_replicate()]


_ROOM = 1024  # slots are padded to a multiple: ranks that differ still meet in one sum, and find out
_DIGEST = 16


def _reduce_group_(layout: "Layout", members: Sequence[Slot], check: bool) -> None:
    device = layout[0].device_type
    own = torch.stack([slot.sums.to(device) for slot in members]).view(-1)
    digest = own.new_tensor(_digest(members)) if check else own.new_zeros(2 * _DIGEST)
    room = -(-len(members) // _ROOM) * _ROOM
    columns = members[0].sums.numel()
    buffer = torch.cat([digest, own, own.new_zeros(columns * (room - len(members)))])
    ranks = 1
    for group in _groups(layout):
        dist.all_reduce(buffer, group=group)
        ranks *= dist.get_world_size(group)
    if check and not _agree(buffer[: len(digest)].tolist(), ranks):
        raise InputError(_differ(members))
    for slot, total in zip(members, buffer[len(digest) :].view(-1, columns), strict=False):
        slot.sums.copy_(total)


def _groups(layout: "Layout") -> "list[dist.ProcessGroup | None]":
    """The process groups whose sums, one after another, cover the shards; None is all ranks."""
    mesh, dims = layout[0], _split_dims(layout)
    if len(dims) > 1 and math.prod(mesh.size(dim) for dim in dims) == dist.get_world_size():
        return [None]
    return [mesh.get_group(dim) for dim in dims]


def _digest(members: Sequence[Slot]) -> list[float]:
    """Bytes h of a hash of seeds and names, and their squares: W·Σh² = (Σh)² only where all are equal."""
    text = "\n".join(f"{slot.seed}:{slot.name}" for slot in members)
    digest = [float(byte) for byte in hashlib.blake2b(text.encode(), digest_size=_DIGEST).digest()]
    return digest + [byte * byte for byte in digest]


def _agree(summed: Sequence[float], ranks: int) -> bool:
    half = len(summed) // 2
    pairs = zip(summed[:half], summed[half:], strict=True)
    return all(ranks * square == first * first for first, square in pairs)


def _differ(members: Sequence[Slot]) -> str:
    seeds = sorted({slot.seed for slot in members})
    return (
        f"the ranks differ in the seed of the noise or in the parameters in scope (this one: seed "
        f"{', '.join(map(str, seeds))}, {len(members)} parameters, the first {members[0].name!r}): give "
        "every rank the same Noise(seed=...) and the same scope"
    )


def check_replicas(slots: Sequence[Slot], group: "dist.ProcessGroup | None" = None) -> None:
    """Compare seeds and names with the ranks that hold the same parts of the same matrices; a collective.

    Those are the replicated dimensions of a mesh for DTensors (HSDP), and for plain tensors the group of DDP.
    Replicas that draw other noise would drift apart unnoticed.

    Args:
        slots: All matrices in scope.
        group: Ranks that hold replicas of the plain tensors; None leaves those alone, since nothing shows
            whether other ranks take part in this step.

    Raises:
        InputError: Ranks differ.
    """
    plain: list[Slot] = []
    meshes: dict[tuple[DeviceMesh, int], list[Slot]] = {}
    for slot in slots:
        layout = _layout(slot.parameter)
        if layout is None:
            plain.append(slot)
            continue
        mesh, placements = layout
        for dim, placement in enumerate(placements):
            if placement.is_replicate():
                meshes.setdefault((mesh, dim), []).append(slot)
    if plain and group is not None:
        _vote(plain, group, plain[0].parameter.device)
    for (mesh, dim), members in meshes.items():
        _vote(members, mesh.get_group(dim), mesh.device_type)


def _vote(members: Sequence[Slot], group: "dist.ProcessGroup", device: torch.device | str) -> None:
    ranks = dist.get_world_size(group)
    if ranks == 1:
        return
    vote = torch.tensor(_digest(members), dtype=torch.float64, device=device)
    dist.all_reduce(vote, group=group)
    if not _agree(vote.tolist(), ranks):
        raise InputError(_differ(members))


def refuse_flat(parameter: Tensor, name: str) -> None:
    """Refuse a parameter that an engine has flattened together with others.

    Raises:
        InputError: It belongs to FSDP1, or to DeepSpeed ZeRO.
    """
    if getattr(parameter, "_fsdp_flattened", False):
        raise InputError(_FLAT.format(name, "FSDP1", "FSDP2 (fully_shard; fsdp_version: 2 in Accelerate)"))
    if hasattr(parameter, "ds_id"):
        raise InputError(_FLAT.format(name, "DeepSpeed ZeRO", "FSDP2, or DDP"))


_FLAT = (
    "the parameter {!r} is in the hands of {}, which flattens matrices and loses which entries belong "
    "together, so that no mean over a matrix can be taken: use {}"
)
