"""Milliseconds on a CPU, or on a GPU by its own events beside the host's clock."""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pats import kernels
from pats.measure.bench import in_turn

WARM_UP = 3  # turns on a GPU that do not count: kernels are compiled, clocks rise
BURST = 5  # steps of a turn on a GPU, without waiting between them, as a training makes them

Call = Callable[[], object]


def add_device(parser: argparse.ArgumentParser) -> None:
    """The flag that chooses where to measure."""
    here = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=here, help=f"where (default: {here})")


def ready(device: str) -> dict[str, Any]:
    """What goes with all rows of a device: the path that runs there.

    Raises:
        SystemExit: There is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda needs a GPU that torch can use, and there is none: leave it out")
    return {"kernel": str(kernels.info(device))}


def named(device: str) -> str:
    """What rows call a device: a GPU by its card, so that no card's row takes the place of another's."""
    return torch.cuda.get_device_name() if device == "cuda" else device


@dataclass(frozen=True)
class Times:
    """Milliseconds of a step by name, an entry a turn.

    Args:
        device: Until it was done.
        host: Until the call returned; on a CPU the same.
    """

    device: Mapping[str, list[float]]
    host: Mapping[str, list[float]]


def timed(paths: Mapping[str, Call], rounds: int, device: str) -> Times:
    """Time paths in turn, so that all see the same machine."""
    if device == "cpu":
        times = in_turn(paths, rounds)
        return Times(times, times)
    on_device: dict[str, list[float]] = {name: [] for name in paths}
    on_host: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(WARM_UP + rounds):
        for name, step in paths.items():
            begin, end = (_event() for _ in range(2))
            torch.cuda.synchronize()
            started = time.perf_counter()
            begin.record()
            for _ in range(BURST):
                step()
            end.record()
            returned = time.perf_counter()
            torch.cuda.synchronize()
            if turn >= WARM_UP:
                on_device[name].append(begin.elapsed_time(end) / BURST)
                on_host[name].append(1e3 * (returned - started) / BURST)
    return Times(on_device, on_host)


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def copying(numel: int, device: str) -> Call:
    """A copy of so many float32, which reads and writes memory as fast as anything does."""
    source = torch.empty(numel, device=device)
    return functools.partial(torch.empty_like(source).copy_, source)


def bandwidth(numel: int, milliseconds: float, size: int = 8) -> float:
    """Gigabytes a second of a step that moves ``size`` bytes a parameter; a copy's read and write are 8."""
    return round(size * numel / milliseconds / 1e6, 1)


def share(copy_ms: float, step_ms: float, size: int) -> float:
    """How near a step that must move ``size`` bytes a parameter comes to the speed of a copy."""
    return round(size / 8 * copy_ms / step_ms, 3)


def medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Median milliseconds; on a GPU they may be microseconds."""
    return {name: round(statistics.median(values), 4) for name, values in times.items()}
