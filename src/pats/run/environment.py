"""Where a run happened: versions, hardware, threads, memory, git state, time."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pats._imports import try_import
from pats.run import ranks

_PACKAGES = ("torch", "transformers", "accelerate", "pats-finetune")


def device() -> torch.device:
    """The first CUDA device where there is one, else the CPU.

    Apple's MPS is not used: it has no float64, in which the noise is summed.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bf16(precision: str, device: torch.device) -> bool:
    """Whether a run of this ``precision`` computes under bf16 autocast.

    ``"auto"`` takes it where the hardware multiplies bf16 matrices itself: CUDA from Ampere on, CPUs
    with AVX512-BF16 or AMX. MiniLM-L6 at batch 32 then takes 0.56 to 0.66 of the time of fp32 (EPYC
    with AVX512-BF16, one thread, 12 to 128 tokens); where bf16 is emulated it is slower.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)


def describe(device: torch.device, in_bf16: bool) -> dict[str, Any]:
    """Plain values for ``Result.environment``."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": ranks.count(),
        "device": str(device),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "precision": "bf16" if in_bf16 else "fp32",
        "peak_memory_mb": peak_memory(device),
        "git": git_state(),
    }


def peak_memory(device: torch.device) -> dict[str, float]:
    """Largest memory so far in MB: of the process (since its start), and of the accelerator."""
    peak = {"process": _process_peak() / 2**20}
    if device.type == "cuda":
        peak["accelerator"] = torch.cuda.max_memory_allocated(device) / 2**20
    return {name: round(value, 1) for name, value in peak.items()}


def _process_peak() -> int:
    """Bytes."""
    if sys.platform == "win32":  # which lacks the module below; psutil comes with accelerate
        return int(try_import("psutil", "run").Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss counts kilobytes except on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this package is imported from; None where it is installed."""
    package = Path(__file__).resolve().parents[1]
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return {
        "commit": _git(package, "rev-parse", "HEAD"),
        "dirty": bool(_git(package, "status", "--porcelain", "--", ".")),  # of the package alone
    }


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def version_of(package: str) -> str | None:
    """Its installed version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
