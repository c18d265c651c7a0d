"""Command lines: every verb with flags that are right, wrong, doubled, without a value, or none at all."""

import argparse
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import strategies as st

from pats.cli import TOGETHER, VERBS
from pats.cli._parser import DESCRIBE, Described
from support.fuzzing.damage import HOSTILE, TEXTS, WORDS
from support.fuzzing.door import Fault, fuzzed
from support.fuzzing.guard import tree
from support.fuzzing.stubs import without_training
from support.fuzzing.studies import Kept
from support.tiny_bert import make_table, make_tiny_bert

DOOR = "command lines"
GOLDEN = Path(__file__).parents[1] / "golden" / "study"
KNOWN = ("subprocess.Popen",)  # git and lspci, which say where a run was made

NUMBERS = (
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "1e-4",
    "1e400",
    "nan",
    "inf",
    "-0",
    "1.5",
    "9" * 30,
    "1e-400",
    "0x1",
    "",
    "١",
)
SOUND = ("1", "2", "3", "8", "64")
NAMES = (
    *(
        "pats",
        "vanilla",
        "pats-paper",
        "noisytune+pats",
        "majority",
        "tfidf",
        "none",
        "std=pats",
        "a=b=c",
        "+",
        "pats+",
    ),
    *(
        "os:system",
        "evil:Cls",
        "rte",
        "cola",
        "grammar",
        "minilm",
        "paper",
        "table",
        "ray",
        "slurm",
        "local",
        "random",
    ),
    *(
        "MODEL",
        "TABLE",
        "OUT",
        "STUDY",
        "./nowhere",
        "text",
        "label",
        "lam=1e-6",
        "pats.lam=1e-6",
        "lam=1e-6..1e-4",
    ),
)


def described(verb):
    """The flags of a verb, from its own parser."""
    try:
        import_module(f"pats.cli.{verb.replace('-', '_')}").main(DESCRIBE)
    except Described as told:
        return [one for one in told.parser._actions if not isinstance(one, argparse._HelpAction)]
    raise AssertionError(verb)


ACTIONS = {verb: described(verb) for verb in VERBS if verb != "env"}
ACTIONS["env"] = []


def values_of(action):
    """Values for a flag: mostly such as it takes, and others."""
    odd = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(NAMES), TEXTS, st.sampled_from(HOSTILE))
    if action.choices:
        return st.one_of(st.sampled_from([*map(str, action.choices)]), odd)
    if action.type is not None:
        return st.one_of(st.sampled_from(SOUND), st.sampled_from(SOUND), st.sampled_from(NUMBERS), odd)
    return st.one_of(st.sampled_from(NAMES), odd)


@st.composite
def given(draw, action):
    """A flag with its values, or too many, too few, or in one word."""
    values = [] if action.nargs == 0 else draw(st.lists(values_of(action), min_size=1, max_size=1))
    if action.nargs in ("+", "*", 2) or draw(st.integers(0, 9)) == 0:
        values += draw(st.lists(values_of(action), max_size=2))
    if draw(st.integers(0, 14)) == 0:
        values = []
    if not action.option_strings:
        return values
    flag = draw(st.sampled_from(action.option_strings))
    if draw(st.integers(0, 24)) == 0:
        flag = flag[:-1] if draw(st.booleans()) else flag + draw(st.sampled_from(("s", "=", "=x", "\0")))
    if len(values) == 1 and draw(st.integers(0, 3)) == 0:
        return [f"{flag}={values[0]}"]
    return [flag, *values]


def base(verb):
    """What a verb needs to come far."""
    if verb in ("run", "check", "bench"):
        data = [] if verb == "bench" else ["--data", "TABLE"]
        return [*data, "--model", "MODEL", *(["--out", "OUT"] if verb == "run" else []), "--quiet"]
    if verb in TOGETHER:
        return [
            "--data",
            "TABLE",
            "--models",
            "MODEL",
            "--out",
            "OUT",
            "--quiet",
            "--seeds",
            "1",
            "--lr",
            "1e-4",
        ]
    return {
        "inspect": ["TABLE"],
        "predict": ["SIMPLE", "TABLE", "--out", "OUT/x.csv", "--quiet"],
        "serve": ["SIMPLE", "--port", "0"],
        "explain": ["TRAINED", "--text", "a", "--out", "OUT/x.html"],
        "export-onnx": ["TRAINED", "--out", "OUT/x.onnx"],
        "watch": ["STUDY", "--once"],
        "report": ["STUDY", "--out", "OUT"],
        "sensitivity": ["MODEL", "--data", "TABLE", "--out", "OUT"],
        "export": ["STUDY", "OUT/x.csv"],
        "completion": ["bash"],
    }.get(verb, [])


@st.composite
def lines(draw):
    verb = draw(st.sampled_from([*VERBS, *TOGETHER, *TOGETHER]))
    words = base(verb) if draw(st.integers(0, 5)) else []
    for _ in range(draw(st.integers(0, 4))):
        if ACTIONS[verb] and draw(st.integers(0, 9)):
            words += draw(given(draw(st.sampled_from(ACTIONS[verb]))))
        else:
            words.append(
                draw(st.one_of(st.sampled_from(HOSTILE), st.sampled_from(("-h", "--help", "--", "-")), WORDS))
            )
    if draw(st.integers(0, 30)) == 0:
        verb = draw(TEXTS)
    if draw(st.integers(0, 30)) == 0:
        words = draw(st.lists(TEXTS, max_size=3))
    return [verb, *words]


@pytest.fixture(scope="module")
def things(door):
    """What the words in capitals stand for."""
    from pats.cli import main

    inputs = door.root / "inputs"
    make_tiny_bert(inputs / "bert")
    table = make_table(inputs / "texts.csv", rows=60)
    shutil.copytree(GOLDEN / "out", inputs / "study")
    fitted = inputs / "fit"
    assert main(["run", "--data", str(table), "--method", "tfidf", "--quiet", "--out", str(fitted)]) == 0
    named = {
        "MODEL": inputs / "bert",
        "TABLE": table,
        "OUT": door.out,
        "SIMPLE": fitted / "model",
        "TRAINED": inputs / "study" / "model",
        "STUDY": inputs / "study",
    }
    return {word: str(path) for word, path in named.items()}, Kept(inputs)


@fuzzed(lines())
def test_a_command_line_is_done_or_refused(door, things, tried):
    named, kept = things
    words = []
    for word in tried:
        head, slash, rest = word.partition("/")
        words.append(named[head] + slash + rest if head in named else word)
    if any(word.startswith("OUT/") for word in tried):
        door.out.mkdir()
    before = tree(kept.folder)
    try:
        with without_training():
            door.command(words, [kept.folder])
        # Some verbs write beside what they read, or complete the study; none changes it.
        if {path: one for path, one in tree(kept.folder).items() if path in before} != before:
            raise Fault("an input was changed")
    finally:
        kept.put_back()
