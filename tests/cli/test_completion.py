"""The scripts of ``pats completion``, as the shell uses them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pats import methods
from pats.cli import VERBS, main

GOLDEN = Path(__file__).parents[1] / "golden" / "surface.json"

# Completes every line of its input, and writes what it offers on a line each.
ASK = """
source "$1"
while read -r line; do
    COMP_WORDS=(${line%|}) COMPREPLY=()
    [[ $line == *" |" ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    $(complete -p pats | grep -o '_[^ ]*pats') pats "${COMP_WORDS[COMP_CWORD]}" > /dev/null
    echo "${COMPREPLY[@]}"
done
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "pats.bash"
    command = [sys.executable, "-m", "pats", "completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path.write_text(done.stdout)
    return path


def offered(script, *lines):
    """The words that bash offers after each line; ``|`` at its end is the cursor after a blank."""
    asked = ["bash", "-c", ASK, "bash", str(script)]
    done = subprocess.run(asked, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_the_script_parses(script):
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).stderr == b""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pats co", {"compare", "completion"}),
        ("pats |", set(VERBS)),
        ("pats run --epo", {"--epochs"}),
        ("pats check --method-", set()),
        ("pats compare --methods van", {"vanilla"}),
        ("pats run --method |", set(methods.registry())),
        ("pats run --task c", {"cola"}),
        ("pats sweep --proposer r", {"random"}),
        ("pats compare --engine |", {"local", "ray", "slurm"}),
        ("pats run --preset mtdnn-", {"mtdnn-a"}),
        ("pats compare --optimizer adama", {"adamax"}),
        ("pats completion |", {"bash", "zsh"}),
    ],
)
def test_bash_offers(script, line, words):
    assert [words] == offered(script, line)


def test_every_verb_offers_all_its_flags(script):
    verbs = json.loads(GOLDEN.read_text(encoding="utf-8"))["verbs"]
    for verb, words in zip(verbs, offered(script, *(f"pats {verb} --" for verb in verbs)), strict=True):
        assert {flag for flag in verbs[verb] if flag.startswith("--")} <= words, verb


def test_bash_offers_paths(script, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "run.yaml").touch()
    found = offered(script, f"pats watch {tmp_path}/", f"pats run --config {tmp_path}/")
    assert found == [{f"{tmp_path}/runs"}, {f"{tmp_path}/runs", f"{tmp_path}/run.yaml"}]


def test_zsh_gets_the_help_too(capsys):
    assert main(["completion", "zsh"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("#compdef pats")
    # An apostrophe in a shell's quotes is five characters.
    said = told.replace("""'"'"'""", "\N{APOSTROPHE}")
    assert [verb for verb, summary in VERBS.items() if f"{verb}:'{summary}'" not in said] == []


@pytest.mark.parametrize("argv", [[], ["fish"]])
def test_a_shell_that_is_none(argv, capsys):
    assert main(["completion", *argv]) == 2
    assert capsys.readouterr().err.count("\n") == 1
