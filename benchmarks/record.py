"""The only writer of ``benchmarks/results``: rows, and what each of them was measured on.

    recording = record.start("step")        # first of all: refuses a checkout with changes
    ...
    recording.put(rows, key=("shapes", "threads"))

Rows take the place of earlier ones of equal key. ``PATS_TRY=1`` tries a benchmark out, on a checkout with
changes too; its rows go to ``out/results``. ``PATS_COMMIT`` then names the commit of a copy without git.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypedDict

from benchmarks.claims import CLAIMS
from pats import kernels
from pats._schema import Misfit, build, parse
from pats.run import environment
from pats.run.folder.files import write_atomic

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TRIED = ROOT / "out" / "results"
TRY = "PATS_TRY"
COMMIT = "PATS_COMMIT"
SWAY = ("PATS_", "RAY_worker", "OMP_NUM_THREADS")  # variables that change what is measured
GLUE = "PATS_GLUE"  # names the folder of GLUE, which commands call GLUE

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    system: str | None = None
    cpu: str | None = None
    cores: int | None = None
    memory_gb: float | None = None
    gpu: str | None = None


@dataclass(frozen=True)
class Origin:
    """What rows were measured with; None is what was not recorded.

    Args:
        command: What was typed.
        date: When it began, or the day.
        commit: Of the code.
        dirty: Whether that code had changes which are in no commit.
        sources: Hash of the files that the claim depends on, see ``fingerprint``.
        machine: Where.
        versions: Of Python and of packages.
        conditions: What else may sway the numbers: threads, precision, load.
        note: What has no other place.
    """

    command: str | None = None
    date: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    sources: str | None = None
    machine: Machine = Machine()
    versions: Mapping[str, str | None] = field(default_factory=dict)
    conditions: Mapping[str, Plain] = field(default_factory=dict)
    note: str | None = None


class Row(TypedDict):
    """What was found, under names of the claim's own, and the place of its origin among the file's."""

    origin: int | None


@dataclass(frozen=True)
class Results:
    """A result file.

    Args:
        schema: Version of this format.
        claim: What the file shows.
        settings: What all rows have in common.
        summary: What is found over all rows.
        rows: What was found.
        origins: What the rows were measured with.
    """

    schema: Literal[1]
    claim: str
    rows: tuple[Row, ...]
    origins: tuple[Origin, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Every row has an origin of the file, unless which one was not recorded; every origin has a row."""
        used = {row["origin"] for row in self.rows}
        if not used <= {None, *range(len(self.origins))}:
            raise ValueError("a row's origin is not among the origins")
        if None not in used and used != {*range(len(self.origins))}:
            raise ValueError("an origin has no row")


def read(name: str, folder: Path | None = None) -> Results | None:
    """A result file; None where there is none."""
    path = (folder or RESULTS) / f"{name}.json"
    try:
        return build(Results, parse(path.read_bytes()))
    except FileNotFoundError:
        return None
    except Misfit as misfit:
        raise SystemExit(f"{path} is no result file: {misfit}") from None


def origin_of(row: Row, results: Results) -> Origin:
    """A row's origin; an empty one where which it is was not recorded."""
    return Origin() if row["origin"] is None else results.origins[row["origin"]]


def git(*arguments: str) -> str:
    """What git says of the checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks need a git checkout, and git says: {done.stderr.strip()}")
    return done.stdout.strip()


def changes() -> str:
    """Files that differ from the commit, results apart."""
    return git("status", "--porcelain", "--", ".", f":!{RESULTS.relative_to(ROOT)}")


def fingerprint(name: str, commit: str = "HEAD") -> str:
    """Hash of the contents of the files that a claim depends on; where they are does not matter."""
    listed = git("ls-tree", "-r", commit, "--", *CLAIMS[name].sources).splitlines()
    contents = sorted(line.split()[2] for line in listed)
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


def described(told: Mapping[str, Any], name: str, command: str) -> Origin:
    """The origin that a run's own environment tells."""
    state = told.get("git") or {}
    commit = state.get("commit")
    known = commit and git("rev-list", "--ignore-missing", "--max-count=1", commit)
    return Origin(
        command,
        told["time"],
        commit,
        state.get("dirty"),
        fingerprint(name, known) if known else None,
        Machine(told["system"], told["cpu"], told["cores"], gpu=told.get("accelerator")),
        {"python": told["python"], **told["packages"]},
        {key: told[key] for key in ("threads", "processes", "precision") if key in told},
    )


