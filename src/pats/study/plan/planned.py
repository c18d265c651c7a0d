"""``PlannedCell``: the runs of one row of a study's table."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pats.run.spec import RECORD, Run, of_now

Place = tuple[str, str, str]  # task, model, row label


@dataclass(frozen=True)
class PlannedCell:
    """The runs of one row of the table on one task with one model.

    Args:
        task: Name of the task, or of the table.
        model: Name or folder of the model.
        label: Name of the row.
        method: Name of the method in ``pats.methods``.
        lr: Peak learning rate of all its runs; of folds, the median of theirs.
        runs: One run a seed, or one a fold of every seed; the seed is the run's ``data_seed``.
        control: Plain fine-tuning at another row's learning rate.
    """

    task: str
    model: str
    label: str
    method: str
    lr: float
    runs: tuple[Run, ...]
    control: bool = False

    @property
    def place(self) -> Place:
        """What names the cell within its study."""
        return self.task, self.model, self.label

    @property
    def rounds(self) -> tuple[tuple[Run, ...], ...]:
        """The runs of every seed: one, or one a fold."""
        by_seed: dict[int, tuple[Run, ...]] = {}
        for run in self.runs:
            by_seed[run.data_seed] = (*by_seed.get(run.data_seed, ()), run)
        return tuple(by_seed.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return named | {"runs": [run.to_dict() for run in self.runs]}

    @classmethod
    def upgraded(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """What ``to_dict`` gave in an earlier version, as it would give it now."""
        first: Mapping[str, Any] = next(iter(values.get("runs", ())), {})
        if "method" in values and first.get("record", 1) < RECORD:
            return {**values, "method": of_now(values["method"], {})["method"]}
        return dict(values)
