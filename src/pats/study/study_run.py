"""What a comparison and a sweep have in common: runs brought to results, tables, and the chosen model."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from pats import results
from pats.page.content.summary import Page, page
from pats.page.content.verdict import too_few
from pats.page.content.words import CURE
from pats.page.formats import render
from pats.page.numbers import reading, tables
from pats.run.folder.files import MARK, MODEL, remove
from pats.run.model.exported import damage, read_card
from pats.run.spec import Run
from pats.study import choose, prepare
from pats.study.cells import outcome, predictions, with_results
from pats.study.choose import Chosen
from pats.study.place.coordinator import execute
from pats.study.place.protocol import Placer
from pats.study.plan.grid import PlannedCell, Study
from pats.study.store.files import write
from pats.study.store.results import Store
from pats.study.watch import Display


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Args:
        study: The study.
        out: Its folder, with ``tables.md``, ``tables.csv``, ``runs.csv`` and ``model/``.
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
    page: Page
    chosen: Mapping[str, Chosen]
    unscored: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """Runs without a score, those of a tuning or a search included."""
        reported = sum(outcome.failure is not None for cell in self.cells for outcome in cell.outcomes)
        return reported + len(self.unscored)

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
            "verdict": list(self.page.verdict),
            "cells": lines,
            "chosen": {task: asdict(choice) for task, choice in self.chosen.items()},
            "unscored": dict(self.unscored),
            "notes": list(self.page.notes),
        }


@dataclass
class StudyRun:
    """What the steps of a comparison, or of a sweep, share.

    Args:
        study: The grid, or for a sweep what its runs share.
        store: Where everything is.
        engine: Who runs the runs.
        retries: Attempts a run may be lost in.
        keep_models: Keeps every run's weights.
        console: Where progress is shown; None shows none.
        data: What the study's tasks turned out to be.
        report_to: Trackers that runs report to.
        force: Exports a chosen model also where it predicts one constant.
        unscored: Why runs that were to select something have no score, by id.
    """

    study: Study
    store: Store
    engine: Placer
    retries: int
    keep_models: bool
    console: Console | None
    data: prepare.Data
    report_to: Sequence[str] = ()
    force: bool = False
    told: list[str] = field(default_factory=list)
    checked: bool = False
    unscored: dict[str, str] = field(default_factory=dict)

    def conclude(
        self, planned: Sequence[PlannedCell], runs: Sequence[Run], notes: Sequence[str] = ()
    ) -> StudyResult:
        """Bring the cells that are reported to their results, tables and chosen models.

        Args:
            planned: The cells.
            runs: Their runs, in the order in which to start them.
            notes: Sentences to put under the tables.
        """
        self.run(planned, runs)
        cells = with_results(self.store, planned)
        choices = {task: choose.choose(cells, task) for task in self.study.task_list}
        found = {task: choice for task, choice in choices.items() if choice is not None}
        kept = {task: choice for task, choice in found.items() if not self._refused(choice)}
        self._keep(planned, kept)
        groups = tuple(tables.groups(cells))
        read = reading.read(groups, predictions(self.store, cells))
        choice_notes = [self._told(choice) for choice in found.values()]
        notes = (*self.data.notes, *notes, *self.told, *choice_notes, *self.store.problems)
        told = page(groups, notes, read)
        write(self.store.root / "tables.md", render.markdown(told))
        write(self.store.root / "tables.csv", render.table_csv(groups))
        write(self.store.root / "runs.csv", render.runs_csv(cells))
        return StudyResult(self.study, self.store.root, cells, groups, told, kept, self.unscored)

    def announce(self) -> None:
        """Say before the runs what cannot come of them."""
        told = too_few(len(self.study.seed_list), self.study.family, len(self.study.task_list))
        if told is not None and self.console is not None:
            self.console.print(told, markup=False, highlight=False, soft_wrap=True)

    def select(self, cells: Sequence[PlannedCell], runs: Sequence[Run]) -> None:
        """Bring runs that select something (a rate, a point of a search) to their results."""
        self.run(cells, runs)
        for run in runs:
            failure = outcome(self.store, run).failure
            if failure is not None:
                self.unscored[run.id] = failure

    def run(self, cells: Sequence[PlannedCell], runs: Sequence[Run]) -> None:
        """Bring runs to their results, keeping the weights of each cell's best alone."""
        self.store.save_study({"study": self.study.to_dict(), "cells": [cell.to_dict() for cell in cells]})
        if not self.checked and any(self.store.result(run.id) is None for run in runs):
            prepare.check_models(self.study, self.data.labels)
            self.checked = True
        members = {run.id: [run.id for run in cell.runs] for cell in cells for run in cell.runs}
        with Display(self.store, cells, self.console) as display:

            def changed(run: Run) -> None:
                self._prune(members[run.id])
                display.changed(run)

            execute(
                runs,
                self.store,
                self.engine,
                retries=self.retries,
                on_change=changed,
                on_tick=display.tick,
                report_to=self.report_to,
            )

    def _prune(self, run_ids: Sequence[str]) -> None:
        best = choose.best(self.store, run_ids)
        for run_id in run_ids:
            if self.store.result(run_id) is not None:
                self.store.drop(run_id, model=not self.keep_models and run_id != best)

    def _target(self, task: str) -> Path:
        """Where a task's model goes: a folder of its own where there are, or were, several tasks."""
        folder = self.store.root / MODEL
        alone = len(self.study.task_list) == 1 and not any(folder.glob(f"*/{MARK}"))
        return folder if alone else folder / task

    def _keep(self, cells: Sequence[PlannedCell], found: Mapping[str, Chosen]) -> None:
        """Export the chosen models, then delete all other weights."""
        self._divide()
        missing = {
            choice.run_id: task for task, choice in found.items() if not self._stands(task, choice.run_id)
        }
        runs = {run.id: run for cell in cells for run in cell.runs}
        # A study that grew may choose a run whose weights are long gone: it is made again for them.
        execute(
            [runs[run_id] for run_id in missing],
            self.store,
            self.engine,
            retries=self.retries,
            finished=lambda run: self._weights(run.id) is not None,
        )
        for run_id, task in missing.items():
            source = self._weights(run_id)
            if source is not None:
                self._set_aside(self._target(task), runs)
                choose.export(source, self._target(task))
        for run_id in runs:
            if self.store.result(run_id) is not None:
                self.store.drop(run_id, model=not self.keep_models)

    def _weights(self, run_id: str) -> Path | None:
        """Folder of a run's weights; None where they are deleted, or cannot be loaded."""
        folder = self.store.model(run_id)
        return folder if folder is not None and damage(folder) is None else None

    def _stands(self, task: str, run_id: str) -> bool:
        """Whether a run's model stands whole where its task's goes."""
        target = self._target(task)
        if not choose.exported(target, run_id):
            return False
        found = damage(target)
        if found is not None:
            self.told.append(f"In {target.parent}, {found}: the model is made again.")
        return found is None

    def _divide(self) -> None:
        """Move the model of an earlier study with one task to where it goes now that there are several."""
        folder = self.store.root / MODEL
        card = read_card(folder)
        if len(self.study.task_list) == 1 or card is None:
            return
        aside = folder.with_name(f".{MODEL}.new")
        remove(aside)
        folder.rename(aside)
        folder.mkdir()
        aside.rename(folder / str(card.get("task", card.get("run_id"))))

    def _set_aside(self, target: Path, planned: Collection[str]) -> None:
        """Keep a model that is of none of the study's runs: nothing could make it again."""
        card = read_card(target) or {}
        run_id = card.get("run_id", uuid.uuid4().hex[:8])
        aside = target.with_name(f"{target.name}-{run_id}")
        if run_id in planned or aside.exists() or not any(target.glob("*.safetensors")):
            return
        target.rename(aside)
        self.told.append(f"The model that stood in {target}, of other runs than these, is now in {aside}.")

    def _refused(self, choice: Chosen) -> bool:
        """Whether a model predicts one constant, and is not exported for that."""
        held = choose.exported(self._target(choice.task), choice.run_id)
        return choice.constant and not self.force and not held

    def _told(self, choice: Chosen) -> str:
        if self._refused(choice):
            return (
                f"No model was exported for {choice.task}: every run predicts one constant; {CURE}, or "
                "export the best of them all the same with --force."
            )
        target = self._target(choice.task)
        if not choose.exported(target, choice.run_id):
            return f"Chosen on dev for {choice.task}: {choice.label}; its weights could not be made again."
        where = "" if len(self.study.model_list) == 1 else f" with {choice.model}"
        test = "" if choice.test is None else f", test {choice.test:.1f}"
        return (
            f"Chosen on dev for {choice.task}: {choice.label}{where}, seed {choice.seed} (dev "
            f"{choice.dev:.1f}{test}), in {target}{'; it predicts one constant' if choice.constant else ''}."
        )
