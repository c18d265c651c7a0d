import csv
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pats import InputError
from pats.run import Result, finetune, session
from support.small_run import small_run
from support.stopped_runs import Stop, lasting_content, stop_at, weights_digest

METHODS = ("vanilla", "noisytune", "sage", "pats")


@pytest.fixture
def run(tiny_bert, reviews):
    return small_run(tiny_bert, reviews)


@pytest.mark.parametrize("method", METHODS)
def test_methods_learn(run, many_reviews, method):
    lr = 1e-2 if method == "sage" else 3e-3  # SAGE's factor is below one on average
    result = finetune(replace(run, data=str(many_reviews), method=method, epochs=6, lr=lr))
    assert result.status == "done"
    assert [epoch.step for epoch in result.epochs] == [9, 18, 27, 36, 45, 54]
    assert result.best > 0.7
    assert bool(result.telemetry) == (method == "pats")
    assert bool(result.sensitivity) == (method in ("sage", "pats"))


def test_folder(run, tmp_path):
    events = []
    result = finetune(run, tmp_path, on_event=events.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "events.jsonl",
        "model",
        "pats.json",
        "predictions.csv.gz",
        "result.json",
    ]
    text = (tmp_path / "result.json").read_text()
    assert len(text) < 64_000
    assert Result.from_json(text) == result
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert lines == events
    kinds = [event["event"] for event in events if event["event"] != "progress"]
    assert kinds == ["start", "epoch", "epoch", "end"]
    assert result.sizes == {"train": 70, "dev": 15, "test": 15}
    assert result.labels == ("bad", "good")
    assert set(result.test) == {"accuracy", "macro_f1"}
    assert result.environment["precision"] == "fp32"
    assert result.environment["peak_memory_mb"]["process"] > 50


def test_the_processor_time_is_the_process_s_own(run, monkeypatch):
    read = iter([5.0, 7.5])
    clocks = {**vars(time), "process_time": lambda: next(read)}  # for this module alone: others read theirs
    monkeypatch.setattr(session, "time", SimpleNamespace(**clocks))
    assert finetune(run).timings["cpu"] == 2.5


def test_predictions_and_export_agree(run, tmp_path):
    result = finetune(run, tmp_path)
    packed = (tmp_path / "predictions.csv.gz").read_bytes()
    assert (
        hashlib.blake2b(gzip.decompress(packed), digest_size=16).hexdigest()
        == (result.predictions["blake2b"])
    )
    rows = list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))
    assert [row["split"] for row in rows] == ["dev"] * 15 + ["test"] * 15
    dev, test = rows[:15], rows[15:]
    for part, expected in ((dev, result.best), (test, result.test["accuracy"])):
        right = sum(row["label"] == row["prediction"] for row in part) / len(part)
        assert right == pytest.approx(expected)
    assert all(float(row["p_bad"]) + float(row["p_good"]) == pytest.approx(1) for row in rows)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model(**tokenizer("the lovely day", return_tensors="pt")).logits.shape == (1, 2)


def test_finished_run_is_not_repeated(run, tmp_path):
    first = finetune(run, tmp_path)
    second = finetune(run, tmp_path, on_event=lambda event: pytest.fail("it ran again"))
    assert first == second


@pytest.mark.parametrize("damage", ["", "{", '{"run_id": "x"'])
def test_damaged_result_is_made_again(run, tmp_path, damage):
    expected = lasting_content(finetune(run, tmp_path))
    (tmp_path / "result.json").write_text(damage)
    assert lasting_content(finetune(run, tmp_path)) == expected


def test_another_run_is_refused(run, tmp_path):
    finetune(replace(run, epochs=1), tmp_path)
    with pytest.raises(InputError, match="holds another run"):
        finetune(run, tmp_path)


def test_weights_can_be_dropped(run, tmp_path):
    finetune(replace(run, epochs=1), tmp_path, keep_model=False)
    assert not (tmp_path / "model").exists()
    finetune(replace(run, epochs=1), tmp_path, keep_model=False)
    assert not (tmp_path / "model").exists()


def test_changed_data_are_refused(run):
    with pytest.raises(InputError, match="have changed"):
        finetune(replace(run, fingerprint="0" * 32))


# Seeds ------------------------------------------------------------------------------------------------


def test_methods_share_everything_but_the_method(run):
    """Without noise PATS is plain fine-tuning to the bit: head, order and dropout are shared."""
    plain = finetune(replace(run, method="vanilla"))
    silent = finetune(replace(run, method="pats", options={"p": 0.0}))
    noisy = finetune(run)
    assert silent.epochs == plain.epochs
    assert silent.predictions == plain.predictions
    assert noisy.predictions != plain.predictions


@pytest.mark.parametrize("seed", ["init_seed", "data_seed", "noise_seed"])
def test_each_seed_matters(run, seed):
    run = replace(run, epochs=1)
    assert finetune(run).epochs == finetune(run).epochs
    assert finetune(replace(run, **{seed: 1})).epochs != finetune(run).epochs


def test_callers_generators_are_put_back(run):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    finetune(replace(run, epochs=1))
    assert states() == before


