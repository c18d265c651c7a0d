"""Methods in a real fine-tuning: neutral settings, resume, the exported model, every kind of task."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from pats.methods import registry
from pats.run import Run, finetune

PASSES = {"freelb": 3, "r3f": 2, "rdrop": 2, "sam": 2, "smart": 4}  # forward passes a step at the defaults
GENTLE = {  # the learning rates here are high
    "recadam": {"gamma": 50.0},
    "rdrop+hype+childtuning": {"variant": "D"},
}
LATER = ("lawa", "soup")  # after one epoch they are plain fine-tuning, and that one may be the best

# Settings in which a method does everything and changes nothing, and the passes a step that it makes.
NEUTRAL = {
    "noisytune": ({"intensity": 0.0}, 1),
    "ema": ({"decay": 0.0}, 1),
    "ema, debias": ({"decay": 0.0, "correction": "debias"}, 1),
    "lawa": ({"last": 1}, 1),
    "soup": ({"candidates": 1}, 1),
    "llrd": ({"factor": 1.0}, 1),
    "reinit": ({"layers": 0, "pooler": False}, 1),
    "mixout": ({"p": 0.0}, 1),
    "freelb": ({"passes": 1, "init": 0.0}, 1),
    "freelb, three passes of a third": ({"alpha": 0.0, "init": 0.0}, 3),
    "neftune": ({"alpha": 0.0}, 1),
    "neftune, padded": ({"alpha": 0.0, "length": "padded"}, 1),
    "smart": ({"weight": 0.0, "mu": 0.0}, 4),
    "smart, reference": ({"weight": 0.0, "mu": 0.0, "radius_mode": "reference", "ascents": 2}, 5),
    "r3f": ({"weight": 0.0}, 2),
    "sam": ({"rho": 0.0}, 2),
    "sam, adaptive": ({"rho": 0.0, "adaptive": True}, 2),
    "upgd": ({"sigma": 0.0, "gate": "off"}, 1),
    "rdrop": ({"alpha": 0.0, "task": "first"}, 2),
    "hype": ({"sigma": 0.0}, 1),
    "hype, uniform": ({"sigma": 0.0, "noise": "uniform"}, 1),
    "rwp": ({"sigma": 0.0}, 1),
    "rwp, isotropic and growing": ({"sigma": 0.0, "scale": "none", "growth": 14.0}, 1),
    "rwp, clean": ({"mix": 0.0}, 2),
    "childtuning": ({"p": 1.0}, 1),
    "childtuning, by the data": ({"p": 1.0, "variant": "D"}, 1),
    "pats": ({"budget": 0.0}, 1),
    "pats-paper": ({"lam": 0.0}, 1),
    "pats, closed gate": ({"p": 0.0}, 1),
    "reinit+llrd+ema+soup+pats": (
        {"layers": 0, "pooler": False, "factor": 1.0, "decay": 0.0, "candidates": 1, "budget": 0.0},
        1,
    ),
    "mixout+pats": ({"mixout.p": 0.0, "pats.budget": 0.0}, 1),
    "rdrop+hype+childtuning": ({"alpha": 0.0, "task": "first", "sigma": 0.0, "p": 1.0}, 2),
    "noisytune+smart+pats": ({"noisytune.intensity": 0.0, "weight": 0.0, "mu": 0.0, "budget": 0.0}, 4),
}
ALMOST = {"freelb, three passes of a third"}  # equal up to rounding; the passes share dropout


@pytest.fixture(scope="module")
def run(inputs_folder):
    return Run(
        model=str(inputs_folder / "bert"),
        data=str(inputs_folder / "texts.csv"),
        method="vanilla",
        lr=3e-3,
        steps=20,
        epochs=4,
        batch_size=16,
        precision="fp32",
        max_length=32,
    )


class Passes:
    """Counts training passes of the whole model."""

    def __init__(self):
        self.count = 0

    def __enter__(self):
        def hook(module, args):
            self.count += isinstance(module, BertForSequenceClassification) and module.training

        self._handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
        return self

    def __exit__(self, *error):
        self._handle.remove()


def trained(run, folder):
    """Weights of the exported model, its epochs and the training passes."""
    with Passes() as passes:
        result = finetune(run, folder)
    assert result.status == "done"
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model")
    return dict(model.named_parameters()), result, passes.count


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plain")


@pytest.fixture(scope="module")
def plain(run, plain_folder):
    return trained(run, plain_folder)


def contents(path):
    """Names and shapes of the tensors in a file, or what a JSON file says."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with safe_open(path, "pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.offset_keys()}


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_settings_are_plain_fine_tuning_to_the_bit(run, plain, name, tmp_path):
    options, passes = NEUTRAL[name]
    neutral = replace(run, method=name.partition(",")[0], options=options)
    weights, result, count = trained(neutral, tmp_path)
    assert plain[2] == 20
    assert count == 20 * passes
    if name in ALMOST:
        for key, weight in weights.items():
            torch.testing.assert_close(weight, plain[0][key], rtol=1e-2, atol=1e-2)
        return
    assert result.epochs == plain[1].epochs
    assert result.predictions == plain[1].predictions
    for key, weight in weights.items():
        assert torch.equal(weight, plain[0][key]), key


