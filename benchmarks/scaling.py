"""Nanoseconds a parameter of one PATS step, from 10 to 300 million parameters, and to a billion on a GPU.

    python -m benchmarks.scaling

All sizes take turns in one process. Writes ``benchmarks/results/scaling.json``.
"""

import argparse
import statistics

import torch

from benchmarks import record
from benchmarks.common import Encoder, groups
from pats import Noise, optim
from pats.measure.bench import in_turn

# Encoder layers, width, width of the feed-forward layer.
SIZES = {
    "MiniLM-L6": (6, 384, 1536),
    "4 layers of BERT-base": (4, 768, 3072),
    "BERT-base": (12, 768, 3072),
    "RoBERTa-large": (24, 1024, 4096),
}
ON_GPU = {"24 layers, width 1,888": (24, 1888, 7552)}


def main() -> None:
    """Measure all sizes and replace their rows in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    recording = record.start("scaling")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = SIZES | (ON_GPU if device == "cuda" else {})
    models = {name: Encoder(*shape, device=device) for name, shape in sizes.items()}
    noise = Noise(scale="constant", lam=1e-12)
    steps = {
        name: optim.Adamax(groups(model), lr=1e-6, fused=True, noise=noise).step
        for name, model in models.items()
    }
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        times = in_turn(steps, arguments.rounds)
        cost = {name: [1e6 * ms / models[name].numel for ms in values] for name, values in times.items()}
        for name, values in cost.items():
            first = cost["MiniLM-L6"]
            rows.append(
                {
                    "size": name,
                    "threads": threads,
                    "device": device,
                    "parameters": models[name].numel,
                    "rounds": arguments.rounds,
                    "ns_per_parameter": round(statistics.median(values), 3),
                    "best_ns_per_parameter": round(min(values), 3),
                    "over the smallest": round(
                        statistics.median(a / b for a, b in zip(values, first, strict=True)), 3
                    ),
                }
            )
            print(rows[-1])
    recording.put(rows, key=("size", "threads", "device"))


if __name__ == "__main__":
    main()
