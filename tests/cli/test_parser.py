"""Flags and the files of ``--config``."""

import pytest

from pats import InputError
from pats.cli import _parser
from support.run_flags import run_of


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
        _parser._as_flags(str(tmp_path / "x.yaml"))


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
        _parser._as_flags(str(tmp_path / "x.yaml"))


def test_a_config_without_a_path_is_one_sentence():
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        _parser._as_flags("a\0b")