def here(name: str, packages: Sequence[str] = (), **conditions: Plain) -> Origin:
    """The origin of what this process measures."""
    told = environment.describe(environment.device(), False)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Origin(
        typed(name),
        told["time"],
        (os.environ.get(TRY) and os.environ.get(COMMIT)) or git("rev-parse", "HEAD"),
        bool(changes()),
        fingerprint(name),
        Machine(told["system"], told["cpu"], told["cores"], round(memory / 2**30, 1), told["accelerator"]),
        {"python": told["python"], **told["packages"], **{package: version(package) for package in packages}},
        {"kernel": str(kernels.info()), "load": round(os.getloadavg()[0], 1), **conditions},
    )


def typed(name: str) -> str:
    """The command of this process, with the variables that sway it, and without a folder of this machine."""
    script = Path(sys.argv[0])
    words = [
        "GLUE" if before == "--data" else word for before, word in zip(sys.argv, sys.argv[1:], strict=False)
    ]
    own = script.parent == ROOT / "benchmarks"
    command = (
        f"python -m benchmarks.{shlex.join([script.stem, *words])}" if own else CLAIMS[name].commands[-1]
    )
    sway = [
        f"{key}={value}"
        for key, value in sorted(os.environ.items())
        if key.startswith(SWAY) and key not in (TRY, GLUE, COMMIT) and not command.startswith(f"{key}=")
    ]
    return " ".join([*sway, command])


@dataclass(frozen=True)
class Recording:
    """Writes the rows of one claim."""

    name: str
    origin: Origin

    def put(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        key: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        origins: Sequence[Origin] | None = None,
    ) -> None:
        """Put rows into the claim's file.

        Args:
            rows: What was found.
            key: Names of a row's values; earlier rows that differ in them stay, unless the settings differ.
                Without names no earlier row stays.
            settings: What all rows have in common.
            summary: What is found over all rows.
            origins: Each row's, where it is not this process's.
        """
        trying = bool(os.environ.get(TRY))
        given = [*origins] if origins is not None else [self.origin] * len(rows)
        moved = not trying and (git("rev-parse", "HEAD") != self.origin.commit or bool(changes()))
        folder = TRIED if trying or moved else RESULTS
        TRIED.mkdir(parents=True, exist_ok=True)
        with (TRIED / ".lock").open("w") as lock:  # two may run at a time
            fcntl.flock(lock, fcntl.LOCK_EX)
            held: dict[str, tuple[Mapping[str, Any], Origin]] = {}
            before = read(self.name, folder) if key else None
            if before is not None and before.settings == json.loads(json.dumps(settings or {})):
                held = {_key(row, key): (row, origin_of(row, before)) for row in before.rows}
            for number, (row, origin) in enumerate(zip(rows, given, strict=True)):
                held[_key(row, key) if key else str(number)] = row, origin
            path = folder / f"{self.name}.json"
            write_atomic(path, text(CLAIMS[self.name].claim, [*held.values()], settings, summary).encode())
        where = os.path.relpath(path, ROOT)
        print(f"{len(rows)} rows in {where}")
        if moved:
            raise SystemExit(
                f"the checkout changed while {self.name} was measured, so its rows are in "
                f"{where} alone: measure again on one commit without changes"
            )


def start(name: str, packages: Sequence[str] = (), **conditions: Plain) -> Recording:
    """Begin to measure a claim.

    Args:
        name: Of the claim, and of its file.
        packages: Those whose versions matter, beside torch and transformers.
        conditions: What else may sway the numbers.

    Raises:
        SystemExit: The checkout has changes: its numbers could not be found again.
    """
    changed = changes()
    if changed and not os.environ.get(TRY):
        raise SystemExit(
            f"{name} is measured on a commit without changes, but {changed.splitlines()[0][2:].strip()} has "
            f"some: commit first, or set {TRY}=1 to try it out, which writes to {TRIED.relative_to(ROOT)}"
        )
    return Recording(name, here(name, packages, **conditions))


def text(
    claim: str,
    rows: Sequence[tuple[Mapping[str, Any], Origin]],
    settings: Mapping[str, Any] | None,
    summary: Mapping[str, Any] | None,
) -> str:
    """A result file's content; rows of equal origin share it."""
    origins: list[Origin] = []
    numbered = []
    for row, origin in rows:
        if origin not in origins:
            origins.append(origin)
        numbered.append({**row, "origin": origins.index(origin)})
    content = {
        "schema": 1,
        "claim": claim,
        "settings": settings or {},
        "summary": summary or {},
        "rows": numbered,
        "origins": [dataclasses.asdict(origin) for origin in origins],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _key(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return json.dumps([row[name] for name in names])
