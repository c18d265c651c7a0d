"""Memory that `pats.sensitivity` and its distribution take on a model of 300 million encoder parameters.

    python -m benchmarks.sensitivity

A random BERT-large (24 layers of width 1024) in float32; one process for each number of batches, so that each
has a peak of its own. The peak may not grow with the number of batches.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import pats
from benchmarks import record
from pats.measure.distribution import Distribution

BATCHES = (1, 2, 6)
SHAPE = (2, 16)  # examples and tokens of a batch


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(count: int) -> dict[str, float]:
    """Peak memory and what was found, over ``count`` batches."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    )
    model: nn.Module = BertForSequenceClassification(config)
    model.eval()
    before = peak()
    draw = torch.Generator().manual_seed(0)

    def batches() -> Iterator[Tensor]:
        for _ in range(count):
            yield torch.randint(1000, 30_000, SHAPE, generator=draw)

    def loss(module: nn.Module, batch: Tensor) -> Tensor:
        found: Tensor = module(input_ids=batch, labels=torch.tensor([0, 1])).loss
        return found

    started = time.perf_counter()
    found = pats.sensitivity(model, batches(), loss, scope="encoder")
    whole = Distribution()
    while found:
        whole.add(found.popitem()[1])
    seconds = time.perf_counter() - started
    return {
        "batches": count,
        "parameters": whole.entries,
        "model_gb": round(sum(p.numel() for p in model.parameters()) * 4 / 2**30, 2),
        "before_gb": round(before, 2),
        "peak_gb": round(peak(), 2),
        "seconds": round(seconds, 1),
        "cv": round(whole.cv, 3),
    }


def main() -> None:
    """Measure every number of batches in a process of its own."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
        return
    recording, rows = record.start("sensitivity"), []
    for count in BATCHES:
        command = [sys.executable, "-m", "benchmarks.sensitivity", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1])
    recording.put(rows, key=["batches"])


if __name__ == "__main__":
    main()
