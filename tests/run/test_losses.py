import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from pats.methods import registry
from pats.run import finetune, losses
from pats.run.losses import Diverged, Losses, Reading, check_weights, steps_late
from pats.run.trainer import RunTrainer
from support.device_reads import watch_reads
from support.small_run import small_run
from support.stopped_runs import Stop, lasting_content, stop_at


@pytest.fixture
def run(tiny_bert, reviews):
    return small_run(tiny_bert, reviews)


@pytest.fixture
def late(monkeypatch):
    """Losses are read as on an accelerator."""
    monkeypatch.setattr(losses, "steps_late", lambda device: 1)


@pytest.mark.parametrize(("device", "steps"), [("cpu", 0), ("cuda", 1)])
def test_on_an_accelerator_a_loss_is_read_one_step_late(device, steps):
    assert steps_late(torch.device(device)) == steps


def test_each_step_reads_the_loss_of_the_one_before(run, late, monkeypatch):
    """What is outstanding is read before the evaluation, so that no epoch lacks a loss."""
    events = watch_reads(monkeypatch)
    result = finetune(run, on_event=lambda event: events.append(event["event"]))
    told = [event for event in events if event.startswith(("step", "loss", "epoch"))]
    first = ["step 1", *(f"{what} {n + (what == 'step')}" for n in range(1, 5) for what in ("step", "loss"))]
    assert told[: len(first) + 2] == [*first, "loss 5", "epoch"]
    assert [event for event in told if event.startswith("loss")] == [f"loss {n}" for n in range(1, 11)]
    assert result.status == "done"


def test_on_a_cpu_each_step_reads_its_own(run, monkeypatch):
    events = watch_reads(monkeypatch)
    finetune(replace(run, epochs=1))
    assert events == [f"{what} {n}" for n in range(1, 6) for what in ("step", "loss")]


@pytest.mark.parametrize("method", sorted(set(registry()) - {"sage", "recadam"}))
def test_no_method_reads_anything_else_in_a_step(run, late, monkeypatch, method):
    events = watch_reads(monkeypatch)
    finetune(replace(run, method=method, epochs=1))
    assert [event for event in events if not event.startswith(("step", "loss"))] == []


@pytest.mark.parametrize("changes", [{"setup": "mtdnn"}, {"optimizer": "adamw"}, {"clip": 0.0}])
def test_no_setting_reads_anything_else(run, late, monkeypatch, changes):
    events = watch_reads(monkeypatch)
    finetune(replace(run, epochs=1, **changes))
    assert [event for event in events if not event.startswith(("step", "loss"))] == []


@pytest.mark.parametrize("save_steps", [None, 2])
@pytest.mark.parametrize("method", ["vanilla", "pats"])
def test_late_reading_changes_no_result(run, tmp_path, monkeypatch, method, save_steps):
    run = replace(run, method=method)
    expected = lasting_content(finetune(run, tmp_path / "at-once", save_steps=save_steps))
    monkeypatch.setattr(losses, "steps_late", lambda device: 1)
    assert lasting_content(finetune(run, tmp_path / "late", save_steps=save_steps)) == expected


@pytest.mark.parametrize("save_steps", [3, 5])
@pytest.mark.parametrize("count", [1, 2])
def test_a_late_run_resumes_exactly(run, tmp_path, late, count, save_steps):
    alone = finetune(run, tmp_path / "alone", save_steps=save_steps)
    with pytest.raises(Stop):
        finetune(run, tmp_path / "stopped", on_event=stop_at("epoch", count), save_steps=save_steps)
    resumed = finetune(run, tmp_path / "stopped", save_steps=save_steps)
    assert lasting_content(resumed) == lasting_content(alone)


@pytest.fixture
def poisoned(monkeypatch):
    """``poisoned(step)`` makes the head NaN before that training step, once."""
    handles = []

    def poison(step):
        calls = []

        def hook(module, args):
            if type(module).__name__ == "BertForSequenceClassification" and module.training:
                calls.append(module)
                if len(calls) == step:
                    torch.nn.init.constant_(module.classifier.weight, math.nan)

        handles.append(torch.nn.modules.module.register_module_forward_pre_hook(hook))

    yield poison
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize(
    ("step", "save_steps", "begun", "kept"),
    [
        (7, None, 8, 5),  # read while step 8 runs
        (10, None, 10, 5),  # the last of an epoch: read before it is judged
        (7, 1, 7, 6),  # a checkpoint is due: read before it is made
        (7, 2, 8, 6),
    ],
)
def test_a_diverged_run_stops_one_step_late_with_the_last_good_checkpoint(
    run, tmp_path, late, poisoned, monkeypatch, step, save_steps, begun, kept
):
    events = watch_reads(monkeypatch)
    poisoned(step)
    result = finetune(run, tmp_path, save_steps=save_steps)
    assert result.status == "failed"
    assert result.error == (
        f"the training loss became nan at step {step}: lower the learning rate or the noise"
    )
    assert [event for event in events if event.startswith("step")][-1] == f"step {begun}"
    assert json.loads((tmp_path / "checkpoint" / "progress.json").read_text())["step"] == kept
    best = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert all(bool(torch.isfinite(p).all()) for p in best.parameters())
    events = []
    assert finetune(run, tmp_path, on_event=events.append).status == "done"
    assert events[0]["resumed_at"] == kept


def test_no_checkpoint_holds_a_weight_that_is_not_finite(run, tmp_path, monkeypatch):
    """Its loss was fine: the update spoilt it."""
    original = RunTrainer._save_checkpoint

    def spoilt(self, *args, **kwargs):
        if self.state.global_step == 4:
            torch.nn.init.constant_(self.model.classifier.bias, math.inf)
        original(self, *args, **kwargs)

    monkeypatch.setattr(RunTrainer, "_save_checkpoint", spoilt)
    result = finetune(run, tmp_path, save_steps=2)
    assert result.error.startswith("the parameter 'classifier.bias' is not finite after step 4: ")
    assert json.loads((tmp_path / "checkpoint" / "progress.json").read_text())["step"] == 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_was_outstanding_is_read_at_last(late, value):
    held = Losses([0.5])
    held.add(torch.tensor(value), 2)
    assert held.values == [0.5]
    with pytest.raises(Diverged, match=f"became {value} at step 2: lower the learning rate"):
        held.settle()


def test_weights_are_checked_with_one_read(monkeypatch):
    reads, original = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: reads.append(1) or original(self))
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in range(5)))
    check_weights(model, 1)
    assert reads == [1]
    with torch.no_grad():
        model[2].bias[1] = math.nan
        model[4].bias[1] = math.nan
    with pytest.raises(Diverged, match=r"^the parameter '2.bias' is not finite after step 7: [^\n]+$"):
        check_weights(model, 7)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["vanilla", "pats"])
def test_on_a_gpu_no_step_waits(run, monkeypatch, method):
    """From the third step on torch itself raises where anything synchronises, but for reading a loss."""
    step, value = RunTrainer.training_step, Reading.value

    def strict(self, *args, **kwargs):
        last = self.state.global_step == 4  # after it the evaluation may wait
        torch.cuda.set_sync_debug_mode("error" if self.state.global_step >= 2 and not last else "default")
        return step(self, *args, **kwargs)

    def read(self):
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("default")
        found = value(self)
        torch.cuda.set_sync_debug_mode(before)
        return found

    monkeypatch.setattr(RunTrainer, "training_step", strict)
    monkeypatch.setattr(Reading, "value", read)
    try:
        assert finetune(replace(run, method=method, epochs=1)).status == "done"
    finally:
        torch.cuda.set_sync_debug_mode("default")