# Stopping and continuing ------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "epoch"), [("pats", 1), *((method, 2) for method in METHODS)])
def test_resume_is_exact(run, tmp_path, method, epoch):
    run = replace(run, method=method)
    alone = finetune(run, tmp_path / "alone")
    with pytest.raises(Stop):
        finetune(run, tmp_path / "stopped", on_event=stop_at("epoch", epoch))
    assert not (tmp_path / "stopped" / "result.json").exists()
    last = json.loads((tmp_path / "stopped" / "events.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["status"]) == ("end", "error")
    events = []
    resumed = finetune(run, tmp_path / "stopped", on_event=events.append)
    # The event of an epoch comes before its checkpoint, so that epoch is made again.
    assert events[0]["resumed_at"] == 5 * (epoch - 1)
    assert lasting_content(resumed) == lasting_content(alone)
    assert weights_digest(tmp_path / "stopped") == weights_digest(tmp_path / "alone")


def test_stopped_at_the_very_end(run, tmp_path):
    alone = finetune(run, tmp_path / "alone")
    with pytest.raises(Stop):
        finetune(run, tmp_path / "stopped", on_event=stop_at("end", 1))
    assert lasting_content(finetune(run, tmp_path / "stopped")) == lasting_content(alone)


CHILD = """
import json, os, signal, sys
from pats.run import Run, finetune
seen = []
def listener(event):
    seen.append(event["event"])
    if seen.count("epoch") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
finetune(Run.from_dict(json.loads(sys.argv[1])), sys.argv[2], on_event=listener)
"""


def test_killed_process(run, tmp_path):
    alone = finetune(run, tmp_path / "alone")
    arguments = [json.dumps(run.to_dict()), str(tmp_path / "killed")]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], env=os.environ | threads, check=False)
    assert done.returncode == -signal.SIGKILL
    events = []
    resumed = finetune(run, tmp_path / "killed", on_event=events.append)
    assert events[0]["resumed_at"] == 5
    assert lasting_content(resumed) == lasting_content(alone)
    assert weights_digest(tmp_path / "killed") == weights_digest(tmp_path / "alone")


@pytest.mark.parametrize("lost", ["checkpoint-5", "best-5", "progress.json"])
def test_damaged_checkpoint_starts_again(run, tmp_path, lost):
    alone = finetune(run, tmp_path / "alone")
    with pytest.raises(Stop):
        finetune(run, tmp_path / "stopped", on_event=stop_at("epoch", 2))
    path = tmp_path / "stopped" / "checkpoint" / lost
    path.rename(tmp_path / lost)
    events = []
    assert lasting_content(finetune(run, tmp_path / "stopped", on_event=events.append)) == lasting_content(
        alone
    )
    assert events[0]["resumed_at"] == 0


def test_checkpoint_of_another_run_is_refused(run, tmp_path):
    with pytest.raises(Stop):
        finetune(run, tmp_path, on_event=stop_at("epoch", 2))
    with pytest.raises(InputError, match="holds another run"):
        finetune(replace(run, lr=1e-3), tmp_path)


# Failing ----------------------------------------------------------------------------------------------


def test_divergence_fails_the_run_with_a_sentence(run, tmp_path):
    run = replace(run, method="vanilla", lr=1e30, warmup=0.0, clip=0.0, schedule="constant")
    result = finetune(run, tmp_path)
    assert result.status == "failed"
    assert "lower the learning rate" in result.error
    assert "step" in result.error
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "failed"
    assert result.best is None


@pytest.fixture
def poison():
    """Makes the head NaN before the seventh training step, once."""
    calls = []

    def hook(module, args):
        if type(module).__name__ == "BertForSequenceClassification" and module.training:
            calls.append(module)
            if len(calls) == 7:
                torch.nn.init.constant_(module.classifier.weight, float("nan"))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    yield
    handle.remove()


def test_divergence_keeps_the_last_good_weights(run, tmp_path, poison):
    result = finetune(run, tmp_path)
    assert result.status == "failed"
    assert len(result.epochs) == 1
    assert (tmp_path / "checkpoint" / "checkpoint-5").is_dir()
    kept = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert all(bool(torch.isfinite(p).all()) for p in kept.parameters())
    events = []
    assert finetune(run, tmp_path, on_event=events.append).status == "done"
    assert events[0]["resumed_at"] == 5


# Settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"epochs": 0.5}, [3]),
        ({"epochs": 1.5}, [5, 8]),
        ({"steps": 4}, [4]),
        ({"steps": 7}, [5, 7]),
        ({"fraction": 0.5}, [3, 6]),
        ({"batch_size": 70}, [1, 2]),
        ({"schedule": "constant", "warmup": 0.0}, [5, 10]),
        ({"schedule": "cosine", "clip": 0.0}, [5, 10]),
        ({"precision": "bf16"}, [5, 10]),
        ({"weight_decay": 0.01, "optimizer": "adamw"}, [5, 10]),
    ],
)
def test_settings(run, changes, steps):
    result = finetune(replace(run, method="vanilla", **changes))
    assert result.status == "done"
    assert [epoch.step for epoch in result.epochs] == steps


def test_regression_on_pairs(run, ratings, tmp_path):
    result = finetune(replace(run, data=str(ratings), epochs=2), tmp_path)
    assert (result.metric, result.labels) == ("pearson", ())
    assert set(result.epochs[0].metrics) == {"pearson", "spearman", "mae"}
    text = gzip.decompress((tmp_path / "predictions.csv.gz").read_bytes()).decode()
    assert text.splitlines()[0] == "split,row,label,prediction"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "other"},
        {"options": {"lam": -1.0}},
        {"model": "./no-such-folder"},
        {"data": "no-such-table.csv"},
        {"options": {"scope": "matches_nothing"}},
        {"text": "nothing"},
    ],
)
def test_bad_input(run, tmp_path, changes):
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        finetune(replace(run, **changes), tmp_path / "out")
    assert not (tmp_path / "out" / "result.json").exists()


def test_an_empty_name_is_no_folder(tiny_bert, reviews):
    with pytest.raises(InputError, match="out is empty: name a folder, or leave it out"):
        finetune(small_run(tiny_bert, reviews), "")
