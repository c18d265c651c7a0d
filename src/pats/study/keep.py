"""The models that a study keeps: one a task, made again where its weights are gone, and exported."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pats.baselines import is_simple
from pats.page.content.words import CURE
from pats.run.folder.files import MARK, MODEL, remove
from pats.run.model.exported import damage, read_mark
from pats.study import choose
from pats.study.choose import Chosen
from pats.study.folds import on_all_rows
from pats.study.options import Options
from pats.study.place.coordinator import execute
from pats.study.place.protocol import Placer
from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell
from pats.study.store.results import Store


@dataclass
class Keeper:
    """Who keeps the chosen models of a study.

    Args:
        study: The study.
        store: Where everything is.
        engine: Who runs the runs.
        options: How the study is carried out.
        notes: Takes sentences on what was moved or made again.
    """

    study: Study
    store: Store
    engine: Placer
    options: Options
    notes: list[str]

    def _target(self, task: str) -> Path:
        """Where a task's model goes: a folder of its own where there are, or were, several tasks."""
        folder = self.store.root / MODEL
        alone = len(self.study.task_list) == 1 and not any(folder.glob(f"*/{MARK}"))
        return folder if alone else folder / task

    def export(self, cells: Sequence[PlannedCell], chosen: Mapping[str, Chosen]) -> None:
        """Export the chosen models, then delete all other weights."""
        self._divide()
        missing = {
            choice.run_id: task for task, choice in chosen.items() if not self._stands(task, choice.run_id)
        }
        runs = {run.id: run for cell in cells for run in cell.runs}
        of_folds = (on_all_rows(own) for cell in cells for own in cell.rounds if own[0].folds is not None)
        finals = {run.id: run for run in of_folds}
        runs |= finals
        for run_id, task in missing.items():
            if run_id in finals and self._weights(run_id) is None:
                self._say(f"{chosen[task].label} is made once more, on all rows: folds have no such model.")
        # A study that grew may choose a run whose weights are long gone: the run is repeated for them.
        execute(
            [runs[run_id] for run_id in missing],
            self.store,
            self.engine,
            retries=self.options.retries,
            finished=lambda run: self._weights(run.id) is not None,
            limit=self.options.limit,
        )
        for run_id, task in missing.items():
            source = self._weights(run_id) or self._of_a_fold(cells, chosen[task])
            if source is not None:
                self._set_aside(self._target(task), runs)
                choose.export(source, self._target(task))
        for run_id in runs:
            if self.store.result(run_id) is not None:
                self.store.drop(run_id, model=not self.options.keep_models)

    def _of_a_fold(self, cells: Sequence[PlannedCell], choice: Chosen) -> Path | None:
        """The weights of the chosen row's best fold, for where there is no time for a model of all rows."""
        places = (choice.task, choice.model, choice.label)
        runs = [run for cell in cells if cell.place == places for run in cell.runs if run.fold is not None]
        best = choose.best(self.store, [run.id for run in runs])
        return None if best is None else self._weights(best)

    def _weights(self, run_id: str) -> Path | None:
        """Folder of a run's weights; None where they are deleted, or cannot be loaded."""
        folder = self.store.model(run_id)
        return folder if folder is not None and damage(folder) is None else None

    def _stands(self, task: str, run_id: str) -> bool:
        """Whether a run's model is whole, and in the place of its task's model."""
        target = self._target(task)
        if not choose.exported(target, run_id):
            return False
        flaw = damage(target)
        if flaw is not None:
            self.notes.append(f"In {target.parent}, {flaw}: the model is made again.")
        return flaw is None

    def _divide(self) -> None:
        """Move the model of an earlier study with one task to where it goes now that there are several."""
        folder = self.store.root / MODEL
        mark = read_mark(folder)
        if len(self.study.task_list) == 1 or mark is None:
            return
        aside = folder.with_name(f".{MODEL}.new")
        remove(aside)
        folder.rename(aside)
        folder.mkdir()
        aside.rename(folder / str(mark.get("task", mark.get("run_id"))))

    def _set_aside(self, target: Path, planned: Collection[str]) -> None:
        """Keep a model that is of none of the study's runs: nothing could make it again."""
        mark = read_mark(target) or {}
        run_id = mark.get("run_id", uuid.uuid4().hex[:8])
        aside = target.with_name(f"{target.name}-{run_id}")
        if run_id in planned or aside.exists() or not _holds_weights(target):
            return
        target.rename(aside)
        self.notes.append(f"The model that stood in {target}, of other runs than these, is now in {aside}.")

    def refuses(self, choice: Chosen) -> bool:
        """Whether a model predicts one constant, and is not exported for that."""
        held = choose.exported(self._target(choice.task), choice.run_id)
        return choice.constant and not self.options.force and not held

    def note(self, choice: Chosen) -> str:
        """What was exported of a task, in a sentence or two."""
        if choice.ahead is None or self.refuses(choice):
            return self._kept(choice)
        return (
            f"{self._kept(choice)} {choice.ahead} was ahead of it on dev by less than one standard error, "
            "and its epoch was chosen on the same rows; so the simple model is kept."
        )

    def _kept(self, choice: Chosen) -> str:
        if self.refuses(choice):
            return (
                f"No model was exported for {choice.task}: every run predicts one constant; {CURE}, or "
                "export the best of them all the same with --force."
            )
        target = self._target(choice.task)
        folds = self.study.run.folds
        if not choose.exported(target, choice.run_id):
            mark = read_mark(target) if folds else None
            if mark is not None and mark.get("task") == choice.task:
                return (
                    f"Chosen on dev for {choice.task}: {choice.label}. There was no time for a model of all "
                    f"rows: in {target} is that of one fold; the same command makes the other."
                )
            return f"Chosen on dev for {choice.task}: {choice.label}; its weights could not be made again."
        where = "" if len(self.study.model_list) == 1 else f" with {choice.model}"
        test = "" if choice.test is None else f", test {choice.test:.1f}"
        simple = any(choice.label == label and is_simple(name) for label, name in self.study.rows)
        of_seed = ", refitted on all labelled rows" if simple else f", seed {choice.seed}"
        if folds:
            of_seed += "" if simple else ", trained once more on all rows, of which 15 % choose its epoch"
            test += f", both over the {folds} folds"
        return (
            f"Chosen on dev for {choice.task}: {choice.label}{where}{of_seed} (dev "
            f"{choice.dev:.1f}{test}), in {target}{'; it predicts one constant' if choice.constant else ''}."
        )

    def _say(self, sentence: str) -> None:
        if self.options.console is not None:
            self.options.console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _holds_weights(folder: Path) -> bool:
    return any(file.suffix in (".safetensors", ".npz") for file in folder.glob("*"))
