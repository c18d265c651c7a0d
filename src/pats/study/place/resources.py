"""What a run may use: cores, GPUs and processes, as asked for and as this machine has them."""

import os
import sys

from pats._errors import InputError


def check_resources(
    workers: int | None, cpus: int | None, gpus: float | None, processes: int | None = None
) -> None:
    """Raise InputError about the first number that is out of its range; None is fine."""
    for name, value in (("workers", workers), ("cpus", cpus), ("processes", processes)):
        if value is not None and not (isinstance(value, int) and value >= 1):
            raise InputError(f"{name} is {value!r}, but must be a whole number from 1")
    if gpus is None:
        return
    if not (isinstance(gpus, int | float) and (0 <= gpus <= 1 or (gpus > 1 and gpus == int(gpus)))):
        raise InputError(f"gpus is {gpus!r}, but must be a whole number, or a share of one such as 0.5")
    if gpus and processes and processes != ranks_of(gpus, None):
        raise InputError(
            f"a run has {gpus:g} GPUs and {processes} processes, but must have one process a GPU: leave "
            "processes out"
        )


def ranks_of(gpus: float | None, processes: int | None) -> int:
    """Processes a run: as many as given, else one a GPU."""
    return processes or max(1, int(gpus or 0))


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fitting(number: int) -> int:
    """Workers for this many cores: small models gain little from more than four threads."""
    return min(number, 2) if number <= 8 else number // 4


def visible_gpus() -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES of the GPUs that this process sees."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    return names[:count]
