"""YAML files of ``--config``: keys and values of any kind, tags, anchors, merges, and what is no YAML."""

import pytest
import yaml
from hypothesis import strategies as st

from pats.cli import TOGETHER
from support.fuzzing.damage import TEXTS, bytes_of, values
from support.fuzzing.door import fuzzed
from support.fuzzing.stubs import without_training
from support.tiny_bert import make_table, make_tiny_bert

DOOR = "configurations"
KNOWN = ("subprocess.Popen",)  # git and lspci, which say where a run was made

SOUND = {
    "method": "pats",
    "lr": 1e-4,
    "epochs": 1,
    "batch_size": 8,
    "noise_budget": 0.05,
    "option": {"gamma": 0.01},
    "quiet": True,
    "betas": [0.9, 0.99],
    "max-length": 32,
}
STUDY = {
    "methods": ["vanilla", "pats"],
    "seeds": 1,
    "lr": 1e-4,
    "epochs": 1,
    "option": {"pats": {"gamma": 0.01}},
}
KEYS = (
    *(
        "lr",
        "epochs",
        "steps",
        "seed",
        "seeds",
        "methods",
        "method",
        "option",
        "task",
        "tasks",
        "data",
        "text",
        "label",
    ),
    *(
        "noise-budget",
        "scale",
        "lam",
        "p",
        "signed",
        "scope",
        "config",
        "json",
        "out",
        "precision",
        "space",
        "trials",
    ),
    *(
        "task_option",
        "fractions",
        "lr_grid",
        "baselines",
        "engine",
        "preset",
        "time-limit",
        "kind",
        "folds",
        "help",
    ),
)
ODD = (
    b"!!python/object/apply:os.system ['touch planted']",
    b"!!python/name:os.system",
    b"a: &a [x]\nb: *a\nlr: *a",
    b"a: &a {a: *a}",
    b"lr: &a [*a]",
    b"x: &x [l,l,l,l]\ny: &y [*x,*x,*x,*x]\nz: &z [*y,*y,*y,*y]\nw: [*z,*z,*z,*z]",
    b"<<: {lr: 3}\nlr: 1",
    b"<<: [1, 2]",
    b"? [a, b]\n: c",
    b"? {a: b}\n: c",
    b"lr: 2026-11-27",
    b"lr: 2026-13-99",
    b"lr: !!binary aGk=",
    b"lr: !!set {a, b}",
    b"lr: !!timestamp x",
    b"lr: !!int x",
    b"lr: !!float x",
    b"- a\n- b",
    b"--- {}\n--- {}",
    b"%YAML 9.9\n---\nlr: 1",
    b"lr: 1\nlr: 2",
    b"1: 2\nnull: 3\ntrue: 4\n1.5: x",
    b"lr: 0b11\nepochs: 0o17\nsteps: 1_000\nseed: 190:20:30",
    b"lr: .inf\nepochs: .nan",
    b"\xff\xfel\x00r\x00",
    b"lr:\t1",
    b"'" * 99,
    b"{" * 5000,
    b"[" * 5000,
    b"a: " * 2000,
    b"- " * 5000,
    b"",
    b"\0",
    b"~",
)


@st.composite
def documents(draw):
    """A file's bytes."""
    kind = draw(st.sampled_from(("keys", "keys", "keys", "edit", "odd", "bytes", "value")))
    sound = draw(st.sampled_from((SOUND, STUDY)))
    if kind == "odd":
        return draw(st.sampled_from(ODD)) + draw(st.sampled_from((b"", b"\nlr: 1e-4", b"\n...")))
    if kind == "bytes":
        return draw(bytes_of(yaml.safe_dump(sound).encode()))
    if kind == "value":
        return dumped(draw(values()))
    content = dict(sound)
    key = st.one_of(st.sampled_from(KEYS), st.sampled_from([*sound]), TEXTS, st.integers(-3, 3))
    for _ in range(draw(st.integers(1, 3))):
        content[draw(key)] = draw(values())
    if kind == "edit":
        content.pop(draw(st.sampled_from([*sound])), None)
    return dumped(content)


def dumped(content):
    text = yaml.safe_dump(content, allow_unicode=True)
    return text.encode("utf-8", errors="replace")


@pytest.fixture(scope="module")
def flags(door):
    model, table = make_tiny_bert(door.root / "bert"), make_table(door.root / "texts.csv", rows=60)
    return {
        verb: [
            "--data",
            str(table),
            "--model" if verb == "run" else "--models",
            str(model),
            "--out",
            str(door.out),
        ]
        for verb in TOGETHER
    }


@fuzzed(st.tuples(documents(), st.sampled_from(TOGETHER)))
def test_a_configuration_is_taken_or_refused(door, flags, tried):
    content, verb = tried
    path = door.root / "config.yaml"
    path.write_bytes(content)
    with without_training():
        door.command([verb, "--config", str(path), "--quiet", *flags[verb]])
