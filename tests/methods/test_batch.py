"""Passes of a batch: dropout, generators, gradient checkpointing, accumulation, data parallelism."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from pats.methods import MicroBatch, PassClock, Training, create
from pats.run import batches
from pats.run.folder.checkpoint import Progress
from pats.run.model.classifier import load
from pats.run.spec import Run
from pats.run.timings import Timings
from pats.run.trainer import RunTrainer, arguments
from support.architectures import SMALL, build_model, make_batch
from support.toy_classifier import Trial, make_toy, toy_inputs


@pytest.fixture(params=["bert", "llama"])
def classifier(request):
    torch.manual_seed(0)
    return build_model(request.param, SMALL).train()


def gradients(classifier, name, options=None, steps=2):
    """Losses of some steps and the last gradients, without any update."""
    method, clock, losses = create(name, options), PassClock(), []
    training = Training(anchors={n: p.detach() + 0.1 for n, p in classifier.named_parameters()})
    torch.manual_seed(5)
    with clock.attached(classifier), method.attached(classifier, training, clock):
        for step in range(1, steps + 1):
            classifier.zero_grad()
            clock.begin(step)
            loss = method.loss(make_batch(clock, classifier))
            loss.backward()
            losses.append(loss.item())
    return losses, [p.grad.clone() for p in classifier.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    "name",
    [
        *("mixout", "freelb", "smart", "mixout+smart", "mixout+r3f", "mixout+freelb"),
        *("rdrop", "hype", "rwp", "rwp, mixed", "hype+rdrop", "mixout+rwp", "sam", "mixout+sam"),
    ],
)
def test_gradient_checkpointing_changes_nothing(classifier, name):
    """A pass that is run again finds its own masks, also after a later pass."""
    options = {"mixout.p" if "+" in name else "p": 0.5} if "mixout" in name else {}
    options |= {"sigma": 0.1} if "hype" in name or "rwp" in name else {}
    options |= {"mix": 0.3} if "mixed" in name else {}
    name = name.partition(",")[0]
    losses, plain = gradients(classifier, name, options)
    classifier.gradient_checkpointing_enable({"use_reentrant": False})
    again, recomputed = gradients(classifier, name, options)
    assert losses == again
    for one, other in zip(plain, recomputed, strict=True):
        assert torch.equal(one, other)


def test_extra_passes_have_other_masks_than_the_next_step():
    masks = []
    classifier = make_toy(dropout=0.5)
    classifier.dropout.register_forward_hook(lambda module, args, out: masks.append(out != 0))
    torch.manual_seed(0)
    with Trial("r3f", model=classifier) as trial:
        for step in range(1, 4):
            trial.loss(step=step)
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 6


@pytest.mark.parametrize("seed", [0, 1])
def test_extra_masks_are_a_function_of_seed_and_step(seed):
    def extra(step, seed):
        classifier, seen = make_toy(dropout=0.5), []
        classifier.dropout.register_forward_hook(lambda module, args, out: seen.append(out != 0))
        with Trial("r3f", model=classifier, seed=seed) as trial:
            trial.loss(step=step)
        return seen[1]

    torch.manual_seed(seed)
    assert torch.equal(extra(3, 7), extra(3, 7))
    assert not torch.equal(extra(3, 7), extra(4, 7)) or not torch.equal(extra(3, 7), extra(3, 8))


def test_a_batch_of_ones_own_loop_needs_no_run():
    classifier, clock, method = make_toy(), PassClock(), create("freelb")
    with clock.attached(classifier), method.attached(classifier, Training(), clock):
        method.loss(MicroBatch(classifier, toy_inputs(), clock)).backward()
    assert clock.count == 3


# Gradient accumulation by Trainer ---------------------------------------------------------------------


def accumulated(folder, name, size, micro, tmp_path):
    """Weights after one epoch of steps of 16 examples, of the same length, without dropout."""
    options = {
        "freelb": {"init": 0.0},
        "smart": {"sigma": 0.0, "mu": 0.0},
        "mixout": {"p": 0.0},
        "hype": {"sigma": 0.0},
        "rwp": {"sigma": 0.0},
        "sam": {"rho": 0.0},  # else every micro-batch climbs by itself
        "ivon": {"clip": 1e-2},  # steps of nearly the sign turn on the last digit
    }
    method = create(name, options.get(name, {}))
    loaded = load(str(folder / "bert"), ("a", "b"), 16, 0)
    for module in loaded.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    rows = [{"input_ids": [2, 5 + i % 7, 9 + i % 5, 3], "labels": i % 2} for i in range(64)]
    run = Run(model="x", lr=1e-3, batch_size=size, epochs=1, warmup=0.0, precision="fp32")
    made = arguments(run, tmp_path, torch.device("cpu"), False, False, None)
    made.gradient_accumulation_steps = micro
    made.eval_strategy = "no"
    made.train_sampling_strategy = "sequential"
    engine = RunTrainer(
        loaded.model,
        made,
        run,
        rows,
        batches.collator(loaded.tokenizer),
        method,
        Training(lr=1e-3, examples=64),
        judge=lambda state, loss: {},
        callback=TrainerCallback(),
        progress=Progress(""),
        timings=Timings(),
    )
    with engine.attached():
        engine.train()
    assert engine.state.global_step == 4
    return [p.detach().clone() for p in loaded.model.parameters()]


@pytest.mark.parametrize(
    "name",
    ["vanilla", "freelb", "smart", "mixout", "rdrop", "hype", "rwp", "childtuning", "sam", "ivon", "upgd"],
)
def test_accumulation_is_one_larger_batch(inputs_folder, name, tmp_path):
    """For what has no noise of its own: micro-batches are given their own."""
    whole = accumulated(inputs_folder, name, 16, 1, tmp_path)
    parts = accumulated(inputs_folder, name, 4, 4, tmp_path)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


# Data parallelism -------------------------------------------------------------------------------------


def test_data_parallel():
    """Two processes: replicas stay equal, and what has no noise of its own equals one larger batch."""
    script = Path(__file__).parents[1] / "support" / "two_processes.py"
    path = os.pathsep.join([str(script.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # The library of torch 2.10 prints here as well.
    told = [line for line in done.stdout.splitlines() if not line.startswith("[Gloo]")]
    assert told == [
        "vanilla",
        "mixout",
        "neftune",
        "freelb",
        "r3f",
        "smart",
        "mixout+smart+pats",
        "sam",
        "ivon",
        "upgd",
        "rdrop",
        "rwp",
        "childtuning",
        "hype",
        "rwp+childtuning",
    ]
