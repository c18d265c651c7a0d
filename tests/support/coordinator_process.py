"""A coordinator in a process of its own.

python coordinator_process.py PLACER ADDRESS OUT COUNT SECONDS [PROCESSES]
"""

import sys
from pathlib import Path

from pats.study.place.protocol import Placer

LIGHT = Path(__file__).with_name("worker_without_training.py")
LOST_AFTER = 4.0


def make_placer(
    name: str, out: Path, address: str | None = None, workers: int = 2, processes: int | None = None
) -> Placer:
    """A placer whose runs do not train."""
    command = (sys.executable, str(LIGHT))
    if name == "local":
        from pats.study.place.local import LocalPlacer

        return LocalPlacer(workers, processes=processes, command=command)
    if name == "ray":
        from pats.study.place.ray import RayPlacer

        return RayPlacer(address, workers=workers, processes=processes, command=command)
    from pats.study.place.slurm import SlurmPlacer

    options = {"cluster": "local"}
    return SlurmPlacer(out / "slurm", workers, processes=processes, options=options, command=command)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from pats.study.place.coordinator import execute
    from pats.study.store.results import Store
    from support.runs_without_training import make_runs

    name, address, out, count, seconds, *processes = sys.argv[1:]
    store = Store(out)
    with store.exclusive():
        placed = make_placer(
            name, Path(out), address or None, processes=int(processes[0]) if processes else None
        )
        errors = execute(make_runs(int(count), float(seconds)), store, placed, lost_after=LOST_AFTER)
    sys.exit(1 if errors else 0)
