"""Matrices whose entries are all equal: their spread is looked for until there is one, without a wait."""

import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import pats
from pats.step import ledger, shard
from support.layout_training import give_gradients, whole_gradients, whole_tensor
from support.layouts import LAYOUTS, make_mesh, make_pair

STEPS, FIRST_MOVE = 24, 5  # gradients of zero until then


class Reads(TorchDispatchMode):
    """Counts the values that the host reads of float64 tensors, in which accounts are kept."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default and args[0].dtype == torch.float64:
            self.count += 1
        return func(*args, **(kwargs or {}))


DOORS = {
    "optim": lambda model, noise: pats.optim.Adamax(pats.param_groups(model, "all"), lr=1e-2, noise=noise),
    "one by one": lambda model, noise: pats.optim.AdamW(
        pats.param_groups(model, "all"), lr=1e-2, noise=noise, foreach=False
    ),
}


def train(door, far, monkeypatch, moves=FIRST_MOVE):
    """Weights after every step, and the reads of each, of a model with one constant matrix."""
    monkeypatch.setattr(ledger, "_is_far", lambda row: far)
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"flat": torch.nn.Linear(4, 3), "usual": torch.nn.Linear(4, 3)})
    with torch.no_grad():
        model["flat"].weight.fill_(0.5)
        model["flat"].bias.zero_()
    optimizer = DOORS[door](model, pats.Noise(steps=STEPS))
    weights, reads = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it gets no noise until its entries differ
        for step in range(STEPS):
            for name, parameter in model.named_parameters():
                still = name.startswith("flat") and step < moves
                parameter.grad = torch.zeros_like(parameter) if still else torch.randn_like(parameter)
            with Reads() as found:
                optimizer.step()
            reads.append(found.count)
            weights.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    return torch.stack(weights), reads, optimizer.state[model["flat"].weight]["noise_spread"]


@pytest.mark.parametrize("door", DOORS)
def test_noise_begins_at_the_same_step_with_the_same_spread(door, monkeypatch):
    here, _, spread = train(door, False, monkeypatch)
    there, _, same = train(door, True, monkeypatch)
    assert torch.equal(here, there)
    assert float(spread) == float(same) > 0


def test_a_constant_matrix_is_read_ever_more_rarely(monkeypatch):
    asked, read = [], shard._read
    monkeypatch.setattr(shard, "_read", lambda values: asked.extend(values) or read(values))
    _, reads, _ = train("optim", True, monkeypatch, moves=STEPS)
    assert len(asked) == 2 * 4  # sums and squares of four matrices, when their accounts were opened
    assert [number for number, count in enumerate(reads) if count and number] == [1, 2, 4, 8, 16]
    _, reads, _ = train("optim", False, monkeypatch, moves=STEPS)
    assert all(reads)  # the control: on a CPU reading costs nothing


def flat_shards(far):
    """Weights after every step of a sharded model whose matrices are constant at first, on this rank."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ledger, "_is_far", lambda row: far)
        model = LAYOUTS["fsdp on 4, an empty shard"][3](make_pair(), make_mesh(4))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.5)
        optimizer = DOORS["optim"](model, pats.Noise(steps=STEPS))
        weights = []
        for step in range(2 * FIRST_MOVE):
            found = whole_gradients(make_pair(), step).items()
            give_gradients(
                model, {name: None if g is None else g * (step >= FIRST_MOVE) for name, g in found}
            )
            optimizer.step()
            weights += [whole_tensor(parameter).detach().clone() for parameter in model.parameters()]
        return weights


def test_ranks_look_at_a_sharded_constant_matrix_together(four):
    for here, there in zip(four(flat_shards, False), four(flat_shards, True), strict=True):
        assert all(map(torch.equal, here, there))
        assert here[-1].std() > 0


def test_spreads_are_the_same_numbers_wherever_they_are_found():
    torch.manual_seed(1)
    matrices = [torch.randn(5, 7), torch.full((3, 3), 2.0), torch.randn(1), torch.randn(400) * 1e-20]
    matrices += [torch.randn(6, 2, dtype=torch.bfloat16), torch.tensor([1.0, float("inf")])]
    found = [float(one) for one in shard.spreads_there(matrices)]
    assert found == pytest.approx(shard.spreads(matrices), rel=1e-7)
    assert found[1] == found[2] == found[5] == 0.0
