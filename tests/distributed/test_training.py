"""Real training on several ranks: replicas, shards, checkpoints, and runs of the command line."""

import contextlib
import copy
import dataclasses
import hashlib
import json
import os

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForSequenceClassification

import pats
from pats.cli import main
from pats.methods import registry
from pats.run import Run, batches, finetune, outcome
from pats.run.model import exported
from support.layout_training import give_gradients, whole_gradients, whole_tensor
from support.layouts import LAYOUTS, make_mesh, make_pair
from support.tiny_bert import make_table, make_tiny_bert
from support.world import World, by_the_example

pytestmark = pytest.mark.timeout(900)  # four processes on however few cores

NOISE = pats.Noise.paper(lam=1e-4, seed=5)
LR = 1e-2


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return make_tiny_bert(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("data") / "reviews.csv", rows=100)


def digest(module):
    tensors = [whole_tensor(p).detach().reshape(-1) for p in module.parameters()]
    return hashlib.sha256(torch.cat(tensors).numpy().tobytes()).hexdigest()


# ------------------------------------------------------------------------------------- replicas


def replicas(folder, steps, own_noise, noise=NOISE):
    """Ranks see other lengths, so that dropout takes another number of random numbers on each."""
    torch.manual_seed(0)
    net = AutoModelForSequenceClassification.from_pretrained(folder)
    ddp = DistributedDataParallel(net.train(), find_unused_parameters=True)
    optimizer = torch.optim.Adamax(ddp.parameters(), lr=1e-3)
    if own_noise:
        pats.perturb(optimizer, ddp, noise)
    else:

        def add(optimizer, args, kwargs):
            for parameter in net.parameters():
                parameter.data += 1e-3 * torch.randn(parameter.shape)  # torch's global generator

        optimizer.register_step_post_hook(add)
    generator = torch.Generator().manual_seed(dist.get_rank())
    for step in range(steps):
        length = 4 + 3 * (step + dist.get_rank()) % 11
        ids = torch.randint(5, 40, (2, length), generator=generator)
        optimizer.zero_grad()
        ddp(input_ids=ids, labels=ids[:, 0] % 2).loss.backward()
        optimizer.step()
    return digest(net)


@pytest.mark.soak
def test_replicas_with_other_lengths_stay_identical(four, bert):
    assert len(set(four(replicas, str(bert), 6, True))) == 1


@pytest.mark.soak
@pytest.mark.parametrize("keep", ["transient", "anticorrelated"])
def test_replicas_stay_identical_with_noise_that_does_not(four, bert, keep):
    noise = pats.Noise(keep=keep, budget=0.3, seed=5)
    assert len(set(four(replicas, str(bert), 6, True, noise))) == 1


@pytest.mark.soak
def test_replicas_with_global_noise_drift_apart(four, bert):
    """The negative control."""
    assert len(set(four(replicas, str(bert), 6, False))) > 1


@pytest.mark.soak
@pytest.mark.minilm
def test_minilm_replicas_stay_identical_for_200_steps(four, minilm):
    assert len(set(four(replicas, str(minilm), 200, True))) == 1


# --------------------------------------------------------------------------------------- shards


def through_backward():
    """Largest difference from one process after real backward passes through FSDP2."""
    alone, sharded = make_pair(), fully_shard(make_pair(), mesh=make_mesh(4))
    optimizers = [
        pats.optim.Adamax(pats.param_groups(net, "all"), lr=1e-3, noise=NOISE) for net in (alone, sharded)
    ]
    for step in range(5):
        x = torch.randn(8, 7, generator=torch.Generator().manual_seed(step))
        for net, optimizer in zip((alone, sharded), optimizers, strict=True):
            optimizer.zero_grad()
            (net(x) - 1).square().mean().backward()
            optimizer.step()
    pairs = zip(alone.parameters(), sharded.parameters(), strict=True)
    return max(float((p - whole_tensor(q)).abs().max()) for p, q in pairs)


@pytest.mark.soak
def test_real_backward_passes_differ_by_rounding_alone(four):
    assert max(four(through_backward)) < 1e-6


def flat():
    """What FSDP1 and its users are told."""
    told = []
    for original in (True, False):
        net = FullyShardedDataParallel(make_pair(), use_orig_params=original, device_id=torch.device("cpu"))
        optimizer = torch.optim.SGD(net.parameters(), lr=LR)
        try:
            pats.perturb(optimizer, net, NOISE, scope="all")
            net(torch.ones(2, 7)).sum().backward()
            optimizer.step()
        except pats.InputError as error:
            told.append(str(error))
    return told


@pytest.mark.soak
def test_flat_parameters_are_refused(four):
    for told in four(flat):
        assert len(told) == 2
        assert all("FSDP1, which flattens matrices" in message and "use FSDP2" in message for message in told)


