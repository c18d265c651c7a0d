"""The command as a whole: help, exit codes, and what it does with an error that reaches it."""

import io
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pats.cli import VERBS, main


@pytest.mark.parametrize("argv", [[], ["--help"], ["help"]])
def test_help(argv, capsys):
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


def test_the_page_of_commands_has_every_verb_once():
    page = Path(__file__).parents[2].joinpath("docs", "commands.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| .+ \| `pats ([a-z-]+)` \| ", page, re.MULTILINE)) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example(verb, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"example:\n  pats {verb} " in capsys.readouterr().out


def test_help_needs_no_transformers():
    code = "import sys; from pats.cli import main; main([]); sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "--task", "rte"], "--out is missing"),
        (["run", "--out", "x"], "nothing to train on"),
        (["compare"], "nothing to train on"),
        (["predict", "nowhere", "x.csv"], "nowhere"),
        (["watch", "nowhere"], "holds no study"),
        (["check", "--task", "rte", "--method", "sage"], "--method"),
        (["bench", "--rounds", "0"], "rounds is 0"),
        (["bench", "--model", "./nowhere"], "nowhere"),
    ],
)
def test_missing_input(argv, said, capsys):
    assert main(argv) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (28, 1, "the disk is full"),
        (122, 1, "the disk is full"),
        (30, 2, "/x cannot be used"),
        (5, 2, "/x cannot"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "export"])
def test_what_a_file_system_says_is_one_sentence(
    inputs, tmp_path, capsys, monkeypatch, verb, number, code, said
):
    def broken(*_, **__):
        raise OSError(number, "no", "/x")

    monkeypatch.setattr("pats.run.model.classifier.load", broken)
    monkeypatch.setattr("pats.cli.export.write_table", broken)
    argv = {
        "run": [
            "--data",
            str(inputs / "texts.csv"),
            "--model",
            "x",
            "--out",
            str(tmp_path / "out"),
            "--quiet",
        ],
        "export": [str(tmp_path), "x.csv"],
    }
    assert main([verb, *argv[verb]]) == code
    assert said in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(monkeypatch):
    def leave(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("pats.cli.export.write_table", leave)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # which it closes
    assert main(["export", "x", "x.csv"]) == 0


def test_a_warning_to_the_user_is_a_line_without_its_place_in_the_code(monkeypatch, capsys):
    def verb(_):
        warnings.warn("the biases get no noise", UserWarning, stacklevel=2)
        return 0

    monkeypatch.setattr("pats.cli.watch.main", verb)
    monkeypatch.setattr(sys, "argv", ["pats", "watch"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main() == 0
    assert capsys.readouterr().err == "Warning: the biases get no noise\n"
