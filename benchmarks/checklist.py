"""Walk the steps of a release (docs/releasing.md) and say which are open.

    python -m benchmarks.checklist           # reads the checkout, in seconds
    python -m benchmarks.checklist --run     # also runs the commands of the steps, which take hours

The exit code is 1 where a step is open. Tagging and uploading stay with a person.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks import record
from benchmarks.claims import CLAIMS
from benchmarks.stale import state
from benchmarks.tables import rows_of

ROOT = record.ROOT


def version(root: Path) -> str:
    """The version in its one place."""
    found = re.search(r'^__version__ = "(.+)"$', (root / "src/pats/__init__.py").read_text("utf-8"), re.M)
    if found is None:
        raise SystemExit("src/pats/__init__.py has no line __version__ = ...")
    return found[1]


def notes(root: Path) -> str | None:
    """What CHANGELOG.md says of the version; None without a heading for it."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    found = re.search(rf"^## \[{re.escape(version(root))}\].*?$(.*?)(?=^## \[|\Z)", text, re.M | re.S)
    return found and found[1]


def committed(root: Path) -> Iterator[str]:
    """The checkout is ``main`` as it is committed."""
    branch = record.git("rev-parse", "--abbrev-ref", "HEAD")
    if branch != "main":
        yield f"the branch is {branch}: go to main"
    if changed := record.changes():
        yield f"not committed: {', '.join(line.split(maxsplit=1)[1] for line in changed.splitlines())}"


def versioned(root: Path) -> Iterator[str]:
    """One version, which is new, and which the changelog describes."""
    here = version(root)
    cited = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))["version"]
    if cited != here:
        yield f"CITATION.cff has version {cited}, src/pats/__init__.py {here}"
    if record.git("tag", "--list", f"v{here}"):
        yield f"the tag v{here} exists: choose the next version"
    if not (notes(root) or "").strip():
        yield f"CHANGELOG.md says nothing below a heading [{here}]: rename [Unreleased]"
    text = (root / "CHANGELOG.md").read_text("utf-8")
    waiting = re.search(r"^## \[Unreleased\]$(.*?)(?=^## \[|\Z)", text, re.M | re.S)
    if waiting and waiting[1].strip():
        yield f"CHANGELOG.md has entries below [Unreleased]: move them to [{here}]"


def recorded(root: Path) -> Iterator[str]:
    """Every result is as new as its code, or the changelog of the version names it."""
    told = notes(root) or ""
    for name in CLAIMS:
        if (found := state(name)) != "fresh" and f"{name}.json" not in told:
            yield f"{name}.json is {found}: make results RUN={name}, or name it in CHANGELOG.md"


def tried(root: Path) -> Iterator[str]:
    """The wheels and sources of this version ran in clean environments."""
    found, here = record.read("release"), version(root)
    if found is None or any(row["version"] != here for row in rows_of(found)):
        yield f"release.json is not of version {here}: make release"
    elif found.summary["wrong"]:
        yield f"release.json: {'; '.join(found.summary['wrong'])}"


@dataclass(frozen=True)
class Step:
    """What must be so, or what must pass."""

    name: str
    problems: Callable[[Path], Iterator[str]] | None = None
    command: str | None = None


STEPS = (
    Step("the checkout is main, committed", committed),
    Step("style, types and tests", command=".ci/run"),
    *(Step(name, command=f"make {name}") for name in ("soak", "fuzz", "sanitize")),
    Step("results are as new as their code, or named", recorded),
    Step("the documentation builds", command="make docs"),
    Step("one new version, described", versioned),
    Step("wheels and sources are built and tried", command="make release"),
    Step("what was tried is this version", tried),
)


def walk(steps: tuple[Step, ...], root: Path, run: bool) -> bool:
    """Print each step and what is open; returns whether nothing is."""
    done = True
    for step in steps:
        if step.problems is not None:
            open_ = [*step.problems(root)]
        elif run:
            code = subprocess.run(step.command or "", shell=True, cwd=root).returncode
            open_ = [f"{step.command} ended with exit code {code}"] if code else []
        else:
            open_ = [f"not run: {step.command}"]
        print(
            f"[{' ' if open_ else 'x'}] {step.name}", *(f"      {one}" for one in open_), sep="\n", flush=True
        )
        done = done and not open_
    return done


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", action="store_true", help="run the commands of the steps, too")
    if not walk(STEPS, ROOT, parser.parse_args().run):
        return 1
    print(f"Next: git tag v{version(ROOT)}, upload, and try the uploaded wheel after docs/quickstart.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
