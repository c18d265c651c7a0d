"""What every fine-tuning method costs: time and memory against plain fine-tuning.

    OMP_NUM_THREADS=1 python -m benchmarks.methods

Each method and plain fine-tuning take turns in one process, on the embedded model; the two of a turn are
compared with each other only, in time and in the tensors that they hold.
"""

import argparse
import json
import statistics
import time
from typing import Any

import torch
from torch import Tensor

from benchmarks import record
from pats import methods
from pats.methods import MicroBatch, PassClock, Training
from pats.run.model import classifier, source

PLAIN = "vanilla"
WARM = 2  # turns that are not counted


class Stepper:
    """One method on a model of its own, step by step."""

    def __init__(self, name: str, batch: int, length: int) -> None:
        torch.manual_seed(0)
        loaded = classifier.load(source.MINILM, ("a", "b"), 128, 0)
        self.model = loaded.model.train()
        self.method, self.clock = methods.create(name), PassClock()
        anchors = methods.anchors(self.model) if self.method.anchored else {}
        training = Training(lr=1e-5, fresh=loaded.fresh, anchors=anchors)
        self.method.prepare_(self.model, training)
        self.optimizer = self.method.optimizer(self.model, training)
        self.contexts = [
            self.clock.attached(self.model),
            self.method.attached(self.model, training, self.clock),
        ]
        for context in self.contexts:
            context.__enter__()
        ids = torch.randint(1000, 30000, (batch, length))
        labels = torch.arange(batch) % 2
        self.inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        self.count = 0

    def step(self) -> float:
        """Seconds of one step."""
        start = time.perf_counter()
        self.count += 1
        self.clock.begin(self.count, 100)
        self.optimizer.zero_grad()
        torch.autograd.backward(self.method.loss(MicroBatch(self.model, self.inputs, self.clock)))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.method.stepped(self.model)
        return time.perf_counter() - start

    def held(self) -> int:
        """Bytes of weights, gradients, optimizer state and the method's own tensors."""
        tensors: list[Tensor] = [*self.model.parameters(), *self.method.state().values()]
        tensors += [p.grad for p in self.model.parameters() if p.grad is not None]
        tensors += [v for s in self.optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
        return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())


def cost(name: str, rounds: int, batch: int, length: int) -> dict[str, Any]:
    """Time of a step and tensors held, against plain fine-tuning in the same turns."""
    plain, other = Stepper(PLAIN, batch, length), Stepper(name, batch, length)
    pairs = [(plain.step(), other.step()) for _ in range(rounds + WARM)][WARM:]
    return {
        "method": name,
        "time": round(statistics.median(b / a for a, b in pairs), 3),
        "time_range": [round(f(b / a for a, b in pairs), 3) for f in (min, max)],
        "plain_ms": round(1e3 * statistics.median(a for a, _ in pairs), 1),
        "held": round(other.held() / plain.held(), 3),
        "forward_passes": other.clock.count,
    }


def main() -> None:
    """Measure, and record after every method; rows of other methods stay."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--methods", nargs="+", default=[name for name in methods.registry() if name != PLAIN]
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    args = parser.parse_args()
    recording = record.start("methods", threads=torch.get_num_threads(), precision="fp32")
    settings = {"model": "minilm", "batch": args.batch, "length": args.length, "rounds": args.rounds}
    for name in args.methods:
        row = cost(name, args.rounds, args.batch, args.length)
        print(json.dumps(row), flush=True)
        recording.put([row], key=["method"], settings=settings)


if __name__ == "__main__":
    main()
