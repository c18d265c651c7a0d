"""Memory of one optimizer step beyond the parameters and their gradients: what stays, and the peak on top.

    python -m benchmarks.memory --shapes bert-base

Every path runs in a process of its own, with the allocator returning freed memory at once. What stays is
counted from the optimizer's state; the peak is the process's highest resident memory during later steps minus
what was resident before them, on a GPU (``--device cuda``) that of torch's allocator. Writes
``benchmarks/results/memory.json``.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import record, timing
from benchmarks.common import SHAPES, Encoder, groups
from pats import Noise, optim, perturb

NOISE = Noise(scale="constant", lam=1e-12)


def perturbed(model: Encoder) -> torch.optim.Optimizer:
    """PATS on torch's Adamax."""
    optimizer = torch.optim.Adamax(model.parameters(), foreach=False)
    perturb(optimizer, model, NOISE, scope=r"layer\.")
    return optimizer


PATHS = {
    "torch Adamax, single": lambda m: torch.optim.Adamax(m.parameters(), foreach=False),
    "torch Adamax, foreach": lambda m: torch.optim.Adamax(m.parameters(), foreach=True),
    "Adamax, fused": lambda m: optim.Adamax(groups(m), fused=True),
    "PATS Adamax, fused": lambda m: optim.Adamax(groups(m), fused=True, noise=NOISE),
    "PATS AdamW, fused": lambda m: optim.AdamW(groups(m), fused=True, noise=NOISE),
    "torch Adamax, single, with perturb": perturbed,
}


def resident(field: str) -> int:
    """Bytes of a field of this process's status (``VmRSS``, ``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"the system does not tell {field}")


def alone(name: str, shape: str, device: str) -> dict[str, Any]:
    """Measure one path in this process."""
    torch.set_num_threads(1)
    model = Encoder(*SHAPES[shape][:3], device=device)
    optimizer = PATHS[name](model)
    for _ in range(2):
        optimizer.step()
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    for _ in range(3):
        optimizer.step()
    peak = (torch.cuda.max_memory_allocated() if device == "cuda" else resident("VmHWM")) - before
    state = sum(
        value.numel() * value.element_size() for row in optimizer.state.values() for value in row.values()
    )
    largest = max(p.numel() for p in model.parameters())
    return {
        "shapes": shape,
        "device": timing.named(device),
        "optimizer": name,
        "parameters": model.numel,
        "largest_matrix_bytes": 4 * largest,
        "state_bytes_per_parameter": round(state / model.numel, 3),
        "peak_bytes_on_top": max(peak, 0),
        "peak_bytes_on_top_per_parameter": round(max(peak, 0) / model.numel, 3),
    }


def main() -> None:
    """Measure every path in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["bert-base"])
    parser.add_argument("--alone", choices=PATHS, help=argparse.SUPPRESS)
    timing.add_device(parser)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments.alone, arguments.shapes[0], arguments.device)))
        return
    recording = record.start("memory", **timing.ready(arguments.device))
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
    for shape in arguments.shapes:
        for name in PATHS:
            here = ["--shapes", shape, "--device", arguments.device]
            command = [sys.executable, "-m", "benchmarks.memory", *here, "--alone", name]
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            recording.put([json.loads(done.stdout)], key=("shapes", "optimizer", "device"))
            print(done.stdout, end="")


if __name__ == "__main__":
    main()
