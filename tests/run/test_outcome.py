import gzip

import numpy as np
import pytest
import torch

from pats.run import outcome
from pats.tasks import Split, TaskData


def outputs(classes, of=2):
    return np.eye(of, dtype=np.float32)[list(classes)]


def task(**splits):
    return TaskData("t", ("no", "yes"), splits, "accuracy", ("accuracy", "f1"), "table")


def test_one_split_with_groups():
    split = Split(("a", "b", "c", "d"), label=(0.0, 1.0, 1.0, 0.0), group=("x", "x", "y", "y"))
    found, degenerate = outcome.judge(task(dev=split), {"dev": outputs([0, 1, 0, 0])})
    assert found == {
        "accuracy": 0.75,
        "f1": pytest.approx(2 / 3),
        "x/accuracy": 1.0,
        "y/accuracy": 0.5,
    }
    assert not degenerate


def test_mean_over_splits():
    matched = Split(("a", "b"), label=(0.0, 1.0))
    mismatched = Split(("c", "d", "e", "f"), label=(1.0, 1.0, 1.0, 0.0))
    data = task(dev_matched=matched, dev_mismatched=mismatched)
    found, degenerate = outcome.judge(
        data, {"dev_matched": outputs([1, 1]), "dev_mismatched": outputs([1, 1, 1, 1])}
    )
    assert found["accuracy"] == pytest.approx((0.5 + 0.75) / 2)
    assert found["dev_matched/accuracy"] == 0.5
    assert found["dev_mismatched/accuracy"] == 0.75
    assert degenerate


def test_predictions_are_deterministic(tmp_path):
    data = task(dev=Split(("a", "b"), label=(0.0, 1.0)))
    scores = {"dev": np.array([[0.0, 0.0], [2.0, -1.0]], np.float32)}
    digests = [outcome.write_predictions(tmp_path / name, data, scores) for name in ("1", "2")]
    assert digests[0] == digests[1]
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert gzip.decompress((tmp_path / "1").read_bytes()).decode() == (
        "split,row,label,prediction,p_no,p_yes\ndev,0,no,no,0.5,0.5\ndev,1,yes,no,0.9525741,0.04742587\n"
    )


def test_sensitivities():
    parameters = [torch.nn.Parameter(torch.zeros(4)) for _ in range(2)]
    groups = [
        {"params": [p], "in_scope": inside} for p, inside in zip(parameters, (True, False), strict=True)
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    assert outcome.sensitivities(optimizer) == {}
    for parameter in parameters:
        optimizer.state[parameter]["sensitivity"] = torch.tensor([0.0, 1.0, -1.0, 2.0])
    found = outcome.sensitivities(optimizer)
    assert found == {"entries": 4, "mean": 1.0, "cv": 0.707107, "gini": 0.375, "insensitive": 0.25}


def test_by_kind():
    stats = {
        "layer.0.dense.weight": {"noise_rms": 1.0, "sigma_max": 1.0, "skipped": 1, "ratio": float("inf")},
        "layer.11.dense.weight": {"noise_rms": 2.0, "sigma_max": 3.0, "skipped": 2, "ratio": 0.5},
        "head.weight": {"noise_rms": 0.0, "sigma_max": 0.0, "skipped": 0, "ratio": float("inf")},
    }
    assert outcome.by_kind(stats) == {
        "layer.*.dense.weight": {"noise_rms": 1.5, "sigma_max": 3.0, "skipped": 3, "ratio": 0.5},
        "head.weight": {"noise_rms": 0.0, "sigma_max": 0.0, "skipped": 0},
    }
