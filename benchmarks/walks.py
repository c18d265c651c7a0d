"""What noise does to weights over a run: the noise that is in MiniLM's matrices after each step.

    python -m benchmarks.walks

Four settings train on the same batches of the embedded task, with torch's AdamW at 2e-5. Writes
``benchmarks/results/walks.json``, of which ``python -m benchmarks.pictures`` draws docs/walks.svg.
"""

import statistics
from collections.abc import Mapping
from typing import Any

import torch

import pats
from benchmarks import record
from pats import tasks
from pats.run import batches
from pats.run.model import classifier

STEPS, BATCH, LENGTH, LR, EVERY = 40, 4, 32, 2e-5, 2

SETTINGS: Mapping[str, pats.Noise] = {
    "paper": pats.Noise.paper(),
    "budget": pats.Noise(steps=STEPS),
    "transient": pats.Noise(steps=STEPS, keep="transient"),
    "anticorrelated": pats.Noise(steps=STEPS, keep="anticorrelated"),
}


def walk(noise: pats.Noise, model: str = "minilm", steps: int = STEPS, every: int = EVERY) -> dict[str, Any]:
    """Train with some noise, and look how much of it is in the weights.

    Args:
        noise: The noise.
        model: Name or folder of the model.
        steps: Steps of the run.
        every: Steps from one look to the next.

    Returns:
        ``steps``, and of each of them the median, the smallest and the largest noise of a weight matrix, as
        the root of its mean square over the standard deviation of the weights.
    """
    data = tasks.load("grammar", seed=0)
    loaded = classifier.load(model, data.labels, max_length=LENGTH, seed=0)
    split = data.splits["train"].take([*range(steps * BATCH)])
    rows = batches.encode(loaded.tokenizer, split, loaded.max_length, False)
    collate = batches.collator(loaded.tokenizer)
    torch.manual_seed(0)  # dropout
    trained = loaded.model.train()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=LR)
    perturbation = pats.perturb(optimizer, trained, noise)
    matrices = {name for name, value in trained.named_parameters() if value.ndim > 1}
    found: dict[str, list[float]] = {"steps": [], "median": [], "smallest": [], "largest": []}
    for step in range(1, steps + 1):
        trained(**collate(rows[(step - 1) * BATCH : step * BATCH])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == 1 or step % every == 0:
            stats = perturbation.stats()
            there = [stats[name]["accumulated"] for name in perturbation.names if name in matrices]
            found["steps"].append(step)
            for name, of in (("median", statistics.median), ("smallest", min), ("largest", max)):
                found[name].append(round(of(there), 6))
    return found


def main() -> None:
    """Measure all settings."""
    torch.set_num_threads(1)
    recording = record.start("walks", threads=1, precision="fp32")
    rows = [{"noise": name, **walk(noise)} for name, noise in SETTINGS.items()]
    settings = {"model": "minilm", "task": "grammar", "optimizer": "AdamW", "lr": LR, "batch": BATCH}
    recording.put(rows, settings=settings)


if __name__ == "__main__":
    main()
