"""Which results are missing, or older than the code that they depend on.

    python -m benchmarks.stale                 # lists them, with their commands and about how long these take
    python -m benchmarks.stale --run step      # makes one again; without a name, all that are known to be old

Commands say GLUE where the folder of GLUE belongs: PATS_GLUE names it, else it is looked for beside the
checkout.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from benchmarks import record
from benchmarks.claims import CLAIMS

State = Literal["missing", "unknown", "stale", "dirty", "fresh"]


def state(name: str) -> State:
    """Of a claim's results; "unknown" where what they were made from was not recorded."""
    results = record.read(name)
    if results is None:
        return "missing"
    if any(origin.sources is None for origin in results.origins):
        return "unknown"
    if any(origin.dirty for origin in results.origins):
        return "dirty"
    now = record.fingerprint(name)
    return "fresh" if all(origin.sources == now for origin in results.origins) else "stale"


def remake(name: str) -> int:
    """Run a claim's commands; returns the first exit code that is not zero."""
    glue = os.environ.get(record.GLUE, str(record.ROOT.parent / "shared" / "glue"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for command in CLAIMS[name].commands:
        print(command, flush=True)
        whole = command.replace("--data GLUE", f"--data {glue}")
        done = subprocess.run(whole, shell=True, cwd=record.ROOT, env={**os.environ, "PATH": path})
        if done.returncode:
            return done.returncode
    return 0


def main() -> int:
    """List, or make."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", nargs="*", choices=CLAIMS, metavar="NAME")
    names: list[str] | None = parser.parse_args().run
    states = {name: state(name) for name in CLAIMS}
    if names is None:
        for name, told in states.items():
            print(f"{name:18} {told:8} about {CLAIMS[name].minutes} minutes")
            if told != "fresh":
                print(*(f"    {command}" for command in CLAIMS[name].commands), sep="\n")
        return 0
    chosen = names or [name for name, told in states.items() if told in ("missing", "stale", "dirty")]
    failed = [name for name in chosen if remake(name)]
    if failed:
        print(f"not made: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
