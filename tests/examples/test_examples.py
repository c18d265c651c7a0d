"""Every example runs as a user runs it, and those that train the same end with the same weights."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.tiny_bert import make_tiny_bert

EXAMPLES = Path(__file__).parents[2] / "examples"
SAME = ("trainer", "accelerate_loop", "lightning_module")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return make_tiny_bert(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture
def run(bert, monkeypatch, capsys):
    """Runs an example; returns the hash that it prints."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(name, model=bert, steps=6):
        path = EXAMPLES / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), "--model", str(model), "--steps", str(steps)])
        runpy.run_path(str(path), run_name="__main__")
        printed = capsys.readouterr().out.split()[-1]
        assert len(printed) == 16
        return printed

    return run


@pytest.mark.parametrize("name", SAME)
def test_reaches_the_weights_of_the_plain_loop(run, name):
    assert run(name) == run("plain_loop")


@pytest.mark.parametrize("name", ["peft_lora", "sentence_embeddings"])
def test_runs_and_repeats(run, name):
    assert run(name) == run(name) != run(name, steps=5)


def test_adapters_reach_the_same_weights_in_trainer(bert, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import peft_lora
    import shared
    import trainer

    given = shared.setting(str(bert), 6)
    loop = shared.digest(peft_lora.train(given))
    given = shared.setting(str(bert), 6)
    assert shared.digest(trainer.train(replace(given, model=peft_lora.adapted(given.model)))) == loop


def test_the_hash_sees_the_noise(run, monkeypatch):
    """The negative control: another seed of the noise gives other weights."""
    before = run("plain_loop")
    import shared

    monkeypatch.setattr(shared, "NOISE", shared.pats.Noise(seed=shared.SEED + 1))
    assert run("plain_loop") != before


@pytest.mark.minilm
@pytest.mark.soak
def test_minilm_reaches_the_weights_of_the_plain_loop(run):
    assert {run(name, "minilm", 20) for name in SAME} == {run("plain_loop", "minilm", 20)}
