"""Nanoseconds a parameter of one PATS step, from 10 to 300 million parameters, and to a billion on a GPU.

    python -m benchmarks.scaling

All sizes take turns in one process. On a GPU (``--device cuda``) its events time them, and a copy of as many
parameters in the same turns says how near each comes to the memory's limit. Writes
``benchmarks/results/scaling.json``.
"""

import argparse
import statistics
from collections.abc import Mapping

import torch

from benchmarks import record, timing
from benchmarks.common import Encoder, groups
from benchmarks.step import BYTES
from pats import Noise, optim

# Encoder layers, width, width of the feed-forward layer.
SIZES = {
    "MiniLM-L6": (6, 384, 1536),
    "4 layers of BERT-base": (4, 768, 3072),
    "BERT-base": (12, 768, 3072),
    "RoBERTa-large": (24, 1024, 4096),
}
ON_GPU = {"24 layers, width 1,888": (24, 1888, 7552)}


def _on_gpu(name: str, median: Mapping[str, float], host: Mapping[str, float]) -> dict[str, float]:
    """What the row of a GPU has besides."""
    copied = median[f"copy {name}"]
    return {
        "device_ms": median[name],
        "host_ms": host[name],
        "copy_ms": copied,
        "share_of_copy": timing.share(copied, median[name], BYTES["PATS, streamed"]),
    }


def main() -> None:
    """Measure all sizes and replace their rows in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", nargs="+", choices={**SIZES, **ON_GPU}, metavar="NAME")
    timing.add_device(parser)
    arguments = parser.parse_args()
    device = arguments.device
    recording = record.start("scaling", **timing.ready(device))
    sizes = SIZES | (ON_GPU if device == "cuda" else {})
    sizes = {name: sizes[name] for name in arguments.sizes or sizes}
    models = {name: Encoder(*shape, device=device) for name, shape in sizes.items()}
    noise = Noise(scale="constant", lam=1e-12)
    steps = {
        name: optim.Adamax(groups(model), lr=1e-6, fused=True, noise=noise).step
        for name, model in models.items()
    }
    copies = (
        {} if device == "cpu" else {f"copy {n}": timing.copying(m.numel, device) for n, m in models.items()}
    )
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        taken = timing.timed(steps | copies, arguments.rounds, device)
        cost = {name: [1e6 * ms / model.numel for ms in taken.device[name]] for name, model in models.items()}
        median, host = timing.medians(taken.device), timing.medians(taken.host)
        for name, values in cost.items():
            first = cost[next(iter(sizes))]
            rows.append(
                {
                    "size": name,
                    "threads": threads,
                    "device": timing.named(device),
                    "parameters": models[name].numel,
                    "rounds": arguments.rounds,
                    "ns_per_parameter": round(statistics.median(values), 3),
                    "best_ns_per_parameter": round(min(values), 3),
                    "over the smallest": round(
                        statistics.median(a / b for a, b in zip(values, first, strict=True)), 3
                    ),
                }
                | ({} if device == "cpu" else _on_gpu(name, median, host))
            )
            print(rows[-1])
    recording.put(rows, key=("size", "threads", "device"))


if __name__ == "__main__":
    main()
