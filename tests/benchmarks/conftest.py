import subprocess

import pytest

from benchmarks import record, stale
from benchmarks.claims import Claim

CLAIM = Claim(
    "two is more than one", ("python -m pytest -m soak tests/soak/test_two.py",), ("code", "two.py"), 1
)


class Checkout:
    """A checkout of its own, whose one claim is called two."""

    def __init__(self, root):
        self.root = root
        self.git("init", "-q")
        self.write("code/one.py", "1\n")
        self.write("two.py", "2\n")
        self.write("README.md", "two\n")
        self.write(".gitignore", "/out/\n")
        self.commit()

    def git(self, *arguments):
        name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", str(self.root), *name, *arguments], check=True, capture_output=True)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "as it is")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.delenv(record.TRY, raising=False)
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setattr(record, "RESULTS", tmp_path / "benchmarks" / "results")
    monkeypatch.setattr(record, "TRIED", tmp_path / "out" / "results")
    for module in (record, stale):
        monkeypatch.setattr(module, "CLAIMS", {"two": CLAIM})
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    return Checkout(tmp_path)
