"""A study's numbers as CSV, unrounded: one row a cell, or one row a run."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pats.page.numbers.tables import Group
from pats.results import Cell


def table_csv(groups: Sequence[Group]) -> str:
    """One row a cell: scores × 100 unrounded, empty where there is nothing."""
    return _csv(
        {
            "task": group.task,
            "model": group.model,
            "method": line.cell.label,
            "control": int(line.cell.control),
            "lr": line.cell.lr,
            "split": group.split,
            "metric": line.cell.metric,
            "n": len(line.scores),
            "failed": len(line.failures),
            "constant": line.degenerate,
            "mean": line.mean,
            "std": line.std,
            "scores": " ".join(repr(score) for score in line.scores.values()),
            "difference": line.difference and line.difference.mean,
            "low": line.difference and line.difference.interval and line.difference.interval[0],
            "high": line.difference and line.difference.interval and line.difference.interval[1],
            "p": line.difference and line.difference.p,
            "p_holm": line.p,
            "significant": int(line.significant),
            "detectable": line.difference and line.difference.detectable,
            "paper": line.paper,
        }
        for group in groups
        for line in group.lines
    )


def runs_csv(cells: Iterable[Cell]) -> str:
    """One row a run: scores as fractions unrounded, with its three seeds, time and status."""
    rows = []
    for cell in cells:
        for outcome in cell.outcomes:
            result = outcome.result
            best = result.epochs[result.best_epoch] if result and result.best_epoch is not None else None
            rows.append(
                {
                    "run": outcome.run_id,
                    "task": cell.task,
                    "model": cell.model,
                    "method": cell.label,
                    "lr": cell.lr,
                    "seed": outcome.seed,
                    "status": result.status if result else "failed",
                    "metric": result and result.metric,
                    "best": result and result.best,
                    "best_epoch": best and best.epoch,
                    "last": result and result.last,
                    "test": result.test[result.metric] if result and result.test else None,
                    "constant": int(result.degenerate) if result else None,
                    "seconds": sum(result.timings.get(k, 0.0) for k in ("train", "evaluate", "save"))
                    if result
                    else None,
                    "error": outcome.failure,
                }
            )
    return _csv(rows)


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({key: "" if value is None else value for key, value in row.items()})
    return file.getvalue()
