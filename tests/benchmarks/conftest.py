import subprocess

import pytest

from benchmarks import checklist, collect, record, stale
from benchmarks.claims import Claim
from pats.run import environment
from pats.run.result import Epoch, Result
from pats.run.spec import Run

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
    for module in (record, stale, checklist):
        monkeypatch.setattr(module, "CLAIMS", {"two": CLAIM})
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    return Checkout(tmp_path)


@pytest.fixture
def study(checkout, monkeypatch):
    """Writes a finished run of a seed into a folder of ``out``; returns its id."""
    monkeypatch.setattr(collect, "CLAIMS", record.CLAIMS)
    monkeypatch.setattr(collect, "FOLDERS", checkout.root / "out")
    monkeypatch.setattr("sys.argv", ["collect", "two"])
    here = environment.describe(environment.device(), False)

    def write(seed, hour, folder="two", dirty=False, commit=None, method="pats"):
        run = Run(task="cola", method=method).with_seed(seed)
        state = {"commit": commit or record.git("rev-parse", "HEAD"), "dirty": dirty}
        result = Result(
            run,
            run.id,
            "done",
            "matthews",
            tuple(
                Epoch(n + 1, n, 0.5, {"matthews": score}) for n, score in enumerate((0.25, 0.5 + seed / 10))
            ),
            1,
            telemetry={"query": {"noise_over_weight": 0.1}, "key": {"noise_over_weight": 0.3}},
            timings={"total": 9.0},
            environment={**here, "time": f"2026-11-24T{hour:02}:00:00+00:00", "git": state},
        )
        path = checkout.root / "out" / folder / "runs" / run.id / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(result.to_json())
        return run.id

    return write
