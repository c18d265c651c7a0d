"""Build the wheels and the sources of a release, and try each in a clean environment.

    python -m benchmarks.release                       # every Python from 3.11 that this machine has
    python -m benchmarks.release --pythons python3.11

The wheel with the C kernel must run on it. The wheel without it, and the sources where there is no compiler,
must run on torch. All must have one version and one noise stream, and end with nearly the same weights. An
environment has torch and the package alone: nothing of this checkout is on its path.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record

OLDEST = (3, 11)
TOLERANCE = 1e-3  # of how far a matrix moved; another seed of the noise moves one of them by 0.2 of it
ROOT = record.ROOT

TRIAL = """
import json, torch, pats, pats.kernels
torch.manual_seed(0)
layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
start = [p.detach().double() for p in model.parameters()]
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
handle = pats.perturb(optimizer, model, pats.Noise(steps=5))
for step in range(5):
    torch.manual_seed(step)
    model(torch.randn(4, 6, 16)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
moved = [p.detach().double() - before for p, before in zip(model.parameters(), start)]
weights = [[float(one.mean()), float(one.square().mean().sqrt())] for one in moved]
noise = max(row["noise_rms"] for row in handle.stats().values())
found = {"version": pats.__version__, "torch": torch.__version__, "path": pats.kernels.info().path}
word = int(pats.philox.words(0, "a", 1, 0, 1)[0])
print(json.dumps(found | {"word": word, "noise": noise, "weights": weights}))
"""


def pythons() -> Iterator[str]:
    """The interpreters from ``OLDEST`` that this machine has, one a version."""
    seen = set()
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin"))
    for path in (path for folder in folders for path in sorted(folder.glob("python3.*"))):
        found = re.fullmatch(r"python(3)\.(\d+)", path.name)
        if not found or (version := (int(found[1]), int(found[2]))) < OLDEST or version in seen:
            continue
        if subprocess.run([str(path), "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
            seen.add(version)
            yield str(path)


def supported() -> list[str]:
    """The versions of Python that the package names."""
    text = (ROOT / "pyproject.toml").read_text()
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def pinned(package: str) -> str:
    """A package with its version in ``constraints.txt``, whose other pins are for one Python."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def clean() -> dict[str, str]:
    """The variables without those of Python and of PATS, which could put this checkout on the path."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PATS_"))}


def run(command: Sequence[str | Path], **more: Any) -> str:
    """What a command prints.

    Args:
        command: Its words.
        more: As of ``subprocess.run``; ``env`` holds variables beside the clean ones.

    Raises:
        SystemExit: It failed.
    """
    environment = {**clean(), **more.pop("env", {})}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    told: str = done.stdout
    return told


def environment(folder: Path, python: str, packages: Sequence[str], **more: Any) -> Path:
    """A new environment with some packages; returns its interpreter."""
    run([python, "-m", "venv", folder])
    inside = folder / "bin" / "python"
    pip = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, *packages], **more)
    return inside


def build(python: str, work: Path) -> dict[str, Path]:
    """The sources, the wheel of this Python with the kernel, and the wheel without it."""
    builder = environment(work / "builder", python, ["build"])
    made = {}
    for kind, flags, more in (
        ("sources", ["--sdist"], {}),
        ("kernel", ["--wheel"], {"PATS_REQUIRE_KERNEL": "1"}),
        ("pure", ["--wheel"], {"PATS_WITHOUT_KERNEL": "1"}),
    ):
        out = work / kind
        run([builder, "-m", "build", *flags, "--outdir", out, ROOT], env=more)
        shutil.rmtree(
            ROOT / "build", ignore_errors=True
        )  # a kernel that lies there would get into the pure wheel
        (made[kind],) = out.iterdir()
    return made


def without_compiler(work: Path) -> dict[str, str]:
    """Variables with which no compiler is found."""
    empty = work / "no-compiler"
    empty.mkdir(exist_ok=True)
    return {"PATH": str(empty), "CC": str(empty / "cc")}


def tried(python: Path, folder: Path) -> dict[str, Any]:
    """What the trial found in an environment, away from this checkout."""
    script = folder / "trial.py"
    script.write_text(TRIAL)
    found: dict[str, Any] = json.loads(run([python, "-W", "ignore", script], cwd=folder).splitlines()[-1])
    found["shown"] = run([python.with_name("pats"), "--version"], cwd=folder).strip()
    return found


def rows_of(python: str) -> Iterator[dict[str, Any]]:
    """Build with a Python and try all that was built."""
    with tempfile.TemporaryDirectory(prefix="pats-release-") as name:
        work = Path(name)
        made = build(python, work)
        # torch once: the packages are put in and taken out again.
        inside = environment(work / "clean", python, [pinned("torch"), "setuptools>=77"])
        pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        for kind, expected in (("kernel", "cpu"), ("pure", "eager"), ("sources", "eager")):
            bare = {"env": without_compiler(work)} if kind == "sources" else {}
            isolation = ["--no-build-isolation"] if kind == "sources" else []
            run([*pip, "install", "--no-deps", "--force-reinstall", *isolation, str(made[kind])], **bare)
            found = tried(inside, work)
            run([*pip, "uninstall", "-y", "pats-finetune"])
            yield {
                "python": run([inside, "-c", "import platform; print(platform.python_version())"]).strip(),
                "what": kind,
                "file": made[kind].name,
                "expected_path": expected,
                **found,
            }


def faults(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with the trials, in words."""
    found, first = [], rows[0]
    for row in rows:
        name = f"{row['what']} on Python {row['python']}"
        if row["path"] != row["expected_path"]:
            found.append(f"{name} runs on {row['path']}, not on {row['expected_path']}")
        if not row["noise"] > 0:
            found.append(f"{name} adds no noise")
        if row["word"] != first["word"] or row["version"] != first["version"]:
            found.append(f"{name} has another version, or another stream")
        pairs = zip(row["weights"], first["weights"], strict=True)
        if not all(abs(ours - theirs) <= TOLERANCE * far for (ours, _), (theirs, far) in pairs):
            found.append(f"{name} ends with other weights")
    return found


def main() -> int:
    """Build, try, tell and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pythons", nargs="+", metavar="PYTHON", help="(default: all that are there)")
    asked = parser.parse_args()
    recording = record.start("release")
    rows = []
    for python in asked.pythons or pythons():
        for row in rows_of(python):
            rows.append(row)
            print(f"Python {row['python']}, {row['what']}: {row['shown']} ({row['file']})", flush=True)
    wrong = faults(rows)
    for fault in wrong:
        print(f"wrong: {fault}", file=sys.stderr)
    untested = [
        f"3.{minor}"
        for minor in range(OLDEST[1], 15)
        if not any(r["python"].startswith(f"3.{minor}.") for r in rows)
    ]
    recording.put(
        [{key: value for key, value in row.items() if key != "weights"} for row in rows],
        key=["python", "what"],
        summary={"wrong": wrong, "untested": untested},
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
