"""Every way in which torch spreads a model over ranks, on matrices whose shards are uneven and empty."""

from collections.abc import Callable

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

Spread = Callable[[nn.Module, DeviceMesh], nn.Module]


class Pair(nn.Module):
    """Two matrices, rows × columns and columns × rows, with their biases."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.up = nn.Linear(columns, rows)
        self.down = nn.Linear(rows, columns)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(self.up(x).tanh())
        return y


def make_pair(rows: int = 9, columns: int = 7, seed: int = 0) -> Pair:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Pair(rows, columns)


def make_mesh(*shape: int) -> DeviceMesh:
    """The first ranks of the world, with as many dimensions as sizes."""
    ranks = torch.arange(torch.Size(shape).numel()).view(shape)
    return DeviceMesh("cpu", ranks, mesh_dim_names=("dp", "tp")[: len(shape)])


def _columns(parameter: nn.Parameter) -> Shard:
    return Shard(1) if parameter.ndim > 1 else Shard(0)


def fsdp(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    fully_shard(model, mesh=mesh)  # in place
    return model


def fsdp_columns(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    fully_shard(model, mesh=mesh, shard_placement_fn=_columns)
    return model


def tp(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    return parallelize_module(model, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})


def fsdp_tp(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    return fsdp(tp(model, mesh["tp"]), mesh["dp"])


def fsdp_columns_tp(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    return fsdp_columns(tp(model, mesh["tp"]), mesh["dp"])


def placed(*placements: Placement) -> Spread:
    """Every parameter distributed by hand; one without such a dimension is replicated."""

    def place(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                fitting = [
                    p if not isinstance(p, Shard) or p.dim < parameter.ndim else Replicate()
                    for p in placements
                ]
                setattr(module, name, nn.Parameter(distribute_tensor(parameter.detach(), mesh, fitting)))
        return model

    return place


# name: (shape of the mesh, rows, columns, how the model is spread)
LAYOUTS: dict[str, tuple[tuple[int, ...], int, int, Spread]] = {
    "fsdp on 1": ((1,), 9, 7, fsdp),
    "fsdp on 2": ((2,), 9, 7, fsdp),
    "fsdp on 3": ((3,), 9, 7, fsdp),
    "fsdp on 4, an empty shard": ((4,), 9, 7, fsdp),
    "fsdp by columns": ((4,), 12, 8, fsdp_columns),
    "columns, uneven": ((3,), 9, 7, placed(Shard(1))),
    "columns, an empty shard": ((4,), 9, 7, placed(Shard(1))),
    "hsdp": ((2, 2), 9, 7, fsdp),
    "tp on 2": ((2,), 9, 7, tp),
    "tp on 3": ((3,), 9, 7, tp),
    "tp on 4, an empty shard": ((4,), 9, 7, tp),
    "fsdp and tp": ((2, 2), 9, 7, fsdp_tp),
    "fsdp by columns and tp": ((2, 2), 12, 8, fsdp_columns_tp),
    "blocks": ((2, 2), 9, 7, placed(Shard(0), Shard(1))),
    "blocks, columns first": ((2, 2), 9, 7, placed(Shard(1), Shard(0))),
    "rows twice": ((2, 2), 9, 7, placed(Shard(0), Shard(0))),
    "replicated": ((2, 2), 9, 7, placed(Replicate(), Replicate())),
}
