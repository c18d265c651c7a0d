"""One run on several processes, as ``torchrun`` and ``accelerate launch`` start them.

Every process goes through the same code. The first one writes files and tells the listener; what depends on
files or on a single process's numbers is agreed on here, so that no process waits for one that gave up.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pats._imports import try_import

T = TypeVar("T")


def count() -> int:
    """Processes that the launcher started; 1 without a launcher."""
    return dist.get_world_size() if _joined() else int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _joined() else int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def join(device: torch.device) -> None:
    """Bring the processes of the launcher into one group; nothing without a launcher."""
    if count() > 1 and not _joined():
        accelerate = try_import("accelerate", "run")
        accelerate.PartialState(cpu=device.type == "cpu")  # the one that Trainer finds and uses


def allow_shards(state: Any) -> None:
    """Let Accelerate shard on CPUs: it looks for its FSDP settings where processes have accelerators alone.

    Args:
        state: Accelerate's ``PartialState`` of this process, before an ``Accelerator`` is made.
    """
    if str(state.distributed_type.value) == "MULTI_CPU" and os.environ.get("ACCELERATE_USE_FSDP") == "true":
        state.distributed_type = type(state.distributed_type).MULTI_GPU


def first(make: Callable[[], T]) -> T:
    """What the first process makes, on every process; an exception that it raises is raised on all."""
    if count() == 1:
        return make()
    told: list[Any] = [None, None]
    if is_first():
        try:
            told[0] = make()
        except Exception as error:
            told[1] = error
    dist.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    return cast(T, told[0])


def every(value: T) -> list[T]:
    """The values of all processes, in their order."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    dist.all_gather_object(found, value)
    return found


def mean(value: Tensor) -> Tensor:
    """Mean of a number over all processes; not finite where one of them is not."""
    if count() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / count()


def wait() -> None:
    """Wait for all processes to come here."""
    if count() > 1:
        dist.barrier()