def test_zero_parameters_are_refused():
    net = make_pair()
    optimizer = pats.optim.Adamax(pats.param_groups(net, "all"), noise=NOISE)
    give_gradients(net, whole_gradients(net, 0))
    net.up.weight.ds_id = 0
    with pytest.raises(pats.InputError, match=r"DeepSpeed ZeRO, which flattens matrices.* use FSDP2, or DDP"):
        optimizer.step()
    # Stages 1 and 2 replace the parameters of a group by one flat partition.
    optimizer = pats.optim.Adamax(pats.param_groups(make_pair(), "all"), noise=NOISE)
    optimizer.param_groups[0]["params"] = [nn.Parameter(torch.zeros(50))]
    with pytest.raises(pats.InputError, match=r"4 names for 1 tensors.*DeepSpeed ZeRO"):
        optimizer.step()


def sharded_run_parts(folder):
    """What ``pats run`` does with a sharded classifier: score, export, summarise."""
    torch.manual_seed(0)
    net = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    plain = copy.deepcopy(net)
    for layer in net.bert.encoder.layer:
        fully_shard(layer)
    fully_shard(net)
    rows = [{"input_ids": [2, *range(5, 5 + n), 3]} for n in range(1, 12)]

    def collate(batch):
        width = max(len(row["input_ids"]) for row in batch)
        ids = [row["input_ids"] + [0] * (width - len(row["input_ids"])) for row in batch]
        return {"input_ids": torch.tensor(ids), "attention_mask": (torch.tensor(ids) > 0).long()}

    alone = batches.scores(net, rows, collate, 2)
    with torch.no_grad():
        expected = torch.cat([plain(**collate([row])).logits for row in rows])
    assert torch.allclose(torch.from_numpy(alone), expected, atol=1e-5)
    weights = exported.whole_weights(net)
    assert exported.whole_weights(plain) is None
    if dist.get_rank() == 0:
        assert all(torch.equal(weights[name], tensor) for name, tensor in plain.state_dict().items())
    optimizer = pats.optim.Adamax(pats.param_groups(net), lr=1e-3, noise=NOISE)
    net.train()(input_ids=torch.tensor([[2, 7, 3]]), labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    stats = optimizer.stats()
    assert set(stats) == set(pats.scope(plain))
    return outcome.sensitivities(optimizer)["entries"]


@pytest.mark.soak
def test_a_sharded_classifier_is_scored_exported_and_summarised(four, bert):
    entries = four(sharded_run_parts, str(bert))
    net = AutoModelForSequenceClassification.from_pretrained(bert)
    named = dict(net.named_parameters())
    assert sum(entries) == sum(named[name].numel() for name in pats.scope(net))


# ---------------------------------------------------------------------------------- checkpoints


def prepared(layout):
    shape, rows, columns, spread = LAYOUTS[layout]
    net = spread(make_pair(rows, columns), make_mesh(*shape))
    return net, pats.optim.Adamax(pats.param_groups(net, "all"), lr=LR, noise=NOISE)


def steps(net, optimizer, numbers):
    for step in numbers:
        grads = whole_gradients(make_pair(), step)
        give_gradients(net, {name: torch.ones_like(p) if grads[name] is None else grads[name]
                   for name, p in make_pair().named_parameters()})  # fmt: skip
        optimizer.step()


def saved_and_loaded(folder):
    """Saved under one layout and loaded under others, a run goes on with the same bits."""
    net, optimizer = prepared("fsdp on 4, an empty shard")
    steps(net, optimizer, range(3))
    weights, state = get_state_dict(net, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=folder)
    steps(net, optimizer, range(3, 6))
    expected, same = digest(net), []
    for layout in ("fsdp on 4, an empty shard", "hsdp", "fsdp and tp"):
        other, optimizer = prepared(layout)
        weights, state = get_state_dict(other, optimizer)
        dcp.load({"model": weights, "optimizer": state}, checkpoint_id=folder)
        set_state_dict(other, optimizer, model_state_dict=weights, optim_state_dict=state)
        assert all(s["sensitivity"].dtype == torch.float32 for s in optimizer.state.values())
        steps(other, optimizer, range(3, 6))
        same.append(digest(other) == expected)
    return same, expected


@pytest.mark.soak
def test_distributed_checkpoint_under_another_layout_goes_on_with_the_same_bits(four, tmp_path):
    folder = str(tmp_path / "checkpoint")
    results = four(saved_and_loaded, folder)
    assert all(same == [True, True, True] for same, _ in results)
    net = make_pair()  # and on one process
    optimizer = pats.optim.Adamax(pats.param_groups(net, "all"), lr=LR, noise=NOISE)
    weights, state = get_state_dict(net, optimizer)
    dcp.load({"model": weights, "optimizer": state}, checkpoint_id=folder)
    set_state_dict(net, optimizer, model_state_dict=weights, optim_state_dict=state)
    steps(net, optimizer, range(3, 6))
    assert digest(net) == results[0][1]


# ----------------------------------------------------------------------------------------- runs


def made_run(folder, table):
    return Run(
        model=str(folder),
        data=str(table),
        lr=3e-3,
        epochs=2,
        batch_size=16,
        precision="fp32",
        max_length=32,
    )


class Stop(Exception):
    pass


def runs(folder, table, out):
    """A run, and one whose batch cannot be shared."""
    run = made_run(folder, table)
    result = finetune(run, f"{out}/alone")

    answers = [main(["run", "--data", str(table), "--model", str(folder), "--batch-size", "3", "--out", out])]
    return json.loads(result.to_json())["epochs"], answers


@pytest.mark.soak
def test_a_run_on_four_processes(four, bert, reviews, tmp_path):
    """One process writes, all get the result; it learns as one process does, whose batches it shares."""
    results = four(runs, str(bert), str(reviews), str(tmp_path))
    epochs, answers = results[0]
    assert all(other == results[0] for other in results)
    assert answers == [2]
    assert sorted(path.name for path in (tmp_path / "alone").iterdir()) == [
        "events.jsonl",
        "model",
        "pats.json",
        "predictions.csv.gz",
        "result.json",
    ]
    events = [json.loads(line)["event"] for line in (tmp_path / "alone" / "events.jsonl").open()]
    assert [event for event in events if event != "progress"] == ["start", "epoch", "epoch", "end"]
    alone = finetune(made_run(bert, reviews))
    for one, several in zip(alone.epochs, epochs, strict=True):
        assert several["step"] == one.step
        assert several["train_loss"] == pytest.approx(one.train_loss, rel=0.1)


def stopped_and_resumed(folder, table, out, stop, environment=None):
    """Whether a run that is stopped ends as one left alone; the classes of its parameters; and its losses."""
    from pats.run import trainer

    run = made_run(folder, table)
    seen, classes = 0, set()
    on_save = trainer.Monitor.on_save

    def once(self, *args, **kwargs):
        nonlocal seen
        on_save(self, *args, **kwargs)
        classes.update(type(parameter).__name__ for parameter in kwargs["model"].parameters())
        seen += 1
        if seen == stop:
            raise Stop

    os.environ |= environment or {}
    try:
        alone = finetune(run, f"{out}/whole", save_steps=2)
        trainer.Monitor.on_save = once
        with contextlib.suppress(Stop):
            finetune(run, f"{out}/stopped", save_steps=2)
            raise AssertionError("it was not stopped")
        trainer.Monitor.on_save = on_save
        resumed = finetune(run, f"{out}/stopped", save_steps=2)
    finally:
        trainer.Monitor.on_save = on_save
        for key in environment or {}:
            del os.environ[key]
    return alone.epochs == resumed.epochs, classes, [epoch.train_loss for epoch in alone.epochs]


def weights_of_both(folder):
    return [(folder / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "stopped")]


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.soak
def test_a_run_on_four_processes_resumes_in_the_middle_of_an_epoch(four, bert, reviews, tmp_path, stop):
    results = four(stopped_and_resumed, str(bert), str(reviews), str(tmp_path), stop)
    assert all(equal for equal, _, _ in results)
    assert len(set(weights_of_both(tmp_path))) == 1


@pytest.mark.soak
def test_a_run_shards_by_the_example_and_resumes(four, bert, reviews, tmp_path):
    """The losses are those of replicas."""
    runs = {}
    for name, given in (("replicas", {}), ("shards", by_the_example())):
        out = tmp_path / name
        results = four(stopped_and_resumed, str(bert), str(reviews), str(out), 3, given)
        assert all(equal for equal, _, _ in results)
        assert len(set(weights_of_both(out))) == 1
        runs[name] = results[0]
    assert runs["shards"][1] == {"DTensor"}
    assert "DTensor" not in runs["replicas"][1]
    assert runs["shards"][2] == pytest.approx(runs["replicas"][2], rel=1e-4)


def every_method(folder, table, environment):
    """Status, or refusal, of a short sharded run of each method."""
    os.environ |= environment
    told = {}
    for method in registry():
        options = {"gamma": 100.0} if method == "recadam" else {}  # lr·gamma must stay below 1
        try:
            run = dataclasses.replace(made_run(folder, table), steps=3, method=method, options=options)
            told[method] = finetune(run).status
        except pats.InputError as error:
            told[method] = str(error)
    for key in environment:
        del os.environ[key]
    return told


@pytest.mark.soak
def test_every_method_trains_sharded_or_says_why_not(bert, reviews):
    world = World(2, patience=900)
    results = world(every_method, str(bert), str(reviews), by_the_example())
    world.end()
    for told in results:
        for method in ("ema", "lawa", "rwp", "smart", "soup"):
            assert "which it cannot shard: train on replicas" in told.pop(method)
        assert set(told.values()) == {"done"}
