"""Set-ups, optimizers and schedules by name; a new one of each is one file."""

import json

import pytest
import torch
from torch import nn
from transformers import get_scheduler

from pats import InputError, Run, setups
from pats.cli import main
from support.added_file import added

SIGNS = '''
"""Momentum's optimizer, a rate of two steps, and a model that hears nothing of its first layer."""

import torch

from pats.setups import BaseOptimizer, Preset, Schedule, Setup


class Signs(Setup):
    name = "signs"
    presets = {"signs": Preset("all three", {"setup": "signs", "optimizer": "momentum", "schedule": "half"})}
    told = []

    def draw_(self, model, seed):
        self.told.append(("drawn", seed))
        return frozenset(["classifier.weight"])

    def exported(self, model, weights):
        self.told.append(("exported", weights))
        return weights


class Momentum(BaseOptimizer):
    name, family = "momentum", "adamw"

    def build(self, groups, rates, noise=None, foreach=None):
        return torch.optim.SGD(groups, lr=rates.lr, momentum=rates.betas[0], weight_decay=rates.weight_decay)


class Half(Schedule):
    name = "half"

    def factor(self, warmup, steps):
        return lambda k: 1.0 if k < steps / 2 else 0.5
'''


@pytest.fixture
def signs(tmp_path):
    with added("pats.setups", "signs", SIGNS, tmp_path):
        yield setups.setups()["signs"]


def test_names_in_the_order_of_help_and_messages():
    assert list(setups.setups()) == ["plain", "mtdnn"]
    assert list(setups.optimizers()) == ["adamax", "adamw", "mtdnn-a", "mtdnn-b"]
    assert list(setups.schedules()) == ["linear", "constant", "cosine", "mtdnn-a", "mtdnn-b"]
    assert list(setups.presets()) == ["paper", "table", "mtdnn", "mtdnn-a"]
    assert [one.family for one in setups.optimizers().values()] == ["adamax", "adamw", "adamax", "adamax"]


@pytest.mark.parametrize("field", ["setup", "optimizer", "schedule"])
def test_a_run_takes_no_other(field):
    names = ", ".join(getattr(setups, f"{field}s")())
    with pytest.raises(InputError, match=f"{field} is 'other', but must be one of: {names}$"):
        Run(task="rte", **{field: "other"})


@pytest.mark.parametrize("name", ["linear", "constant", "cosine"])
def test_usual_schedules_are_trainers(name):
    ours = setups.schedules()[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.25)
    theirs = get_scheduler(ours.of_trainer, optimizer, 3, 23).lr_lambdas[0]  # warm-up rounded up
    assert [ours.factor(0.1, 23)(k) for k in range(24)] == [theirs(k) for k in range(24)]


def test_plain_changes_nothing():
    plain, model = setups.setups()["plain"], nn.Linear(2, 2)
    weights = {"weight": torch.ones(2, 2)}
    assert plain.draw_(model, 0) == frozenset()
    assert plain.batches(8, 2, 0) is None
    assert plain.exported(model, weights) is weights
    assert plain.exported(model, None) is None
    with plain.attached(model, "cola"):
        assert not model._forward_hooks
        assert not model._forward_pre_hooks


@pytest.mark.parametrize("method", ["vanilla", "pats"])
def test_new_ones_are_one_file(signs, method, tiny_bert, reviews, tmp_path, capsys):
    """A preset of their own, and a run with it; PATS is attached to an optimizer that does not join noise."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "signs: all three" in " ".join(capsys.readouterr().out.split())
    out = tmp_path / "out"
    argv = ["run", "--preset", "signs", "--method", method, "--model", str(tiny_bert), "--data", str(reviews)]
    assert main([*argv, "--lr", "0.01", "--epochs", "1", "--quiet", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["run"]["optimizer"], result["run"]["schedule"]) == ("momentum", "half")
    assert "classifier.weight" in result["fresh"]["names"]
    assert bool(result["telemetry"]) == (method == "pats")
    assert signs.told == [("drawn", 0), ("exported", None)]


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        ((), set()),
        (("lr",), {"lr_grid", "halving"}),
        (("lr_grid",), {"lr_grid", "halving"}),
        (("epochs", "seeds"), {"min_steps", "max_steps", "all_seeds"}),
    ],
)
def test_what_is_given_replaces_what_a_preset_has_in_its_place(given, gone):
    preset = setups.presets()["table"]
    left = preset.beside(given)
    assert ({*preset.settings} | {*preset.study}) - ({*left.settings} | {*left.study}) == gone
