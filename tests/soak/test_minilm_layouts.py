"""MiniLM's real weights under every layout: given equal gradients, the bits of one process after 20 steps.

The gradients are random, so no model is run. The last door of the table draws other noise than the one
process that it is compared with: the negative control.
"""

import copy

import pytest
import torch
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from transformers import AutoModel

import pats
from benchmarks import record
from pats.step.shard import local
from support.layouts import make_mesh
from support.world import World

pytestmark = [pytest.mark.soak, pytest.mark.minilm, pytest.mark.timeout(3600)]

STEPS, LR = 20, 1e-4
NOISE = pats.Noise.paper(seed=5)


def perturbed(model, noise=NOISE):
    optimizer = torch.optim.Adamax(pats.param_groups(model, "all"), lr=LR)
    pats.perturb(optimizer, model, noise, scope="all")
    return optimizer


def ours(cls, **options):
    return lambda model: cls(pats.param_groups(model, "all"), lr=LR, **options)


DOORS = {
    "perturb": perturbed,
    "Adamax": ours(pats.optim.Adamax, noise=NOISE),
    "AdamW": ours(pats.optim.AdamW, noise=NOISE),
    "SAGEAdamax": ours(pats.optim.SAGEAdamax),
    "SAGEAdamW": ours(pats.optim.SAGEAdamW),
}
CONTROL = "Adamax, another seed"

PLAN = {
    **dict.fromkeys(
        ["attention.self.query", "attention.self.key", "attention.self.value", "intermediate.dense"],
        ColwiseParallel,
    ),
    **dict.fromkeys(["attention.output.dense", "output.dense"], RowwiseParallel),
}


def fsdp(model, over):
    for layer in model.encoder.layer:
        fully_shard(layer, mesh=over)
    return fully_shard(model, mesh=over)


def tp(model, over):
    for layer in model.encoder.layer:
        parallelize_module(layer, over, {name: style() for name, style in PLAN.items()})
    return model


def fsdp_tp(model, over):
    return fsdp(tp(model, over["tp"]), over["dp"])


# Processes: {name: (shape of the mesh, how the model is spread)}
WORLDS = {
    1: {"FSDP2": ((1,), fsdp)},
    2: {"FSDP2": ((2,), fsdp), "tensor parallel": ((2,), tp)},
    3: {"FSDP2": ((3,), fsdp)},
    4: {"FSDP2": ((4,), fsdp), "HSDP": ((2, 2), fsdp), "FSDP2, tensor parallel": ((2, 2), fsdp_tp)},
}


def gradients(model, step):
    """This rank's part of the gradients of a step; the model may be any of those that are spread alike."""
    generator = torch.Generator().manual_seed(100 + step)
    return {
        name: part(0.01 * torch.randn(parameter.shape, generator=generator), parameter)
        for name, parameter in model.named_parameters()
    }


def trained(models):
    """Optimizers of the models after all steps; each step's gradients serve every model."""
    optimizers = {door: make_of(door)(model) for door, model in models.items()}
    for step in range(STEPS):
        grads = gradients(next(iter(models.values())), step)
        for door, model in models.items():
            for name, parameter in model.named_parameters():
                parameter.grad = grads[name]
            optimizers[door].step()
            model.zero_grad()
    return optimizers


def make_of(door):
    return DOORS.get(door, ours(pats.optim.Adamax, noise=pats.Noise.paper(seed=6)))


def part(tensor, parameter):
    """This rank's part of a whole tensor; the tensor itself where the parameter is not spread."""
    if not isinstance(parameter, DTensor):
        return tensor
    layout = parameter.device_mesh, parameter.placements
    return distribute_tensor(tensor, *layout, src_data_rank=None)


def results(model, optimizer=None):
    """What is compared of each parameter, by its name."""
    found = {name: {"weights": parameter.detach()} for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters() if optimizer is not None else ():
        found[name]["sensitivities"] = optimizer.state[parameter]["sensitivity"]
    return found


def noisytuned(model):
    pats.noisytune_(model, scope="all")
    return model


def on_ranks(folder, kept, shape, spread):
    """Rows of the table for one layout, as this rank sees them."""
    over = make_mesh(*shape)
    plain = AutoModel.from_pretrained(folder)
    models = {door: spread(copy.deepcopy(plain), over) for door in (*DOORS, CONTROL)}
    found = {door: results(models[door], optimizer) for door, optimizer in trained(models).items()}
    found["NoisyTune"] = results(noisytuned(spread(copy.deepcopy(plain), over)))
    rows = {}
    for door, named in found.items():
        expected = torch.load(kept / ("Adamax" if door == CONTROL else door), mmap=True)
        row = dict.fromkeys(("tensors", "entries", "differing_entries", "uneven_shards", "empty_shards"), 0)
        for name, tensors in named.items():
            for key, tensor in tensors.items():
                mine, other = local(tensor), local(part(expected[name][key], tensor))
                row["tensors"] += 1
                row["entries"] += mine.numel()
                row["differing_entries"] += int((mine != other).sum())
                row["empty_shards"] += mine.numel() == 0
                row["uneven_shards"] += any(
                    whole % here for whole, here in zip(tensor.shape, mine.shape, strict=True) if here
                )
        rows[door] = row
    return rows


def test_every_layout_has_the_bits_of_one_process(minilm, tmp_path):
    recording = record.start("minilm_layouts")
    for door in DOORS:  # one at a time, for their memory
        model = AutoModel.from_pretrained(minilm)
        torch.save(results(model, trained({door: model})[door]), tmp_path / door)
    torch.save(results(noisytuned(AutoModel.from_pretrained(minilm))), tmp_path / "NoisyTune")
    rows = []
    for ranks, layouts in WORLDS.items():
        world = World(ranks, patience=1800)
        for layout, (shape, spread) in layouts.items():
            every = world(on_ranks, str(minilm), tmp_path, shape, spread)
            for door in every[0]:
                counts = {key: sum(on_rank[door][key] for on_rank in every) for key in every[0][door]}
                about = {"processes": ranks, "layout": layout, "method": door, "control": door == CONTROL}
                rows.append(about | counts)
        world.end()
    recording.put(rows, settings={"steps": STEPS, "scope": "all", "backend": "gloo"})
    control = [row for row in rows if row["control"]]
    compared = [row for row in rows if not row["control"]]
    assert not any(row["differing_entries"] for row in compared)
    assert all(row["differing_entries"] > 1e6 for row in control)
    assert sum(row["empty_shards"] for row in compared) > 0
    assert sum(row["uneven_shards"] for row in compared) > 0
