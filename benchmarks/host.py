"""The host's part of a step on a GPU, on any machine: time, launches and copies to the device.

    python -m benchmarks.host

Triton compiles the kernels for compute capability 9.0. NVIDIA's driver is a stand-in whose functions do
nothing (``driver.py``), and tensors on the CPU stand in for those on a device. All that Python, torch and
Triton do before the driver is called is timed; the driver's own launch (a few microseconds each), the caching
allocator of a device and the pinning of memory are not. A matrix has few entries, since their number does not
matter here. Gradients are new tensors at every step, and the optimizers step in turn, so that none finds its
tensors in the caches. ``perturb`` is the whole step with it less the step of torch's AdamW (fused) of the
same round, which runs for real. The time is that of the thread, so that what else the machine does counts
less. Writes ``benchmarks/results/host.json``.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["PATS_KERNEL"] = "triton"

import torch
from torch import nn
from torch.optim import Optimizer

import pats
from benchmarks import driver, record
from pats.kernels import triton as path
from pats.kernels.triton.plan import Plan

MATRICES = {"BERT-base": 72, "RoBERTa-large": 144, "400 tensors": 400}
SCOPE = "layer"
NOISE = pats.Noise(steps=10_000)
WARM_UP = 5  # rounds: tables and kernels are made at the first


def model_of(matrices: int) -> nn.Module:
    """A model of so many matrices."""
    model = nn.Module()
    model.layer = nn.ParameterList(nn.Parameter(torch.randn(16, 16) * 0.05) for _ in range(matrices))
    return model


def groups(model: nn.Module) -> list[dict[str, Any]]:
    """Groups in which all of it is in scope."""
    return pats.param_groups(model, scope=SCOPE)


def perturbed(model: nn.Module) -> Optimizer:
    """Torch's AdamW with the noise around it."""
    optimizer = torch.optim.AdamW(groups(model), lr=1e-4, fused=True)
    pats.perturb(optimizer, model, NOISE, scope=SCOPE)
    return optimizer


PLAIN, PERTURB = "torch AdamW, fused", "perturb on torch AdamW, fused"
MAKERS: dict[str, Callable[[nn.Module], Optimizer]] = {
    "PATS Adamax": lambda model: pats.optim.Adamax(groups(model), lr=1e-4, noise=NOISE),
    "PATS AdamW": lambda model: pats.optim.AdamW(groups(model), lr=1e-4, noise=NOISE),
    "Adamax, fused, no noise": lambda model: pats.optim.Adamax(groups(model), lr=1e-4, fused=True),
    PERTURB: perturbed,
    PLAIN: lambda model: torch.optim.AdamW(groups(model), lr=1e-4, fused=True),
}


def measure(launches: Callable[[], int], matrices: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a step of each of ``MAKERS``, in turn, its launches and its copies.

    Args:
        launches: Gives the number of launches since its last call.
        matrices: How many there are.
        rounds: How often each is timed.
    """
    models = {name: model_of(matrices) for name in MAKERS}
    optimizers = {name: make(models[name]) for name, make in MAKERS.items()}
    times: dict[str, list[float]] = {name: [] for name in MAKERS}
    counts, copies = dict.fromkeys(MAKERS, (0, 0)), [0]
    send = Plan.send

    def counted(self: Plan, *given: Any) -> None:
        copies[0] += 1
        send(self, *given)

    Plan.send = counted  # type: ignore[method-assign, assignment]
    try:
        for _ in range(rounds + WARM_UP):
            for name, optimizer in optimizers.items():
                for parameter in models[name].parameters():
                    parameter.grad = torch.randn_like(parameter)
                launches()
                copies[0] = 0
                start = time.thread_time()
                optimizer.step()
                times[name].append(1e3 * (time.thread_time() - start))
                counts[name] = launches(), copies[0]
    finally:
        Plan.send = send  # type: ignore[method-assign]
    pairs = zip(times[PERTURB], times[PLAIN], strict=True)
    times[PERTURB] = [with_it - without for with_it, without in pairs]
    return {
        name: {
            "median_ms": round(statistics.median(found[WARM_UP:]), 3),
            "fastest_tenth_ms": round(statistics.quantiles(found[WARM_UP:], n=10)[0], 3),
            "launches": counts[name][0],
            "copies": counts[name][1],
        }
        for name, found in times.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    recording, rows = record.start("host", ("triton",)), []
    library, cpu = driver.stand_in(), recording.origin.machine.cpu
    path.INTERPRETED = True  # CPU tensors are taken
    for shape, matrices in MATRICES.items():
        for name, row in measure(library.launches, matrices, rounds).items():
            rows.append({"cpu": cpu, "shape": shape, "matrices": matrices, "step": name, **row})
            print(f"{shape:14} {name:32} {row}")
    recording.put(rows, key=("cpu", "shape", "step"))


if __name__ == "__main__":
    main()
