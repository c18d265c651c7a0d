"""One optimizer step: torch's own optimizers, PATS in plain torch operations, and PATS in one kernel.

    python -m benchmarks.step --shapes minilm bert-base roberta-large --threads 1 2

All paths take turns in one process on the same parameters of an encoder's layers, through the public
optimizers, Python included. The ratios are the result: absolute times depend on what else the machine does.
torch's Adamax makes temporaries of the parameters' size, whose price is that of the memory: with ``--keep``
the C library keeps what was freed (glibc), without it that goes back to the system and is mapped anew.
On a GPU (``--device cuda``) its events time each path beside the host's clock, and the row says how near a
path comes to the speed of a copy. Writes ``benchmarks/results/step.json``.
"""

import argparse
import gc
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim.adamax import adamax

from benchmarks import record, timing
from benchmarks.common import SCOPE, SHAPES, Encoder
from pats.measure.bench import LR, STEPS, ratio

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

# Of each path the bytes that it moves on a GPU, where no matrix stays in cache between the passes.
MOVED = {
    "torch AdamW, fused": "base",
    "Adamax, fused": "base",
    "PATS Adamax, fused": "PATS, streamed",
    "PATS AdamW, fused": "PATS, streamed",
}


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


def measure(
    shape: str, threads: int, rounds: int, slow: bool, compile_too: bool, device: str
) -> dict[str, Any]:
    """One row: all paths on the parameters of one encoder."""
    torch.set_num_threads(threads)
    model = Encoder(*SHAPES[shape][:3], device=device)
    paths = {"copy": timing.copying(model.numel, device)} | paths_of(model, slow, compile_too)
    taken = timing.timed(paths, rounds, device)
    times, median = taken.device, timing.medians(taken.device)
    pats_ms, base_ms = median["PATS Adamax, fused"], median["Adamax, fused"]
    return {
        "shapes": shape,
        "device": timing.named(device),
        "threads": threads,
        "memory": "kept" if KEEP.items() <= os.environ.items() else "returned",
        "parameters": model.numel,
        "rounds": rounds,
        "load": round(os.getloadavg()[0], 1),
        "median_ms": median,
        "best_ms": {name: round(min(values), 3) for name, values in times.items()},
        "ns_per_parameter": {name: round(1e6 * ms / model.numel, 3) for name, ms in median.items()},
        "gigabytes_per_second": {
            "copy": timing.bandwidth(model.numel, median["copy"]),
            "Adamax, fused": timing.bandwidth(model.numel, base_ms, BYTES["base"]),
            "PATS Adamax, fused, at 36 bytes": timing.bandwidth(model.numel, pats_ms, BYTES["PATS, cached"]),
            "PATS Adamax, fused, at 48 bytes": timing.bandwidth(
                model.numel, pats_ms, BYTES["PATS, streamed"]
            ),
        },
        "ratios": {f"{a} / {b}": ratio(times, a, b) for a, b in RATIOS if a in times and b in times},
        **({} if device == "cpu" else _on_gpu(median, timing.medians(taken.host))),
    }


def _on_gpu(median: Mapping[str, float], host: Mapping[str, float]) -> dict[str, Any]:
    """What the row of a GPU has besides."""
    copied = median["copy"]
    shares = {name: timing.share(copied, median[name], BYTES[kind]) for name, kind in MOVED.items()}
    return {"host_ms": host, "share_of_copy": shares, "bytes": {n: BYTES[k] for n, k in MOVED.items()}}


def main() -> None:
    """Measure the chosen shapes and replace their rows in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["minilm"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--fast", action="store_true", help="leave out the slow and the compiled paths")
    parser.add_argument("--keep", action="store_true", help="the C library keeps what was freed (glibc)")
    timing.add_device(parser)
    arguments = parser.parse_args()
    device = arguments.device
    if arguments.keep and not KEEP.items() <= os.environ.items():  # the C library reads them when it starts
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.step", *sys.argv[1:]], os.environ | KEEP)
    recording = record.start("step", **timing.ready(device))
    for shape in arguments.shapes:
        for threads in arguments.threads:
            slow = not arguments.fast
            row = measure(shape, threads, arguments.rounds, slow, slow and shape == "minilm", device)
            recording.put([row], key=("shapes", "threads", "device", "memory"))
            gc.collect()  # optimizers hold themselves in circles, and the next ones need their memory
            told = {f"share of a copy: {name}": value for name, value in row.get("share_of_copy", {}).items()}
            for name, value in {**row["best_ms"], **row["ratios"], **told}.items():
                print(f"{shape:14} {threads} threads  {name:60} {value:10.3f}")


if __name__ == "__main__":
    main()
