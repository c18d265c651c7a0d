"""Which entries a shard holds, and the sum over ranks."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.placement_types import _StridedShard

from pats import InputError
from pats.kernels import Piece
from pats.step.shard import Slot, _merged, check_replicas, local, pieces, reduce_
from support.layouts import LAYOUTS, make_mesh, make_pair

pytestmark = pytest.mark.timeout(900)  # four processes on however few cores


def global_indices(found):
    parts = [
        p.start + torch.arange(p.count) // p.run * p.stride + torch.arange(p.count) % p.run for p in found
    ]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def check_pieces():
    """The weights are their own indices, so that torch itself says what a shard holds."""
    counts = {}
    for name, (shape, rows, columns, spread) in LAYOUTS.items():
        over = make_mesh(*shape)
        if over.get_coordinate() is None:
            continue
        model = make_pair(rows, columns)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape))
        for path, parameter in spread(model, over).named_parameters():
            found = pieces(parameter)
            shard = local(parameter)
            assert sum(p.count for p in found) == shard.numel()
            assert [p.offset for p in found] == [sum(q.count for q in found[:i]) for i in range(len(found))]
            assert torch.equal(global_indices(found).float(), shard.detach().reshape(-1)), (name, path, found)
            counts[name, path] = len(found)
    # Three dimensions, two of them sharded: rows of blocks.
    cube = distribute_tensor(torch.arange(5.0 * 4 * 3).view(5, 4, 3), make_mesh(2, 2), [Shard(0), Shard(1)])
    assert torch.equal(global_indices(pieces(cube)).float(), local(cube).reshape(-1))
    assert len(pieces(cube)) == 1
    # Every rank holds two ranges of rows that are apart; the last ranks' second one is short or empty.
    for rows in (16, 13, 7):
        whole, strided = torch.arange(3.0 * rows).view(rows, 3), [_StridedShard(0, split_factor=2)]
        apart = distribute_tensor(whole, make_mesh(4), strided, src_data_rank=None)
        assert torch.equal(global_indices(pieces(apart)).float(), local(apart).reshape(-1)), rows
        assert sum(p.count for p in pieces(apart)) == local(apart).numel()
    return counts


def check_sums():
    counts = {}
    for name, (shape, rows, columns, spread) in LAYOUTS.items():
        over = make_mesh(*shape)
        if over.get_coordinate() is None:
            continue
        model = make_pair(rows, columns)
        named = dict(spread(model, over).named_parameters())
        held = {n: local(p.detach()).double() for n, p in named.items()}
        sums = {n: torch.tensor([h.sum(), h.numel()], dtype=torch.float64) for n, h in held.items()}
        slots = [Slot(p, n, 0, sums[n]) for n, p in named.items()]
        check_replicas(slots)
        with CommDebugMode() as comm:
            reduce_(slots)
        whole = {n: p.detach().double().sum() for n, p in make_pair(rows, columns).named_parameters()}
        for slot in slots:
            assert float(slot.sums[0]) == pytest.approx(float(whole[slot.name]), abs=1e-12), (name, slot)
            assert int(slot.sums[1]) == slot.parameter.numel(), (name, slot)
        layouts = {p.placements for p in named.values() if not all(q.is_replicate() for q in p.placements)}
        assert comm.get_total_counts() == len(layouts), (name, comm.get_comm_counts())
        counts[name] = comm.get_total_counts()
    return counts


def refusals():
    """What a rank is told that comes with another seed or other names; no rank may hang."""
    rank, told = dist.get_rank(), []

    def replicas(slots):
        check_replicas(slots, dist.group.WORLD)

    def slot(parameter, name, seed):
        return Slot(parameter, name, seed, torch.zeros(2, dtype=torch.float64))

    sharded = distribute_tensor(torch.ones(8, 2), make_mesh(4), [Shard(0)])
    twice = distribute_tensor(torch.ones(8, 2), make_mesh(2, 2), [Replicate(), Shard(0)])
    cases = {
        "seed": (reduce_, [slot(sharded, "a", rank // 3)]),
        "name": (reduce_, [slot(sharded, f"a{rank % 2}", 0)]),
        "count": (reduce_, [slot(sharded, f"a{i}", 0) for i in range(1 + rank)]),
        "plain seed": (replicas, [slot(torch.ones(2), "a", rank)]),
        "plain scope": (replicas, [slot(torch.ones(2), n, 0) for n in ("a", "b")[: 1 + rank % 2]]),
        "replicas of shards": (check_replicas, [slot(twice, "a", rank // 2)]),
        "not known as replicas": (check_replicas, [slot(torch.ones(2), "a", rank)]),
        "equal": (replicas, [slot(torch.ones(2), "a", 7), slot(twice, "b", 7)]),
    }
    for name, (check, slots) in cases.items():
        try:
            check(slots)
        except InputError:
            told.append(name)
    return told


def test_pieces(four):
    every = four(check_pieces)
    assert all(set(counts.values()) <= {0, 1} for counts in every)  # a block is a single piece
    assert 0 in every[3].values()


def test_one_sum_a_layout(four):
    every = four(check_sums)
    assert {name for counts in every for name in counts} == set(LAYOUTS)


def test_ranks_that_differ_are_refused_on_every_rank(four):
    differ = ["seed", "name", "count", "plain seed", "plain scope", "replicas of shards"]
    assert four(refusals) == [differ] * 4


@pytest.mark.parametrize(
    ("starts", "runs", "expected"),
    [
        ([], [], ()),
        ([0], [6], (Piece(0, 6, 0, 6, 6),)),
        ([0, 3], [3, 3], (Piece(0, 6, 0, 6, 6),)),
        ([2, 9, 16], [3, 3, 3], (Piece(0, 9, 2, 3, 7),)),
        ([0, 4, 9], [2, 2, 2], (Piece(0, 4, 0, 2, 4), Piece(4, 2, 9, 2, 2))),
        ([0, 10, 13], [3, 3, 2], (Piece(0, 3, 0, 3, 3), Piece(3, 5, 10, 5, 5))),
        ([6, 0], [2, 2], (Piece(0, 2, 6, 2, 2), Piece(2, 2, 0, 2, 2))),
    ],
)
def test_runs_become_few_pieces(starts, runs, expected):
    assert _merged(starts, runs) == expected


def test_an_unsharded_tensor_is_one_piece():
    assert pieces(torch.ones(3, 4)) == (Piece(0, 12, 0, 12, 12),)
    assert sum(piece.count for piece in pieces(torch.ones(0, 4))) == 0
