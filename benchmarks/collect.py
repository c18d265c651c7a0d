"""Write a comparison's runs as one committed result file.

    python benchmarks/collect.py out/readings benchmarks/results/readings.json "pats compare --config ..."

One row a run: what was set, what was found, how much noise was added at the last step, and seconds. Machine,
versions, git state and dates come from the runs themselves.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pats.run.result import Result

ENVIRONMENT = ("python", "packages", "system", "cpu", "cores", "threads", "device", "precision", "git")


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


def main() -> None:
    """Collect the finished runs of a comparison's folder."""
    out, target, *commands = sys.argv[1:]
    paths = sorted(Path(out).glob("runs/*/result.json"))
    results = [Result.from_json(path.read_text(encoding="utf-8")) for path in paths]
    rows = sorted(
        (row(result) for result in results), key=lambda r: json.dumps([r["task"], r["options"], r["seed"]])
    )
    environments = [dict(result.environment) for result in results]
    content = {
        "commands": commands,
        "environments": [
            json.loads(text)
            for text in sorted(
                {json.dumps({k: e[k] for k in ENVIRONMENT if k in e}, sort_keys=True) for e in environments}
            )
        ],
        "finished": max(environment["time"] for environment in environments),
        "runs": rows,
    }
    Path(target).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(rows)} runs in {target}")


if __name__ == "__main__":
    main()
