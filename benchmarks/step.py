"""One optimizer step: torch's own optimizers, PATS in plain torch operations, and the fused CPU kernel.

    python benchmarks/step.py --shapes minilm --threads 1 2 --rounds 21

All paths take turns in one process on the same parameters, and the medians of a row are compared with each
other only: absolute times depend on what else the machine does. Writes ``benchmarks/results/step.json``.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from pats._noise import Noise
from pats.kernels import cpu, eager
from pats.kernels.cpu import fused

RESULTS = Path(__file__).with_name("results") / "step.json"

# Encoder layers, width, width of the feed-forward layer.
SHAPES = {"minilm": (6, 384, 1536), "bert-base": (12, 768, 3072), "roberta-large": (24, 1024, 4096)}

LR, BETAS, EPS = 1e-5, (0.9, 0.999), 1e-8


def encoder(layers: int, width: int, inner: int) -> list[Tensor]:
    """Parameters of an encoder's layers, with gradients."""
    layer = [(width, width), (width,)] * 4 + [(inner, width), (inner,), (width, inner), (width,)]
    parameters = [torch.nn.Parameter(torch.randn(shape) * 0.05) for _ in range(layers) for shape in layer]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * 1e-3
    return [*parameters]


def ours(parameters: Sequence[Tensor], rule: str, noise: Noise | None) -> Callable[[], object]:
    """A step of the fused kernel with states of its own."""
    states = [tuple(torch.zeros_like(p).detach() for _ in range(3)) for p in parameters]
    count = 0

    def step() -> object:
        nonlocal count
        count += 1
        base = getattr(fused, rule)(LR, BETAS, EPS, 0.0, count)
        jobs = [
            fused.Job(p, g, m, v, base, LR, count, noise=noise, average=average, name=str(i))
            for i, (p, (m, v, average)) in enumerate(zip(parameters, states, strict=True))
            if (g := p.grad) is not None
        ]
        return fused.step_(jobs)

    return step


def plain(parameters: Sequence[Tensor], noise: Noise) -> Callable[[], object]:
    """The noise alone, in plain torch operations."""
    averages = [torch.zeros_like(p).detach() for p in parameters]

    @torch.no_grad()
    def step() -> None:
        for i, (p, average) in enumerate(zip(parameters, averages, strict=True)):
            assert p.grad is not None
            mean = eager.measure_(average, p, p.grad, noise).mean
            eager.perturb_(p, average, mean, noise, name=str(i), step=1, lr=LR)

    return step


def measure(shape: str, threads: int, rounds: int, slow: bool) -> dict[str, object]:
    """Median milliseconds of every path, taken in turn."""
    torch.set_num_threads(threads)
    parameters = encoder(*SHAPES[shape])
    numel = sum(p.numel() for p in parameters)
    paths: dict[str, Callable[[], object]] = {
        "torch Adamax foreach": torch.optim.Adamax(parameters, lr=LR, foreach=True).step,
        "torch AdamW fused": torch.optim.AdamW(parameters, lr=LR, fused=True).step,
        "Adamax fused": ours(parameters, "adamax", None),
        "PATS Adamax fused": ours(parameters, "adamax", Noise()),
        "AdamW fused": ours(parameters, "adamw", None),
        "PATS AdamW fused": ours(parameters, "adamw", Noise()),
    }
    if slow:
        paths["PATS noise alone, plain torch"] = plain(parameters, Noise())
    times: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(rounds + 2):
        for name, step in paths.items():
            begin = time.perf_counter()
            step()
            if turn >= 2:  # the first two warm up
                times[name].append(1e3 * (time.perf_counter() - begin))
    median = {name: statistics.median(values) for name, values in times.items()}

    # Two paths of one turn saw the same machine, so the median of the ratios is steadier than theirs.
    def ratio(over: str, under: str) -> float:
        pairs = zip(times[over], times[under], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 3)

    return {
        "shapes": shape,
        "parameters": numel,
        "threads": threads,
        "rounds": rounds,
        "median_ms": {name: round(value, 2) for name, value in median.items()},
        "best_ms": {name: round(min(values), 2) for name, values in times.items()},
        "ns_per_parameter": {name: round(1e6 * value / numel, 3) for name, value in median.items()},
        "PATS Adamax over torch Adamax": ratio("PATS Adamax fused", "torch Adamax foreach"),
        "PATS Adamax over Adamax fused": ratio("PATS Adamax fused", "Adamax fused"),
        "PATS AdamW over torch AdamW fused": ratio("PATS AdamW fused", "torch AdamW fused"),
    }


def main() -> None:
    """Measure the chosen shapes and replace their rows in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["minilm"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--plain", action="store_true", help="also the slow path in plain torch")
    parser.add_argument("--dry", action="store_true", help="print only")
    arguments = parser.parse_args()
    if cpu.LIBRARY is None:
        parser.error("the C kernel has not been built: install a C compiler and reinstall")
    about = {
        "date": date.today().isoformat(),
        "torch": torch.__version__,
        "isa": cpu.LIBRARY.pats_isa_name().decode(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for shape in arguments.shapes:
        for threads in arguments.threads:
            row = {**measure(shape, threads, arguments.rounds, arguments.plain), **about}
            row["load"] = round(os.getloadavg()[0], 1)  # above `cores`, others were taking turns too
            print(json.dumps(row, indent=1))
            rows = [r for r in rows if (r["shapes"], r["threads"]) != (shape, threads)] + [row]
    if not arguments.dry:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
