"""A matrix without a gradient on some ranks that hold entries of it.

Such a part stays as it is: θ, moments, s̄ and its count of steps. The other parts have the bits of one process
whose gradients leave the s̄ of the missing entries as it is: the mean is over the s̄ that all entries have now.
"""

import os

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import distribute_tensor

from pats.step.shard import is_sharded, local
from support.layout_training import DOORS, train_under, whole_gradients, whole_tensor
from support.layouts import LAYOUTS, make_mesh, make_pair

pytestmark = pytest.mark.timeout(900)  # four processes on however few cores

SPREAD = ("columns, uneven", "fsdp on 4, an empty shard", "tp on 2", "fsdp and tp", "blocks")
BETA = 0.75  # of the noise, and SAGE's β₃

# Ranks without a gradient for the weights at each step: rank 0 has its first at the third, once all lack it.
LACKING = ({0}, {0, 1}, set(), {1}, {0, 1, 2, 3}, {0}, set())


def lacks(name, parameter, step):
    """Replicas of a matrix have the same gradients, so only what is sharded may lack one on a rank alone."""
    rank = dist.get_rank()
    if not is_sharded(parameter) or any(p.is_replicate() for p in parameter.placements):
        return False
    return rank == 1 if name == "up.bias" else name.endswith("weight") and rank in LACKING[step]


def shard(tensor, parameter):
    """This rank's part of a whole tensor."""
    layout = parameter.device_mesh, parameter.placements
    return distribute_tensor(tensor, *layout, src_data_rank=None)


def held(optimizer, parameter):
    """θ and state on this rank: its part of each, and its count."""
    state = {key: local(tensor).clone() for key, tensor in optimizer.state[parameter].items()}
    return {"theta": local(parameter.detach()).clone(), **state}


def make_exact_(optimizer, parameter):
    """θ = ±1/16 and a short s̄, so that β s̄ + (1-β)|θ g| = s̄ holds exactly for g = s̄/|θ|."""
    theta = local(parameter.detach())
    theta.copy_(torch.where(theta < 0, -1 / 16, 1 / 16))
    if "sensitivity" in optimizer.state[parameter]:
        average = local(optimizer.state[parameter]["sensitivity"])
        average.copy_(average.bfloat16())


def one_process(make, model, optimizer, keys, grads, step):
    """This rank's part after one process has made the step from the same state, with this rank's counts."""
    alone = make_pair(*model.up.weight.shape)
    its, pairs = make(alone), []
    for (name, parameter), single in zip(model.named_parameters(), alone.parameters(), strict=True):
        state, zeros = optimizer.state[parameter], torch.zeros_like(parameter.detach())
        gone = zeros.clone()
        local(gone).fill_(lacks(name, parameter, step))
        gone = whole_tensor(gone).bool()
        single.data.copy_(whole_tensor(parameter.detach()))
        its.state[single] = {key: whole_tensor(state.get(key, zeros)).clone() for key in keys}
        its.state[single]["step"] = torch.tensor(float(state.get("step", 0.0)))
        average = its.state[single]["sensitivity"]
        kept = average / single.detach().abs()
        assert torch.equal((BETA * average + (1 - BETA) * kept * single.detach().abs())[gone], average[gone])
        single.grad = torch.where(gone, kept, grads[name])
        pairs.append((name, parameter, single))
    its.step()
    return {
        name: {
            key: tensor if key == "step" else local(shard(tensor, parameter))
            for key, tensor in {"theta": single.detach(), **its.state[single]}.items()
        }
        for name, parameter, single in pairs
    }


def compare(doors):
    """What differs on this rank; how many tensors were compared of parts with and without a gradient."""
    different, compared = [], {True: 0, False: 0}
    for door in doors:
        make, kernel = DOORS[door]
        os.environ |= {} if kernel is None else {"PATS_KERNEL": kernel}
        keys = [key for key in next(iter(train_under(make_pair(), make, 1).state.values())) if key != "step"]
        for layout in SPREAD:
            shape, rows, columns, spread = LAYOUTS[layout]
            over = make_mesh(*shape)
            if over.get_coordinate() is None:
                continue
            model = spread(make_pair(rows, columns), over)
            optimizer = make(model)
            for step in range(len(LACKING)):
                grads, before = whole_gradients(make_pair(rows, columns), step + 10), {}
                for name, parameter in model.named_parameters():
                    missing = lacks(name, parameter, step)
                    parameter.grad = None if missing else shard(grads[name], parameter)
                    if missing:
                        make_exact_(optimizer, parameter)
                        before[name] = held(optimizer, parameter)
                expected = one_process(make, model, optimizer, keys, grads, step) | before
                optimizer.step()
                for name, parameter in model.named_parameters():
                    found = held(optimizer, parameter)
                    compared[name in before] += local(parameter).numel() > 0
                    if found.keys() != expected[name].keys() or not all(
                        torch.equal(found[key], expected[name][key]) for key in found
                    ):
                        different.append((door, layout, step, name))
        os.environ.pop("PATS_KERNEL", None)
    return different, compared


def check(four, doors):
    for rank, (different, compared) in enumerate(four(compare, doors)):
        assert not different
        assert compared[False] > 10 * len(doors)
        assert compared[True] > (5 * len(doors) if rank < 2 else 0)


def test_parts_with_a_gradient_have_the_bits_of_one_process_and_the_others_stay(four):
    check(four, ["adamax", "perturb"])


@pytest.mark.soak
def test_so_it_is_with_every_door(four):
    check(four, [door for door in DOORS if door not in ("adamax", "perturb")])
