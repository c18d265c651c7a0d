"""Model, data and settings of every example: the same, so that their weights can be compared.

Each example is run as ``python examples/NAME.py [--model minilm] [--steps 20]`` and prints a hash of the
weights it ends with. The model is the embedded MiniLM, the data the embedded task; no download is needed.
"""

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import pats
from pats import tasks
from pats.run import batches
from pats.run.model import classifier

LR, BATCH, CLIP, SEED = 1e-4, 16, 1.0, 0
NOISE = pats.Noise(seed=SEED)


@dataclass
class Setting:
    """What an example trains.

    Args:
        name: The model's name.
        model: The classifier, with a fresh head.
        rows: Encoded training examples, in the order in which they are taken.
        collate: Pads a list of examples to a batch.
        steps: Optimizer steps.
    """

    name: str
    model: nn.Module
    rows: list[dict[str, Any]]
    collate: Callable[[list[dict[str, Any]]], dict[str, Tensor]]
    steps: int

    def loader(self) -> DataLoader[Any]:
        """The batches, in order."""
        return DataLoader(self.rows, BATCH, collate_fn=self.collate)


def setting(name: str = "minilm", steps: int = 20) -> Setting:
    """The model, and as many sentences of the embedded task as the steps need."""
    data = tasks.load("grammar", seed=SEED)
    split = data.splits["train"]
    loaded = classifier.load(name, data.labels, max_length=32, seed=SEED)
    rows = batches.encode(loaded.tokenizer, split.take(range(steps * BATCH)), loaded.max_length, False)
    torch.manual_seed(SEED)  # dropout
    return Setting(name, loaded.model, rows, batches.collator(loaded.tokenizer), steps)


def digest(module: nn.Module) -> str:
    """Hash of all weights."""
    whole = hashlib.sha256()
    for _, tensor in sorted(module.state_dict().items()):
        whole.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


def main(train: Callable[[Setting], nn.Module]) -> None:
    """Train as the command line says and print the hash of the weights."""
    parser = argparse.ArgumentParser(description="fine-tune with PATS")
    parser.add_argument("--model", default="minilm", help="minilm, a folder, or a name on the hub")
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps")
    given = parser.parse_args()
    print(digest(train(setting(given.model, given.steps))))
