"""What the pinned packages bring: known vulnerabilities, and licences.

    python -m benchmarks.packages        # `make lint` runs it

Vulnerabilities are asked of pip-audit for the pins of `constraints.txt`. Where its service cannot be reached,
a line says so and nothing fails. The licence of every installed package must be in `licences.toml`, or the
package among its exceptions, each with a reason.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ALLOWED = Path(__file__).with_name("licences.toml")
PATIENCE = 120  # seconds
UNREACHED = ("ConnectionError", "ServiceError", "Max retries", "NewConnectionError", "timed out", "HTTPError")

AUDIT = (
    *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt")),
    *("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json", "--timeout", "10"),
)
LICENCES = (str(Path(sys.executable).with_name("pip-licenses")), "--format", "json")


def vulnerable(command: Sequence[str] = AUDIT) -> tuple[list[str], str | None]:
    """Faults, and a line where nothing could be asked."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return [], f"pip-audit: no answer in {PATIENCE} s, nothing was checked"
    if not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if any(word in done.stderr for word in UNREACHED):
            return (
                [],
                f"pip-audit: the vulnerability service cannot be reached, nothing was checked ({last:.80})",
            )
        return [f"pip-audit failed: {last}"], None
    found = json.loads(done.stdout)["dependencies"]
    return [
        f"{one['name']} {one['version']} has {flaw['id']} (mended in {', '.join(flaw['fix_versions'])})"
        for one in found
        for flaw in one.get("vulns", ())
    ], None


def unlicensed(packages: Sequence[Mapping[str, str]], allowed: Mapping[str, Any]) -> list[str]:
    """Packages with a licence that is not allowed, and without a reason."""
    odd = {
        one["Name"]: one["License"]
        for one in packages
        if not all(part in allowed["licences"] for part in re.split(r" AND | OR |; ", one["License"]))
    }
    exceptions = allowed["exceptions"]
    return [
        f"{name} has the licence {text!r}: allow it in {ALLOWED.name}, or give the package a reason there"
        for name, text in odd.items()
        if name not in exceptions
    ]


def main() -> int:
    """Check both, and tell."""
    faults, unreached = vulnerable()
    if unreached is not None:
        print(unreached)
    done = subprocess.run(LICENCES, capture_output=True, text=True, check=True)
    faults += unlicensed(json.loads(done.stdout), tomllib.loads(ALLOWED.read_text(encoding="utf-8")))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
