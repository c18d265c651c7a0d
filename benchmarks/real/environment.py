"""The rivals' own environment: their pins are not ours."""

import hashlib
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "rivals-requirements.txt"


def python(folder: Path) -> Path:
    """The Python of an environment that holds the pinned requirements; made where it is not there yet.

    Raises:
        SystemExit: It cannot be made.
    """
    mark = folder / f"made-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    own = folder / "bin" / "python"
    if mark.exists():
        return own
    print(f"making the rivals' environment in {folder}: about 2 GB, some minutes", flush=True)
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(own), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "WARNING" not in line] or [
                "it says nothing"
            ]
            raise SystemExit(
                f"the rivals' environment cannot be made ({lines[-1].strip()}): connect to the network, or "
                "measure only pats with --systems pats"
            )
    mark.touch()
    return own
