"""A mistyped name is refused with the name that was meant, wherever names are looked up."""

import pytest

import pats
from pats import InputError, methods
from pats.cli import main
from pats.run import Run
from pats.study import Study
from support.small_network import make_network
from support.tables import CSV

COMMANDS = {
    "a verb": ("comprae", "compare"),
    "a flag": ("compare --task rte --method2 vanilla", "--method"),
    "a flag with its value": ("run --task rte --epoch=3", "--epochs"),
    "a task": ("run --task colla --out out", "cola"),
    "a method": ("compare --task grammar --methods vanila", "vanilla"),
    "a part of a method": ("compare --task grammar --methods noisytun+pats", "noisytune"),
    "an option of a method": (
        "compare --task grammar --methods pats --option pats.intensty=std",
        "intensity",
    ),
    "an option of a part": (
        "compare --task grammar --methods a=noisytune+pats --option a.pats.gama=1",
        "gamma",
    ),
    "a row": ("compare --task rte --methods vanilla std=pats --option stdd.gamma=1", "std"),
    "an option of the embedded task": ("run --task grammar --task-option sizes=100 --out out", "size"),
    "an engine": ("compare --task grammar --engine slrum", "slurm"),
    "a tracker": ("run --task grammar --report-to tensorbord --out out", "tensorboard"),
    "a column": ("run --data texts.csv --label lable --out out", "label"),
    "a proposer": ("sweep --task grammar --proposer rndom", "random"),
}


def refused(argv, capsys):
    """What is said of a command with exit code 2."""
    assert main(argv) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize(("command", "meant"), COMMANDS.values(), ids=COMMANDS)
def test_a_typo_on_the_command_line(command, meant, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.csv").write_text(CSV)
    assert f" (did you mean {meant!r}?)" in refused(command.split(), capsys)


@pytest.mark.parametrize(
    ("key", "meant"), [("epoch", "epochs"), ("eval_batch", None), ("max_lenght", "max-length")]
)
def test_a_typo_in_a_file(key, meant, tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text(f"task: rte\n{key}: 3\n")
    told = refused(["run", "--config", str(path)], capsys)
    assert f"the unknown key {key.replace('_', '-')!r}" in told
    assert (f" (did you mean {meant!r}?)" in told) if meant else ("did you mean" not in told)


CALLS = {
    "a setting of a run": (lambda: Run.from_dict({"task": "rte", "epoch": 3}), "epochs"),
    "options of a row": (lambda: Study(tasks=("rte",), options={"pat": {"gamma": 0.1}}), "pats"),
    "a part of an option": (lambda: methods.create("noisytune+pats", {"pts.gamma": 0.1}), "pats"),
    "an option of several": (lambda: methods.create("noisytune+pats", {"gama": 0.1}), "gamma"),
    "a parameter": (lambda: pats.scope(make_network(), ["layers.0.lin.weight"]), "layers.0.linear.weight"),
}


@pytest.mark.parametrize(("call", "meant"), CALLS.values(), ids=CALLS)
def test_a_typo_in_a_call(call, meant):
    with pytest.raises(InputError, match=rf" \(did you mean '{meant}'\?\)"):
        call()


def test_what_is_like_nothing_gets_no_guess(capsys):
    assert "did you mean" not in refused(["fly"], capsys)
    assert "did you mean" not in refused(["run", "--fly"], capsys)
