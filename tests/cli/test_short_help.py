"""``--help``: at once, from a page that is what the parser says."""

import subprocess
import sys

import pytest

from pats.cli import VERBS, _short_help, main

LONGEST = 70  # lines


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_is_made_from_the_parser(verb):
    text = (_short_help.FOLDER / f"{verb}.txt").read_text("utf-8")
    assert text == _short_help.render(verb), "run python tests/golden/make_help.py"
    assert len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("verb", ["compare", "predict"])
def test_help_imports_no_torch(verb):
    code = f"""
import sys
from pats.cli import main
try:
    main([{verb!r}, "--help"])
except SystemExit as ended:
    sys.exit(ended.code or any(name in sys.modules for name in ("torch", "numpy", "rich")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (_short_help.FOLDER / f"{verb}.txt").read_text("utf-8")


def test_all_flags_are_in_the_long_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["compare", "--help-all"])
    out = capsys.readouterr().out
    assert "--smart-radius-mode" in out
    assert "--help-all" not in out


def test_a_method_that_was_added_is_in_the_help(monkeypatch, tmp_path):
    (tmp_path / "mine.py").touch()
    monkeypatch.setattr(_short_help, "METHODS", tmp_path)
    monkeypatch.setattr(_short_help, "render", lambda verb: f"made for {verb}")
    monkeypatch.delitem(sys.modules, "pats.methods", raising=False)
    assert "--smart-radius-mode" in _short_help.page("compare")
    assert "--smart-radius-mode" not in _short_help.page("env")
