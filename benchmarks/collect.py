"""Write what a command of pats left in ``out/NAME`` as one committed result file.

    python -m benchmarks.collect readings

One row a run: what was set, what was found, how much noise was added at the last step, and seconds; after
``pats data-size`` its points. Machine, versions, git state and dates come from the runs themselves.
"""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.claims import CLAIMS
from pats.run.result import Result

FOLDERS = record.ROOT / "out"


def row(result: Result) -> dict[str, Any]:
    """What one run set and found."""
    last_step = result.telemetry.values()
    noisy = [kind["noise_over_weight"] for kind in last_step if "noise_over_weight" in kind]
    return {
        "task": result.run.task,
        "model": result.run.model,
        "method": result.run.method,
        "options": dict(result.run.options),
        "lr": result.run.lr,
        "seed": result.run.data_seed,
        "metric": result.metric,
        "best": result.best,
        "last": result.last,
        "by_epoch": [epoch.metrics[result.metric] for epoch in result.epochs],
        "constant": result.degenerate,
        "status": result.status,
        "noise_over_weight": max(noisy, default=0.0),
        "seconds": result.timings.get("total"),
    }


def results(folder: Path) -> list[Result]:
    """The finished runs of a comparison, or of those of a study of sizes."""
    paths = sorted({*folder.glob("runs/*/result.json"), *folder.glob("*/runs/*/result.json")})
    return [Result.from_json(path.read_text(encoding="utf-8")) for path in paths]


def origins(found: Iterable[Result], name: str) -> list[record.Origin]:
    """Of each run; runs on one commit and machine share that of the last to end."""
    told: dict[str, record.Origin] = {}
    shared = []
    for result in sorted(found, key=lambda result: str(result.environment["time"])):
        origin = record.described(result.environment, name, CLAIMS[name].commands[0])
        told[_alike(origin)] = origin
        shared.append((result.run_id, _alike(origin)))
    by_run = {run_id: told[alike] for run_id, alike in shared}
    return [by_run[result.run_id] for result in found]


def _alike(origin: record.Origin) -> str:
    return str((origin.commit, origin.dirty, origin.machine, origin.versions, origin.conditions))


def main() -> None:
    """Collect the finished runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("name", choices=CLAIMS, metavar="NAME")
    name: str = parser.parse_args().name
    recording, folder = record.start(name), FOLDERS / name
    found = results(folder)
    if not found:
        raise SystemExit(f"{folder} holds no finished run")
    found.sort(key=lambda one: json.dumps([one.run.task, dict(one.run.options), one.run.data_seed]))
    made = origins(found, name)
    if not os.environ.get(record.TRY):
        _refuse_dirty(found, made)
    sizes = folder / "data_size.json"
    if sizes.exists():
        content = json.loads(sizes.read_text(encoding="utf-8"))
        points = content.pop("points")
        by_run = dict(zip((result.run_id for result in found), made, strict=True))
        recording.put(points, origins=[by_run[point["run_id"]] for point in points], settings=content)
    else:
        recording.put([row(result) for result in found], origins=made)


def _refuse_dirty(found: Sequence[Result], made: Sequence[record.Origin]) -> None:
    for result, origin in zip(found, made, strict=True):
        if origin.dirty or origin.commit is None:
            raise SystemExit(
                f"run {result.run_id} was not made from a commit without changes: delete its folder and run "
                f"the command again, or set {record.TRY}=1 to try it out"
            )


if __name__ == "__main__":
    main()
