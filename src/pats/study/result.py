"""What a study found: its cells, its tables, and the models that it exported."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pats import results
from pats.page.content.summary import Summary
from pats.page.content.words import count
from pats.page.formats.html import html
from pats.page.numbers import tables
from pats.study import frames
from pats.study.choose import Chosen
from pats.study.notebook import inline
from pats.study.plan.grid import Study
from pats.study.report import page_of


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Source: PATS's own.

    Args:
        study: The study.
        out: Its folder, with ``table1.md``, ``table1.csv``, ``runs.csv`` and ``model/``.
        cells: Every cell with its results, and the reasons of runs that have none.
        groups: The tables as numbers, one for every task and model.
        page: The tables and the verdict in words.
        chosen: The exported model of every task that has one.
        unscored: Why runs of a tuning or a search have no score, by id; they are in no cell.
    """

    study: Study
    out: Path
    cells: tuple[results.Cell, ...]
    groups: tuple[tables.Group, ...]
    page: Summary
    chosen: Mapping[str, Chosen]
    unscored: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """Runs without a score, those of a tuning or a search included."""
        reported = sum(outcome.failure is not None for cell in self.cells for outcome in cell.outcomes)
        return reported + len(self.unscored)

    def to_pandas(self, by: str = "run") -> Any:
        """The numbers as a frame of pandas.

        Args:
            by: ``"run"`` has a row a run: its task, model, method, seed, rate, dev and test score, why it has
                none, and its id. ``"method"`` has a row of the study's table: mean over seeds, spread,
                the difference to plain fine-tuning. Scores are × 100.

        Raises:
            InputError: pandas is not installed, or ``by`` is neither.
        """
        return frames.frame(self.groups, by)

    def __repr__(self) -> str:
        runs = sum(len(cell.outcomes) for cell in self.cells)
        told = f"{count(len(self.cells), 'row')}, {count(runs, 'run')}, {self.failures} failed"
        return f"StudyResult in {str(self.out)!r}: {told}.\n{self.page.lead}"

    def _repr_html_(self) -> str:
        """The report inline, for a notebook."""
        return inline(html(page_of(self.out)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        lines = [
            {
                "task": group.task,
                "model": group.model,
                "method": line.cell.label,
                "control": line.cell.control,
                "lr": line.cell.lr,
                "split": group.split,
                "metric": line.cell.metric,
                "mean": line.mean,
                "std": line.std,
                "scores": {str(seed): score for seed, score in line.scores.items()},
                "difference": line.difference and asdict(line.difference),
                "p_holm": line.p,
                "significant": line.significant,
                "constant": line.degenerate,
                "failed": {str(outcome.seed): outcome.failure for outcome in line.failures},
                "paper": line.paper,
            }
            for group in self.groups
            for line in group.lines
        ]
        return {
            "out": str(self.out),
            "answer": list(self.page.answer),
            "verdict": list(self.page.verdict),
            "cells": lines,
            "chosen": {task: asdict(choice) for task, choice in self.chosen.items()},
            "unscored": dict(self.unscored),
            "notes": list(self.page.notes),
        }
