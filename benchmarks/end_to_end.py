"""Wall time of fine-tuning MiniLM on CoLA with PATS, against the same training without noise.

    python -m benchmarks.end_to_end --data GLUE

Two trainings take turns, batch by batch, on the same batches: torch's Adamax, and PATS with Adamax. Without
``--data``, a folder of GLUE, the embedded task serves. On a GPU (``--device cuda``) its events time them, and
no step waits for it. Writes ``benchmarks/results/end_to_end.json``.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import torch

import pats
from benchmarks import record, timing
from pats import tasks
from pats.measure.bench import ratio
from pats.run import Run, batches
from pats.run.data import load_data
from pats.run.model import classifier, masks

LR = 1e-4


def _sent(batch: Mapping[str, torch.Tensor], device: str) -> tuple[bool | None, dict[str, torch.Tensor]]:
    """Whether a batch is padded, and the batch on the device."""
    return masks.padded(batch), {key: value.to(device) for key, value in batch.items()}


def training(
    optimizer_of: Callable[[torch.nn.Module], torch.optim.Optimizer], run: Run, device: str
) -> Callable[[], None]:
    """One batch after another of a training."""
    data = load_data(run)
    loaded = classifier.load(run.model, data.labels, run.max_length, run.init_seed)
    net: Any = loaded.model
    net.to(device).train()
    optimizer = optimizer_of(net)
    collate = batches.collator(loaded.tokenizer)
    train: tasks.Split = data.splits["train"].take([*range(20 * run.batch_size)])
    features = batches.encode(loaded.tokenizer, train, loaded.max_length, data.regression)
    ready = cycle(
        _sent(collate(features[at : at + run.batch_size]), device)
        for at in range(0, len(features), run.batch_size)
    )

    def step() -> None:
        optimizer.zero_grad()
        padded, batch = next(ready)
        with masks.known(padded):  # as a run does
            net(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    return step


def main() -> None:
    """Measure and replace the rows in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", help="folder of GLUE")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=40)
    timing.add_device(parser)
    arguments = parser.parse_args()
    device = arguments.device
    recording = record.start("end_to_end", **timing.ready(device))
    run = Run(model="minilm", task="cola" if arguments.data else "grammar", data=arguments.data)
    noise = pats.Noise()
    adamax, groups = pats.optim.Adamax, pats.param_groups
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        steps = {
            "without noise": training(lambda m: adamax(groups(m), lr=LR), run, device),
            "PATS, fused": training(lambda m: adamax(groups(m), lr=LR, noise=noise), run, device),
            "PATS, torch's update": training(
                lambda m: adamax(groups(m), lr=LR, fused=False, noise=noise), run, device
            ),
        }
        taken = timing.timed(steps, arguments.rounds, device)
        times = taken.device
        rows.append(
            {
                "task": run.task,
                "device": timing.named(device),
                "threads": threads,
                "batch_size": run.batch_size,
                "rounds": arguments.rounds,
                "median_ms": timing.medians(times),
                "sum_of_ms": {name: round(sum(values), 1) for name, values in times.items()},
                "PATS, fused / without noise": ratio(times, "PATS, fused", "without noise"),
                "PATS, torch's update / without noise": ratio(times, "PATS, torch's update", "without noise"),
                "spread of the first ratio": round(
                    statistics.stdev(
                        a / b for a, b in zip(times["PATS, fused"], times["without noise"], strict=True)
                    ),
                    3,
                ),
            }
            | ({} if device == "cpu" else {"host_ms": timing.medians(taken.host)})
        )
        print(rows[-1])
    recording.put(rows, key=("task", "threads", "device"))


if __name__ == "__main__":
    main()
