"""``keep="transient"`` on several ranks: replicas see the same noise, shards are refused."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import pats
from support.layouts import make_mesh, make_pair

pytestmark = pytest.mark.timeout(900)  # four processes on however few cores

LR = 1e-2


def digest(net):
    return [parameter.detach().tolist() for parameter in net.parameters()]


def watched_replicas():
    """The weights that the passes see, and those that an evaluation of the inner model leaves."""
    net = make_pair()
    ddp = DistributedDataParallel(net)
    optimizer = torch.optim.Adamax(ddp.parameters(), lr=1e-3)
    pats.perturb(optimizer, ddp, pats.Noise(keep="transient", budget=0.3, seed=5), scope="all")
    seen = []
    for step in range(5):
        generator = torch.Generator().manual_seed(10 * step + dist.get_rank())
        optimizer.zero_grad()
        loss = (ddp(torch.randn(8, 7, generator=generator)) - 1).square().mean()
        during = digest(net)
        with torch.no_grad():
            net(torch.zeros(1, 7))
        seen.append((during, digest(net)))
        loss.backward()
        optimizer.step()
    return seen


def test_replicas_see_the_same_transient_noise(four):
    first, *others = four(watched_replicas)
    assert all(seen == first for seen in others)
    assert [during != after for during, after in first] == [False, False, True, True, True]


def transient_shards():
    """What somebody is told who shards."""
    net = fully_shard(make_pair(), mesh=make_mesh(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)
    try:
        pats.perturb(optimizer, net, pats.Noise(keep="transient"), scope="all")
    except pats.InputError as error:
        return str(error)
    return ""


def test_transient_noise_of_shards_is_refused(four):
    assert all(
        "spread over the ranks" in told and "anticorrelated" in told for told in four(transient_shards)
    )
