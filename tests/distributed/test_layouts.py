"""The same bits under every layout: given equal gradients, a sharded run equals the one on one device."""

import os

import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.distributed.tensor.debug import CommDebugMode

import pats
from pats._budget import KEYS
from pats._last import KEY as LAST
from pats.step.shard import local
from support.layout_training import (
    DOORS,
    LR,
    give_gradients,
    train_under,
    whole_gradients,
    whole_tensor,
)
from support.layouts import LAYOUTS, make_mesh, make_pair

pytestmark = pytest.mark.timeout(900)  # four processes on however few cores


FEW = ("fsdp on 4, an empty shard", "fsdp by columns", "hsdp", "tp on 3", "fsdp and tp", "rows twice")


def compare(doors, layouts, steps):
    """Names of what differs from one process, on this rank; how many were compared."""
    different, compared = [], 0
    for door in doors:
        make, kernel = DOORS[door]
        os.environ.pop("PATS_KERNEL", None)
        if kernel is not None:
            os.environ["PATS_KERNEL"] = kernel
        alone = {}
        for name in layouts:
            shape, rows, columns, spread = LAYOUTS[name]
            over = make_mesh(*shape)
            if over.get_coordinate() is None:
                continue
            if (rows, columns) not in alone:
                model = make_pair(rows, columns)
                alone[rows, columns] = model, train_under(model, make, steps)
            model = spread(make_pair(rows, columns), over)
            optimizer = train_under(model, make, steps)
            reference, its = alone[rows, columns]
            states = zip(model.named_parameters(), reference.parameters(), strict=True)
            for (path, parameter), expected in states:
                state, other = optimizer.state[parameter], its.state[expected]
                pairs = {"weight": (parameter, expected)}
                # A rank with an empty shard has no state.
                shaped = [key for key in other if key not in ("step", LAST, *KEYS)]
                pairs |= {key: (state.get(key, torch.zeros_like(parameter)), other[key]) for key in shaped}
                pairs |= {key: (state[key], other[key]) for key in (LAST, *KEYS) if key in state}
                for key, (left, right) in pairs.items():
                    compared += 1
                    if not torch.equal(whole_tensor(left).detach(), right.detach()):
                        different.append((door, name, path, key))
    os.environ.pop("PATS_KERNEL", None)
    return different, compared


def test_twenty_steps_under_every_layout(four):
    for different, compared in four(compare, ["adamax"], list(LAYOUTS), 20):
        assert not different
        assert compared > 100


def test_every_door(four):
    doors = [door for door in DOORS if door not in ("adamax", "adamax in Triton")]
    for different, compared in four(compare, doors, FEW, 6):
        assert not different
        assert compared > 200


def test_triton(four):
    """On a CPU in Triton's interpreter, which takes its time."""
    pytest.importorskip("triton")
    spread = ["fsdp on 4, an empty shard", "tp on 3", "fsdp and tp"]
    for different, compared in four(compare, ["adamax in Triton"], spread, 2):
        assert not different
        assert compared >= 32


def control():
    """Noise that is drawn by the position in the shard differs from one process."""
    model = make_pair()
    spread = LAYOUTS["fsdp on 4, an empty shard"][3](make_pair(), make_mesh(4))
    for net in (model, spread):
        for parameter in net.parameters():
            shard = local(parameter.detach())
            shard += pats.philox.draw(0, "same", 1, 0, shard.numel(), 1.0).view(shard.shape)
    return all(
        torch.equal(whole_tensor(p).detach(), q.detach())
        for p, q in zip(spread.parameters(), model.parameters(), strict=True)
    )


def test_the_comparison_can_fail(four):
    assert four(control) == [False] * 4


def one_sum():
    """Collectives of a step of PATS in every layout, the first step and a later one."""
    found = {}
    for name in FEW:
        shape, rows, columns, spread = LAYOUTS[name]
        over = make_mesh(*shape)
        if over.get_coordinate() is None:
            continue
        model = spread(make_pair(rows, columns), over)
        optimizer = DOORS["adamax"][0](model)
        layouts = {
            p.placements for p in model.parameters() if any(not q.is_replicate() for q in p.placements)
        }
        counts = []
        for step in range(2):
            give_gradients(model, whole_gradients(make_pair(rows, columns), step))
            with CommDebugMode() as comm:
                optimizer.step()
            kinds = {str(kind).rpartition(".")[2] for kind in comm.get_comm_counts()}
            assert all("allreduce" in kind or "all_reduce" in kind for kind in kinds), (name, kinds)
            counts.append(comm.get_total_counts() - len(layouts))
        found[name] = counts
    return found


def test_one_all_reduce_a_layout_and_no_all_gather(four):
    for found in four(one_sum):
        for name, (first, later) in found.items():
            assert later == 0, name
            assert first <= 2, name  # replicas compare their seeds once


def noisytuned():
    different = []
    for name in FEW:
        shape, rows, columns, spread = LAYOUTS[name]
        over = make_mesh(*shape)
        if over.get_coordinate() is None:
            continue
        alone, model = make_pair(rows, columns), spread(make_pair(rows, columns), over)
        pats.noisytune_(alone, scope="all")
        pats.noisytune_(model, scope="all")
        for (path, parameter), expected in zip(model.named_parameters(), alone.parameters(), strict=True):
            if not torch.equal(whole_tensor(parameter).detach(), expected.detach()):
                different.append((name, path))
    return different


def test_noisytune_takes_the_whole_matrix(four):
    assert four(noisytuned) == [[]] * 4


def dummy_steps():
    """Distributed checkpointing steps once with zero gradients to create state: no weight may move."""
    moved = []
    for eps_mode, eps in (("absolute", 1e-8), ("algorithm1", 1e-8), ("relative", 1e-2), ("absolute", 0.0)):
        model = LAYOUTS["fsdp on 4, an empty shard"][3](make_pair(), make_mesh(4))
        optimizer = pats.optim.Adamax(
            pats.param_groups(model, "all"), lr=LR, noise=pats.Noise(eps_mode=eps_mode, eps=eps)
        )
        before = [whole_tensor(p).detach().clone() for p in model.parameters()]
        get_optimizer_state_dict(model, optimizer)
        assert optimizer.state
        after = [whole_tensor(p).detach() for p in model.parameters()]
        moved += [eps_mode for a, b in zip(before, after, strict=True) if not torch.equal(a, b)]
    return moved


def test_distributed_checkpointing_moves_no_weight(four):
    assert four(dummy_steps) == [[]] * 4


@pytest.mark.soak
def test_every_door_under_every_layout(four):
    for different, compared in four(compare, list(DOORS), list(LAYOUTS), 20):
        assert not different
        assert compared > 500
