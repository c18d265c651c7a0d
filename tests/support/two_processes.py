"""Two processes on gloo; started by ``tests/methods/test_batch.py``."""

import os
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from pats.methods import MicroBatch, PassClock, Training, anchors, create

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.architectures import SMALL, build_model

NAMES = ["vanilla", "mixout", "neftune", "freelb", "r3f", "smart", "mixout+smart+pats", "sam", "ivon", "upgd"]
NAMES += ["rdrop", "rwp", "childtuning", "hype", "rwp+childtuning"]
OPTIONS = {
    "mixout": {"p": 0.5},
    "freelb": {"init": 0.0},
    "mixout+smart+pats": {"mixout.p": 0.5},
    "ivon": {"clip": 1e-2},
}
LIKE_ONE = ("vanilla", "mixout", "freelb", "ivon", "upgd", "rdrop", "rwp", "childtuning")
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def rows(step: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(1, 50, (8, 6), generator=torch.Generator().manual_seed(step))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, 0] % 2}


def train(name: str, rank: int, parts: int) -> torch.Tensor:
    """Weights after three steps on a share of the rows."""
    torch.manual_seed(0)
    model = build_model("bert", SMALL | (QUIET if name in LIKE_ONE else {})).train()
    called = DistributedDataParallel(model) if parts > 1 else model
    method, clock = create(name, OPTIONS.get(name)), PassClock()
    training = Training(lr=1e-2, anchors=anchors(model), examples=100)
    optimizer = method.optimizer(model, training)
    torch.manual_seed(rank)
    with clock.attached(model), method.attached(model, training, clock):
        for step in range(1, 4):
            clock.begin(step, 3, rank)
            inputs = {k: v.chunk(parts)[rank if parts > 1 else 0] for k, v in rows(step).items()}
            optimizer.zero_grad()
            method.loss(MicroBatch(called, inputs, clock)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def work(rank: int, rendezvous: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    for name in NAMES:
        mine = train(name, rank, 2)
        other = mine.clone()
        dist.broadcast(other, 0)
        assert torch.equal(mine, other), f"{name}: replicas differ"
        if name in LIKE_ONE:
            whole = train(name, 0, 1)
            assert torch.allclose(mine, whole, atol=1e-3), f"{name}: {float((mine - whole).abs().max())}"
        if rank == 0:
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = os.path.join(folder, "rendezvous")
        mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
            work, (rendezvous,), nprocs=2, start_method="fork"
        )
