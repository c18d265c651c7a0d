"""Nothing that users call has vanished, by its name, its parameters, its flags and its exit codes.

``golden/surface.json`` says what there was; more may come. ``python tests/golden/make_surface.py`` writes it
anew.
"""

import importlib
import inspect
import json
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import pats.methods
from pats.cli import main

GOLDEN = Path(__file__).parents[1] / "golden" / "surface.json"

# Modules, and the names in them that are for everybody; None is all of ``__all__``.
PUBLIC = {
    "pats": None,
    "pats.optim": None,
    "pats.optim.reference": ["PATSAdamax"],
    "pats.hf": ["NoiseSteps", "optimizer_cls_and_kwargs"],
    "pats.philox": ["draw", "words"],
    "pats.kernels": ["Info", "info"],
    "pats.methods": ["Method"],
}

# What ends with which exit code, of commands that train nothing.
COMMANDS = {
    "": 0,
    "help": 0,
    "--help": 0,
    "--version": 0,
    "run --help": 0,
    "fly": 2,
    "run": 2,
    "run --task rte": 2,
    "run --task colla --out out": 2,
    "run --lr fast": 2,
    "run --fly": 2,
    "run --config nowhere.yaml": 2,
    "run --data nowhere.csv --out out": 2,
    "compare": 2,
    "compare --task grammar --seeds 0": 2,
    "compare --task grammar --method vanila": 2,
    "sweep": 2,
    "data-size": 2,
    "sensitivity": 2,
    "check --task rte --p 2": 2,
    "bench --rounds 0": 2,
    "predict nowhere nowhere.csv": 2,
    "watch nowhere": 2,
    "report nowhere": 2,
    "export nowhere runs.csv": 2,
}


def plain(value):
    """A default as a text; of an object that may gain fields, how it is made."""
    made_so = is_dataclass(value) and value == type(value)()
    return f"{type(value).__name__}()" if made_so else repr(value)


def parameters(thing):
    """Kind and default of every parameter, in order."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return {}
    return {
        name: [one.kind.name, None if one.default is one.empty else plain(one.default)]
        for name, one in inspect.signature(thing).parameters.items()
    }


def names():
    """Of every public module, its names; of what can be called, the parameters."""
    found = {}
    for name, chosen in PUBLIC.items():
        module = importlib.import_module(name)
        values = {one: getattr(module, one) for one in chosen or sorted(module.__all__)}
        found[name] = {one: parameters(value) if callable(value) else {} for one, value in values.items()}
    return found


def options():
    """The options of every method."""
    return {name: parameters(method.Options) for name, method in pats.methods.registry().items()}


def code_of(argv):
    """The exit code of a command."""
    try:
        return main(argv)
    except SystemExit as done:
        return done.code or 0


def help_of(words, capsys):
    """What a command's help says, each flag with its words on one line."""
    assert code_of([*words, "--help-all" if words else "--help"]) == 0
    return re.sub(r"\n {3,}", "  ", capsys.readouterr().out).splitlines()


def verbs(capsys):
    return [found[1] for line in help_of([], capsys) if (found := re.match(r"  ([a-z][a-z-]+) ", line))]


def flags(verb, capsys):
    """Positional arguments and flags of a verb, and the defaults that its help tells in one word."""
    found = {}
    for line in help_of([verb], capsys):
        head = re.split(" {2,}", line.strip())[0]
        default = re.search(r"default: ([\w.+-]+)\)", line)
        if line.startswith("  ") and re.match("-|[A-Z]+$", head):
            for name in re.findall(r"(?<![\w-])--[a-z][\w-]*|^[A-Z]+$", head):
                found[name] = default and default[1]
    return found


def surface(capsys):
    return {
        "names": names(),
        "options": options(),
        "verbs": {verb: flags(verb, capsys) for verb in verbs(capsys)},
    }


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def called_as_before(found, recorded):
    """Whether what calls the recorded parameters calls these."""
    kept = {name: found.get(name) for name in recorded}
    placed = [name for name, (kind, _) in recorded.items() if kind not in ("KEYWORD_ONLY", "VAR_KEYWORD")]
    added = [default for name, (kind, default) in found.items() if name not in recorded and "VAR" not in kind]
    return kept == recorded and list(found)[: len(placed)] == placed and None not in added


@pytest.mark.parametrize("module", PUBLIC)
def test_names_and_parameters_stay(golden, module):
    found, recorded = names()[module], golden["names"][module]
    assert set(recorded) <= set(found)
    assert [name for name, one in recorded.items() if not called_as_before(found[name], one)] == []


def test_the_methods_options_stay(golden):
    found, recorded = options(), golden["options"]
    assert set(recorded) <= set(found)
    assert [name for name, one in recorded.items() if not one.items() <= found[name].items()] == []


def test_verbs_and_flags_stay(golden, capsys):
    found = surface(capsys)["verbs"]
    assert set(golden["verbs"]) <= set(found)
    for verb, recorded in golden["verbs"].items():
        assert set(recorded) <= set(found[verb]), verb
        changed = {name: found[verb][name] for name, default in recorded.items() if default is not None}
        assert changed.items() <= recorded.items(), verb


@pytest.mark.parametrize("command", COMMANDS)
def test_exit_codes_stay(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    code, told = code_of(command.split()), capsys.readouterr()
    assert code == COMMANDS[command]
    assert told.err.count("\n") == (1 if code else 0)
    assert bool(told.out) == (code == 0)
    assert list(tmp_path.iterdir()) == []
