"""One run on several processes, as ``torchrun`` and ``accelerate launch`` start them.

Every process goes through the same code. The first one writes files and calls the listener; what depends on
files or on a single process's numbers is agreed on here, so that no process waits for one that gave up.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from traceback import extract_tb
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pats._errors import InputError
from pats._imports import try_import

T = TypeVar("T")

PATIENCE = "PATS_JOIN_SECONDS"  # how long processes that were started by hand wait for each other
_PLACE = ("RANK", "MASTER_ADDR", "MASTER_PORT")
# Accelerate reads them before torchrun's.
_OF_MPI = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_CLEAR = "unset WORLD_SIZE RANK LOCAL_RANK MASTER_ADDR MASTER_PORT, or start with torchrun"


class LauncherError(InputError):
    """The variables of a launcher do not fit each other, or nobody answers where they point."""


@dataclass(frozen=True)
class Launched:
    """What the launcher's variables say.

    Args:
        count: Processes.
        rank: Number of this one.
        local: Its number on its machine.
    """

    count: int
    rank: int
    local: int


def launched() -> Launched:
    """What the environment says of a launcher; one process where it says nothing.

    Raises:
        LauncherError: It contradicts itself, as what is left over of another launch may.
    """
    count, rank, local = _number("WORLD_SIZE", 1, 1), _number("RANK", 0, 0), _number("LOCAL_RANK", 0, 0)
    for name in _OF_MPI:
        if os.environ.get(name, "1") != "1" and "WORLD_SIZE" not in os.environ:
            raise LauncherError(
                f"the variable {name} is {os.environ[name]!r}, as MPI sets it, but WORLD_SIZE is not set: "
                f"unset {name}, or start with torchrun"
            )
    for name, number in (("RANK", rank), ("LOCAL_RANK", local)):
        if number >= count:
            size = f"WORLD_SIZE is {count}" if "WORLD_SIZE" in os.environ else "WORLD_SIZE is not set"
            raise LauncherError(f"the variable {name} is {number}, but {size}: {_CLEAR}")
    missing = [name for name in _PLACE if not os.environ.get(name)]
    if count > 1 and missing:
        raise LauncherError(f"the variable WORLD_SIZE is {count}, but {missing[0]} is not set: {_CLEAR}")
    return Launched(count, rank, local)


def _number(name: str, default: int, least: int, most: int = 1 << 31) -> int:
    text = os.environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise LauncherError(f"the variable {name} is {text!r}, but must be a number from {least}: {_CLEAR}")
    return int(text)


def count() -> int:
    """Processes that the launcher started; 1 without a launcher."""
    return dist.get_world_size() if _joined() else launched().count


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _joined() else launched().rank


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def speaks(error: InputError) -> bool:
    """Whether this process reports an error: one a machine does, where the processes know each other."""
    try:
        return isinstance(error, LauncherError) or launched().local == 0
    except LauncherError:
        return True


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def join(device: torch.device) -> None:
    """Bring the processes of the launcher into one group; nothing without a launcher.

    Raises:
        LauncherError: The others are not there.
    """
    if _joined():
        return
    missing = [name for name in ("WORLD_SIZE", *_PLACE) if not os.environ.get(name)]
    alone = os.environ.get("LOCAL_RANK") and count() == 1  # Accelerate makes a group of one
    if alone and missing:
        raise LauncherError(f"the variable LOCAL_RANK is set, but {missing[0]} is not: {_CLEAR}")
    if alone:
        _meet()
    if count() > 1:
        accelerate = try_import("accelerate", "run")
        store = _meet()
        accelerate.PartialState(cpu=device.type == "cpu")  # the one that Trainer finds and uses
        del store  # whose server the group has used


@contextmanager
def accelerated() -> Iterator[None]:
    """Say in one sentence what Accelerate raises over its own variables.

    Raises:
        LauncherError: It raised something, and there are such variables.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        names = sorted(name for name in os.environ if name.startswith("ACCELERATE_"))
        inside = any("accelerate" in Path(frame.filename).parts for frame in extract_tb(error.__traceback__))
        if not (names and inside):
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LauncherError(
            f"Accelerate cannot start ({said}) with its variables that are set ({', '.join(names)}): unset "
            "them, or set them with accelerate launch"
        ) from error


def _meet() -> object:
    """Wait for the others for seconds, where torch alone would for minutes.

    Under torchrun its agent answers at once. Processes that were started by hand meet at the first one.
    """
    here, given = launched(), os.environ.get(PATIENCE, "20")
    address, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT", 0, 1, 65535)
    agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    hosts = here.rank == 0 and not agent
    try:
        wait = timedelta(seconds=float(given))
        socket.getaddrinfo(address, port)
        if not hosts:
            _reach(address, port, wait)
        return cast(Any, dist).TCPStore(
            address,
            port,
            here.count,
            is_master=hosts,
            timeout=wait,
            wait_for_workers=not agent,
            multi_tenant=True,  # torch's own group, at the same address, shares the server
        )
    except (OSError, RuntimeError, ValueError, OverflowError):
        raise LauncherError(
            f"the variables of a launcher are set (WORLD_SIZE {here.count}, RANK {here.rank}), but within "
            f"{given} s not all {here.count} processes came to {address}:{port}: {_CLEAR}, or give them "
            f"longer with {PATIENCE}"
        ) from None


def _reach(address: str, port: int, wait: timedelta) -> None:
    """Wait until something listens; torch would write pages about every failed attempt."""
    until = time.monotonic() + wait.total_seconds()
    while True:
        try:
            socket.create_connection((address, port), timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


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
    outcome: list[Any] = [None, None]
    if is_first():
        try:
            outcome[0] = make()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    return cast(T, outcome[0])


def every(value: T) -> list[T]:
    """The values of all processes, in their order."""
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


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
