"""Flags and the files of ``--config``."""

import os

import pytest

from pats import InputError
from pats.cli._config import as_flags
from support.run_flags import run_of

MERGED = "a0: &a0 {" + ", ".join(f"k{i}: {i}" for i in range(8)) + "}\n"
MERGED += "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 8)}]}}\n" for i in range(1, 10))


def test_config_file_and_flags_that_win(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "task: rte\nlr: 3e-4\nscale: constant\nlam: 1e-6\nbetas: [0.8, 0.9]\noption:\n  pats.kappa: none\n"
    )
    made = run_of("--config", str(path), "--lr", "1e-5")
    assert (made.lr, made.betas) == (1e-5, (0.8, 0.9))
    assert made.options == {"scale": "constant", "lam": 1e-6, "kappa": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tusk: rte", "unknown key 'tusk'"),
        ("lr: fast", "'fast' is not a number"),
        ("- rte", "must hold lines such as"),
        ("a: [", "is no YAML"),
        ("lr: !!int x", "is no YAML"),
        ("lr: !!float x", "is no YAML"),
        ("lr: !!bool x", "is no YAML"),
        ("lr: !!timestamp x", "is no YAML"),
        ("lr: 2026-13-99", "is no YAML"),
        ("lr: 1e-4\nseed: 1\nlr: 1e-5\n", "the key 'lr' is there twice"),
        (f"seed: 0x{'f' * 9000}", "has too many digits"),
        ("#" * (1 << 20) + "\nlr: 1", "larger than 1 MB"),
        (MERGED, "more than 1000 keys are merged"),
        ("".join(f"k{i}: 1\n" for i in range(1001)), "has the unknown key 'k0'"),
        ("lr: !!python/name:os.system", "is no YAML"),
    ],
)
def test_bad_config_file(tmp_path, text, said):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        run_of("--config", str(path))


@pytest.mark.parametrize("depth", [10, 10_000])
@pytest.mark.parametrize("text", ["option: {open}1{close}", "space: {{a: {open}1{close}}}"])
def test_a_config_that_is_nested_deeply_is_one_sentence(tmp_path, text, depth):
    (tmp_path / "x.yaml").write_text(text.format(open="[" * depth, close="]" * depth))
    with pytest.raises(InputError, match=r"nested too deeply: settings are"):
        as_flags(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "option: &a [*a]",
        "option: &a {x: *a}",
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in ("ab", "bc", "cd", "de", "ef")),
    ],
    ids=["a list in itself", "a mapping in itself", "a list of lists of lists"],
)  # fmt: skip
def test_a_config_that_holds_itself_is_one_sentence(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=r"nested too deeply: settings are"):
        as_flags(str(tmp_path / "x.yaml"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(InputError, match="is a folder, a pipe or a device"):
        as_flags(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize("flag", ["task", "data", "model", "config"])
def test_an_empty_value_is_one_sentence(tmp_path, flag):
    with pytest.raises(InputError, match=f"--{flag} is empty: give it a value, or leave it out"):
        run_of(f"--{flag}", "")
    if flag == "config":
        return
    (tmp_path / "x.yaml").write_text(f"{flag}: ''")
    with pytest.raises(InputError, match=f"--{flag} is empty"):
        run_of("--config", str(tmp_path / "x.yaml"))


def test_a_config_without_a_path_is_one_sentence():
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        as_flags("a\0b")
