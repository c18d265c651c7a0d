"""The numbers of a study as frames of pandas."""

from collections.abc import Sequence
from typing import Any

from pats._errors import InputError
from pats._imports import try_import
from pats.page.numbers.tables import Group


def frame(groups: Sequence[Group], by: str) -> Any:
    """A frame with a row a run, or a row of the tables in each row.

    Raises:
        InputError: pandas is not installed, or ``by`` is neither ``"run"`` nor ``"method"``.
    """
    rows_of = {"run": _runs, "method": _methods}
    if by not in rows_of:
        raise InputError(f"by is {by!r}, but must be one of: {', '.join(rows_of)}")
    return try_import("pandas", "notebook").DataFrame(rows_of[by](groups))


def _runs(groups: Sequence[Group]) -> list[dict[str, Any]]:
    return [
        {
            "task": group.task,
            "model": group.model,
            "method": line.cell.label,
            "seed": outcome.seed,
            "lr": None if line.cell.simple else line.cell.lr,
            "metric": line.cell.metric,
            "dev": line.cell.dev.get(outcome.seed),
            "test": line.cell.test.get(outcome.seed),
            "constant": outcome.result is not None and outcome.result.degenerate,
            "failure": outcome.failure,
            "run": outcome.run_id,
        }
        for group in groups
        for line in group.lines
        for outcome in line.cell.outcomes
    ]


def _methods(groups: Sequence[Group]) -> list[dict[str, Any]]:
    return [
        {
            "task": group.task,
            "model": group.model,
            "method": line.cell.label,
            "fine_tuned": not line.cell.simple,
            "lr": None if line.cell.simple else line.cell.lr,
            "runs": len(line.scores),
            "metric": line.cell.metric,
            "split": group.split,
            "mean": line.mean,
            "std": line.std,
            "vs_vanilla": line.difference and line.difference.mean,
            "p": line.p,
        }
        for group in groups
        for line in group.lines
    ]