@pytest.mark.parametrize("method", [name for name in registry() if name != "vanilla"])
def test_other_settings_are_not(run, plain, plain_folder, method, tmp_path):
    weights, result, count = trained(replace(run, method=method, options=GENTLE.get(method, {})), tmp_path)
    assert count == 20 * PASSES.get(method, 1)
    if method in LATER:
        assert result.epochs != plain[1].epochs
    else:
        assert any(not torch.equal(weight, plain[0][key]) for key, weight in weights.items())
    for trace in ("model.safetensors", "config.json"):  # the same tensors and settings, nothing more
        assert contents(tmp_path / "model" / trace) == contents(plain_folder / "model" / trace)
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == sorted(
        file.name for file in (plain_folder / "model").iterdir()
    )


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    "method",
    [
        "recadam",
        "smart",
        "freelb",
        "noisytune+neftune+mixout+pats",
        "lawa+soup",
        "reinit+llrd+ema+soup+pats",
        "ivon",
        "upgd",
        "sam+upgd",
        "rdrop+hype+childtuning",
        "rwp+childtuning",
    ],
)
def test_resume_is_exact(run, method, tmp_path, monkeypatch):
    """Anchors and averages too: the weights in the model's folder are others by then, and nobody notices."""
    monkeypatch.setattr("pats.run.model.weights.digest", lambda model: None)
    source = tmp_path / "bert"
    shutil.copytree(run.model, source)
    run = replace(run, model=str(source), method=method, steps=16, options=GENTLE.get(method, {}))
    finetune(run, tmp_path / "alone")

    def stop(event):
        if event["event"] == "epoch" and event["step"] == 14:
            raise Stop

    with pytest.raises(Stop):
        finetune(run, tmp_path / "stopped", on_event=stop)
    weights = load_file(source / "model.safetensors")
    save_file({k: v + 0.1 for k, v in weights.items()}, source / "model.safetensors", {"format": "pt"})
    events = []
    finetune(run, tmp_path / "stopped", on_event=events.append)
    assert events[0]["resumed_at"] == 7
    digests = [
        hashlib.sha256((tmp_path / name / "model" / "model.safetensors").read_bytes()).hexdigest()
        for name in ("alone", "stopped")
    ]
    assert digests[0] == digests[1]
    assert not (tmp_path / "stopped" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("method", "data"),
    [*((method, "scores.csv") for method in registry()), *((m, "pairs.csv") for m in ("freelb", "smart"))],
)
def test_pairs_and_regression(run, method, data, inputs_folder, tmp_path):
    options = GENTLE.get(method, {})
    other = replace(run, data=str(inputs_folder / data), method=method, options=options, steps=3, epochs=1)
    result = finetune(other)
    assert result.status == "done"
    assert result.metric == ("pearson" if data == "scores.csv" else "accuracy")


@pytest.mark.parametrize(
    "method",
    [
        *("mixout+sage", "freelb+pats", "noisytune+smart+recadam", "rdrop+hype+pats", "rwp+childtuning"),
        *("sam+upgd", "ivon"),
    ],
)
def test_bf16_autocast(run, method):
    options = {"gamma": 10.0} if "recadam" in method else {}
    result = finetune(replace(run, method=method, precision="bf16", steps=4, epochs=1, options=options))
    assert result.status == "done"
    assert result.environment["precision"] == "bf16"
