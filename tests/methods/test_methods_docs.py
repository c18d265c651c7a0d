"""The pages on methods: their example runs, and their tables have every method."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import record
from pats import InputError
from pats.cli import main
from pats.methods import PassClock, create, divergence, registry
from support.toy_classifier import Trial

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"```python\n(# rdrop.py\n.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the example in ``rdrop.py``."""
    (tmp_path / "rdrop.py").write_text(EXAMPLE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("rdrop", None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def test_every_method_was_measured():
    for name in ("methods", "methods_train"):
        assert {row["method"] for row in record.read(name).rows} | {"vanilla"} == set(registry())


def test_the_page_on_choosing_names_every_method():
    page = (ROOT / "docs" / "which-method.md").read_text("utf-8")
    assert set(registry()) <= set(re.findall(r"`([a-z0-9-]+)`", page))


def test_the_example_is_about_twenty_lines_and_computes_what_it_says(folder):
    assert len(EXAMPLE.strip().splitlines()) <= 22
    method = create("rdrop:RDrop", {"weight": 0.7})
    assert (method.name, method.summary) == ("rdrop:RDrop", "two passes with different dropout must agree")
    from support.toy_classifier import make_toy, toy_inputs

    model, seen = make_toy(dropout=0.5), []
    with Trial("rdrop:RDrop", {"weight": 0.7}, model) as trial:
        handle = model.register_forward_hook(lambda module, args, out: seen.append(out))
        loss = trial.loss()
        handle.remove()
    apart = divergence(seen[0].logits, seen[1].logits, False)
    assert apart > 0
    assert torch.equal(loss, seen[0].loss + 0.7 * apart)
    with Trial("rdrop:RDrop", {"weight": 0.0}) as trial:
        assert trial.loss() == make_toy()(**toy_inputs()).loss


def compared(inputs_folder, *methods):
    """Words of a comparison of some methods, each for one epoch on one seed."""
    words = ["compare", "--out", "out", "--quiet", "--json", "--methods", *methods]
    words += ["--data", str(inputs_folder / "texts.csv"), "--model", str(inputs_folder / "bert")]
    words += ["--seeds", "1", "--epochs", "1", "--lr", "1e-3", "--no-control", "--baselines", "none"]
    return [*words, "--workers", "1"]


def ran(folder):
    """Methods and options of the runs that have a result."""
    runs = [json.loads(path.read_text())["run"] for path in folder.glob("out/runs/*/result.json")]
    return {(run["method"], tuple(run["options"].items())) for run in runs}


def test_the_example_runs_in_a_comparison(folder, inputs_folder, inline):
    words = compared(inputs_folder, "vanilla", "rdrop:RDrop", "both=rdrop:RDrop+pats")
    assert (
        main([*words, "--option", "rdrop:RDrop.weight=0.5", "both.p=0.1", "both.rdrop:RDrop.weight=2"]) == 0
    )
    assert ran(folder) == {
        ("vanilla", ()),
        ("rdrop:RDrop", (("weight", 0.5),)),
        ("rdrop:RDrop+pats", (("p", 0.1), ("rdrop:RDrop.weight", 2))),
    }


def test_the_example_runs_in_a_worker_of_the_installed_command(folder, inputs_folder):
    """It looks in the current folder, which Python does not do for a command."""
    command = [str(Path(sys.executable).with_name("pats")), *compared(inputs_folder, "rdrop:RDrop")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ran(folder) == {("rdrop:RDrop", ())}


BROKEN = {
    "syntax": ("class X(:\n", "syntax error in line 1"),
    "nothing": ("x = 1\n", "no subclass of pats.methods.Method named 'X'"),
    "aspect": (
        "from pats.methods import Method\nclass X(Method):\n    changes = ('everything',)\n",
        "must choose from: weights, optimizer, forward, embeddings, loss",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_class_of_ones_own_is_one_sentence(folder, name, capsys):
    code, said = BROKEN[name]
    module = f"broken_{name}"
    (folder / f"{module}.py").write_text(code)
    with pytest.raises(InputError, match=r"^[^\n]+$") as error:
        create(f"{module}:X")
    assert said in str(error.value)
    assert main(["run", "--task", "grammar", "--method", f"{module}:X", "--out", "out"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_method_that_overrides_nothing_is_plain(folder):
    (folder / "plain_method.py").write_text("from pats.methods import Method\nclass X(Method):\n    pass\n")
    from support.toy_classifier import make_toy, toy_inputs

    with Trial("plain_method:X") as trial:
        assert isinstance(trial.clock, PassClock)
        assert trial.loss() == make_toy()(**toy_inputs()).loss
