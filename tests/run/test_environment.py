import subprocess

import pytest

from pats.run import environment

CHANGED = {
    "nothing": (None, False),
    "the package": ("src/pats/new.py", True),
    "a result file": ("a.json", False),
}


@pytest.mark.parametrize(("name", "expected"), CHANGED.values(), ids=CHANGED)
def test_the_git_state_is_that_of_the_package(tmp_path, monkeypatch, name, expected):
    package = tmp_path / "src" / "pats"
    (package / "run").mkdir(parents=True)
    (package / "__init__.py").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(environment, "__file__", str(package / "run" / "environment.py"))
    if name is not None:
        (tmp_path / name).touch()
    state = environment.git_state()
    assert len(state["commit"]) == 40
    assert state["dirty"] is expected
