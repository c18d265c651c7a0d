"""One optimizer step: torch's own optimizers, PATS in plain torch operations, and PATS in one kernel.

    python -m benchmarks.step --shapes minilm bert-base roberta-large --threads 1 2

All paths take turns in one process on the same parameters of an encoder's layers, through the public
optimizers, Python included. The ratios are the result: absolute times depend on what else the machine does.
torch's Adamax makes temporaries of the parameters' size, whose price is that of the memory: with ``--keep``
the C library keeps what was freed (glibc), without it that goes back to the system and is mapped anew.
Writes ``benchmarks/results/step.json``.
"""

import argparse
import functools
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.adamax import adamax

from benchmarks import record
from benchmarks.common import SCOPE, SHAPES, Encoder
from pats.measure.bench import LR, STEPS, in_turn, medians, ratio

FAST = (
    "torch Adamax, foreach",
    "torch AdamW, fused",
    "Adamax, fused",
    "PATS Adamax, fused",
    "PATS AdamW, fused",
)
SLOW = ("PATS Adamax, torch operations", "PATS Adamax, foreach and noise kernel")

# Bytes a parameter that a step must move, everything in float32: read θ g m u, write θ m u; PATS reads and
# writes s̄ too, and reads θ, g and s̄ twice where the first pass has left the cache.
BYTES = {"base": 28, "PATS, cached": 36, "PATS, streamed": 48}


def compiled(model: Encoder) -> Callable[[], object]:
    """torch.compile of torch's own single-tensor Adamax."""
    parameters = [*model.parameters()]
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    steps = [torch.zeros(()) for _ in parameters]

    @torch.compile
    def update() -> None:
        adamax(
            parameters,  # type: ignore[arg-type]
            [p.grad for p in parameters],  # type: ignore[misc]
            first,
            second,
            steps,
            foreach=False,
            eps=1e-8,
            beta1=0.9,
            beta2=0.999,
            lr=LR,
            weight_decay=0.0,
            capturable=True,
        )

    return torch.no_grad()(update)


def paths_of(model: Encoder, slow: bool, compile_too: bool) -> dict[str, Callable[[], object]]:
    """The steps to be compared, by name."""
    names = (*FAST, *(SLOW if slow else ()))
    found = {name: STEPS[name].make(model, SCOPE) for name in names}
    if compile_too:
        found["torch Adamax, compiled"] = compiled(model)
    return found


# Above any block here: nothing is mapped on its own, and nothing goes back.
KEEP = dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**36))

RATIOS = (
    ("PATS Adamax, fused", "torch Adamax, foreach"),
    ("PATS Adamax, fused", "Adamax, fused"),
    ("PATS AdamW, fused", "torch AdamW, fused"),
    ("Adamax, fused", "torch Adamax, foreach"),
    ("PATS Adamax, fused", "torch Adamax, compiled"),
    ("PATS Adamax, fused", "PATS Adamax, torch operations"),
)


def measure(shape: str, threads: int, rounds: int, slow: bool, compile_too: bool) -> dict[str, Any]:
    """One row: all paths on the parameters of one encoder."""
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Encoder(*SHAPES[shape][:3], device=device)
    source = torch.empty(model.numel, device=device)
    paths = {"copy": functools.partial(torch.empty_like(source).copy_, source)}
    times = in_turn(paths | paths_of(model, slow, compile_too), rounds)
    median = medians(times)
    pats_ms, base_ms = median["PATS Adamax, fused"], median["Adamax, fused"]
    return {
        "shapes": shape,
        "device": device,
        "threads": threads,
        "memory": "kept" if KEEP.items() <= os.environ.items() else "returned",
        "parameters": model.numel,
        "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
        "median_ms": median,
        "best_ms": {name: round(min(values), 3) for name, values in times.items()},
        "ns_per_parameter": {name: round(1e6 * ms / model.numel, 3) for name, ms in median.items()},
        "gigabytes_per_second": {
            "copy": round(8 * model.numel / median["copy"] / 1e6, 1),
            "Adamax, fused": round(BYTES["base"] * model.numel / base_ms / 1e6, 1),
            "PATS Adamax, fused, at 36 bytes": round(BYTES["PATS, cached"] * model.numel / pats_ms / 1e6, 1),
            "PATS Adamax, fused, at 48 bytes": round(
                BYTES["PATS, streamed"] * model.numel / pats_ms / 1e6, 1
            ),
        },
        "ratios": {f"{a} / {b}": ratio(times, a, b) for a, b in RATIOS if a in times and b in times},
    }


def main() -> None:
    """Measure the chosen shapes and replace their rows in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["minilm"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--fast", action="store_true", help="leave out the slow and the compiled paths")
    parser.add_argument("--keep", action="store_true", help="the C library keeps what was freed (glibc)")
    arguments = parser.parse_args()
    if arguments.keep and not KEEP.items() <= os.environ.items():  # the C library reads them when it starts
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.step", *sys.argv[1:]], os.environ | KEEP)
    recording, rows = record.start("step"), []
    for shape in arguments.shapes:
        for threads in arguments.threads:
            slow = not arguments.fast
            row = measure(shape, threads, arguments.rounds, slow, slow and shape == "minilm")
            rows.append(row)
            gc.collect()  # optimizers hold themselves in circles, and the next ones need their memory
            for name, value in {**row["best_ms"], **row["ratios"]}.items():
                print(f"{shape:14} {threads} threads  {name:60} {value:10.3f}")
    recording.put(rows, key=("shapes", "threads", "device", "memory"))


if __name__ == "__main__":
    main()
