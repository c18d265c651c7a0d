"""A new engine is one file: help, its own flag and a study know it from there."""

import json

import pytest

from pats import InputError
from pats.cli import main
from pats.study import place
from support.added_file import added

HERE = '''
"""Every attempt at once, in this process, and a line of each in a file."""

from pathlib import Path

from pats.study.place.protocol import Flag, NamedPlacer
from pats.study.place.worker import work


class HerePlacer(NamedPlacer):
    name = "here"
    flags = {
        "log": Flag("--here-log", "FILE", "where attempts are written down"),
        "marks": Flag("--here-marks", "KEY=VALUE", "what stands beside them", pairs=True),
    }

    def __init__(self, log=None, marks=None, workers=None, cpus=None, gpus=None, processes=None):
        self.log, self.marks, self.states = Path(log or "here.log"), marks, {}

    def submit(self, attempt):
        with self.log.open("a") as file:
            file.write(f"{attempt.name} {self.marks}\\n")
        self.states[str(attempt)] = "done" if work(attempt) == 0 else "failed"
        return str(attempt)

    def poll(self, handles):
        return {handle: self.states.pop(handle) for handle in handles if handle in self.states}

    def cancel(self, handle):
        pass

    def capacity(self):
        return 1 - len(self.states)
'''


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    with added("pats.study.place", "here", HERE, tmp_path_factory.mktemp("place")):
        yield


@pytest.fixture
def inputs(tiny_bert, reviews):
    argv = ["compare", "--data", str(reviews), "--model", str(tiny_bert), "--methods", "vanilla", "--quiet"]
    return [
        *argv,
        "--json",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--lr",
        "1e-3",
        "--force",
        "--baselines",
        "none",
    ]


def test_help_names_it_and_its_flags(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "--engine NAME here, local (the default), ray or slurm; my_module:MyEngine" in told
    assert "--here-log FILE where attempts are written down" in told
    assert "--here-marks KEY=VALUE [KEY=VALUE ...]" in told


def test_a_study_goes_through(inputs, tmp_path, capsys):
    """Its flags come from the command line and from a file; pairs are taken from both."""
    (tmp_path / "flags.yaml").write_text("engine: here\nhere-marks: {a: 1}\n")
    argv = [*inputs, "--config", str(tmp_path / "flags.yaml"), "--here-marks", "b=2"]
    argv += ["--here-log", str(tmp_path / "log"), "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["cells"][0]["failed"] == {}
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("{'a': 1, 'b': 2}")


def test_an_engine_of_ones_own(inputs, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_engines.py").write_text(HERE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main([*inputs, "--engine", "my_engines:HerePlacer", "--out", "out"]) == 0
    assert len((tmp_path / "here.log").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        (
            "local",
            {"--here-log": "x"},
            "--here-log is for --engine here, but the engine is local: leave one out",
        ),
        ("here", {"--ray-address": "x"}, "--ray-address is for --engine ray, but the engine is here"),
        ("here", {"--slurm": {"a": 1}}, "--slurm is for --engine slurm"),
        (
            "there",
            {},
            r"engine is 'there' \(did you mean 'here'\?\), but must be one of: "
            "here, local, ray, slurm, or my_module:MyEngine",
        ),
        ("json:dumps", {}, "no subclass of pats.study.place.NamedPlacer named 'dumps'"),
    ],
)
def test_what_does_not_go_together(name, flags, said, tmp_path):
    with pytest.raises(InputError, match=said):
        place.create(name, tmp_path, flags=flags)
