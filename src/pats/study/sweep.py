"""``sweep``: search hyper-parameters with one budget for every row, then show the winners on fresh seeds."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from pats._errors import InputError
from pats.run.spec import Run
from pats.study.conduct import conduct
from pats.study.from_table import with_piped
from pats.study.options import Options
from pats.study.place.protocol import Placer
from pats.study.plan import propose
from pats.study.plan.grid import Study
from pats.study.plan.planned import Place, PlannedCell
from pats.study.plan.search import Search, Trial, in_words
from pats.study.plan.space import Dimension, Params, Space, check_space, default, split
from pats.study.plan.tuned import without_baselines
from pats.study.result import StudyResult
from pats.study.store.files import write
from pats.study.study_run import StudyRun
from pats.tasks.metrics import sign


@dataclass(frozen=True)
class Sweep:
    """A search for every row of a study, on every task and model, each with the same number of trials.

    A trial is a run at ``study.tuning_seed``. A point that is proposed again (a baseline may have few
    points) is run at the next seed and counts with its mean. With ``halving`` η, trials come in
    brackets: all start with few epochs, and the best 1/η of them are run again, from the start and
    with their own schedule, with η times the epochs, up to the study's.

    Source: Table 3 of the paper for the space; halving is Li et al. 2018 (Hyperband); equal budgets are
    PATS's own.

    Args:
        study: Tasks, models, rows with their fixed options, seeds to report, and settings. ``lr`` is
            searched unless given; ``lr_grid`` and ``control`` are not used.
        trials: Proposals for every row, task and model.
        proposer: ``"tpe"``, ``"random"`` or ``"grid"``.
        space: What to search by row, added to ``pats.study.plan.space.default``.
        batch: Trials that are proposed before the scores of any of them are known. It is part of the
            search, so that its outcome does not depend on the number of workers. None is 5, or with
            ``halving`` what one bracket holds.
        halving: η, at least 2; None runs every trial for all epochs.
        seed: Seed of the proposers.

    Raises:
        InputError: A value is out of its range, or a space does not fit its row.
    """

    study: Study
    trials: int = 20
    proposer: str = "tpe"
    space: Mapping[str, Mapping[str, Dimension]] = field(default_factory=dict)
    batch: int | None = None
    halving: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"trials": 1, "batch": 1, "halving": 2, "seed": 0}
        for name, low in least.items():
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= low
            if not whole and not (value is None and name in ("batch", "halving")):
                raise InputError(f"{name} is {value!r}, but must be a whole number from {low}")
        object.__setattr__(self, "study", without_baselines(self.study, "a search"))
        labels = [label for label, _ in self.study.rows]
        for label in self.space:
            if label not in labels:
                raise InputError(f"there is a space for {label!r}, which is no row: {', '.join(labels)}")
        if self.halving is not None and self.study.run.steps is not None:
            raise InputError("halving divides epochs, but steps are given: leave one of them out")
        if self.halving is not None and len(self.epochs) == 1:
            raise InputError(
                f"halving by {self.halving} leaves less than one of {self.study.run.epochs:g} epochs: "
                "take more epochs, or leave it out"
            )
        for label, method in self.study.rows:
            propose.check_proposer(self.proposer, self.space_of(label, method))
            check_space(label, method, self.study.options.get(label, {}), self.space_of(label, method))

    def space_of(self, label: str, method: str) -> Space:
        """What is searched for a row."""
        options = self.study.options.get(label, {})
        return default(method, options, self.study.lr) | dict(self.space.get(label, {}))

    @property
    def epochs(self) -> tuple[float, ...]:
        """Epochs of the rungs, rising to the study's; one rung without halving."""
        rungs = [self.study.run.epochs]
        while self.halving and rungs[0] / self.halving >= 1:
            rungs.insert(0, rungs[0] / self.halving)
        return tuple(rungs)

    @property
    def per_batch(self) -> int:
        """Trials in a batch."""
        return self.batch or (5 if self.halving is None else self.halving ** (len(self.epochs) - 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a range is ``[low, high]`` under ``"range"``."""
        spaces = {
            label: {
                name: list(dimension)
                if isinstance(dimension, tuple)
                else {"range": [dimension.low, dimension.high]}
                for name, dimension in self.space_of(label, method).items()
            }
            for label, method in self.study.rows
        }
        plain = {name: getattr(self, name) for name in ("trials", "proposer", "halving", "seed")}
        return plain | {"batch": self.per_batch, "epochs": list(self.epochs), "space": spaces}


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Source: PATS's own.

    Args:
        sweep: The sweep.
        searches: One for every task, model and row.
        study: The winners on the reported seeds, compared as ``compare`` does.
    """

    sweep: Sweep
    searches: tuple[Search, ...]
    study: StudyResult

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        searches = [
            {
                "task": search.place[0],
                "model": search.place[1],
                "row": search.place[2],
                "winner": search.winner,
                "dev_of_winner": search.score,
                "epochs": search.epochs,
                "expected_best_dev": list(search.expected),
                "importance": dict(search.importance),
                "trials": [
                    {
                        "number": trial.number,
                        "params": trial.params,
                        "seed": trial.seed,
                        "run_ids": [run.id for run in trial.runs],
                        "dev_by_epochs": {f"{epochs:g}": score for epochs, score in trial.scores.items()},
                        "failed": trial.failed,
                        "failure": trial.failure,
                        "constant": trial.constant,
                    }
                    for trial in search.trials
                ],
            }
            for search in self.searches
        ]
        return {"sweep": self.sweep.to_dict(), "searches": searches, "study": self.study.to_dict()}


def sweep(
    plan: Sweep,
    out: str | Path = "out",
    *,
    workers: int | None = None,
    retries: int = 3,
    keep_models: bool = False,
    engine: Placer | None = None,
    console: Console | None = None,
    report_to: Sequence[str] = (),
    force: bool = False,
) -> SweepResult:
    """Search, then run every row's winner on the reported seeds, and say what both show.

    Every trial is a run in the store, so a sweep that was stopped or killed goes on with the same
    trials, and one with more trials adds to them. The reported seeds are none of the search's: what
    was selected for is not what is reported. ``OUT/sweep.json`` holds every trial; the tables and the
    chosen model are those of ``compare``. Under ``torchrun`` every process calls it alike, as ``compare``.

    Source: Table 3 of the paper for the space; the rest is PATS's own.

    Args:
        plan: What to search.
        out: Folder of the sweep.
        workers: Processes at a time; None is as many as fit. Not used with ``engine``.
        retries: Attempts a run may be lost in.
        keep_models: Keeps the weights of every run of the winners.
        engine: Who runs the runs; None is this machine.
        console: Where progress is shown; None shows none.
        report_to: Trackers that every run reports to, see ``pats.finetune``.
        force: Exports the chosen model also where every run predicts one constant.

    Returns:
        The trials, the winner of every row, and the comparison of the winners; scores are × 100.

    Raises:
        InputError: Something cannot be used, found before the first run starts where possible; or
            another process works in ``out``, or ``out`` holds another study or what is not PATS's.
    """
    study = with_piped(plan.study, out)
    plan = replace(plan, study=study)
    searched = range(study.tuning_seed, study.tuning_seed + plan.trials)
    both = [seed for seed in study.seed_list if seed in searched]
    if both:
        raise InputError(f"seed {both[0]} is reported and searched with: take another tuning_seed")
    how = Options(retries, keep_models, console, report_to, force)
    return conduct(study, out, searched, partial(_sweep, plan), engine, workers, how)


def _sweep(plan: Sweep, study_run: StudyRun) -> SweepResult:
    study, fingerprints = study_run.study, study_run.data.fingerprints
    searching = [
        _Search(replace(plan, study=study), (task, model, label), method)
        for task in study.task_list
        for model in study.model_list
        for label, method in study.rows
    ]
    while any(search.room for search in searching):
        _batch(study_run, searching)
    searches = tuple(search.finished() for search in searching)
    cells = [one.winners(search, fingerprints) for one, search in zip(searching, searches, strict=True)]
    runs = [cell.runs[index] for index in range(len(study.seed_list)) for cell in cells]
    study_run.notes += [in_words(search) for search in searches]
    result = SweepResult(plan, searches, study_run.conclude(cells, runs))
    text = json.dumps(result.to_dict(), indent=1, ensure_ascii=False)
    write(study_run.store.root / "sweep.json", text + "\n")
    return result


def _batch(study_run: StudyRun, searches: list["_Search"]) -> None:
    """One batch of every search, rung by rung, all of them side by side."""
    asked = [(search, search.ask()) for search in searches]
    for rung in range(len(searches[0].plan.epochs)):
        runs = [
            search.start(trial, rung, study_run.data.fingerprints)
            for search, trials in asked
            for trial in trials
            if rung == 0 or trial in search.promoted(trials, rung)
        ]
        cells = [search.cell() for search in searches]
        study_run.select(cells, runs)
        for search, trials in asked:
            for trial in trials:
                search.score(trial, rung, study_run)
        for run in runs:
            study_run.store.drop(run.id)
    for search, trials in asked:
        search.tell(trials)


class _Search:
    """The search for one row on one task with one model."""

    def __init__(self, plan: Sweep, place: Place, method: str) -> None:
        self.plan, self.place, self.method = plan, place, method
        space = plan.space_of(place[2], method)
        self._proposer = propose.Proposer(space, plan.proposer, plan.seed)
        self.trials: list[Trial] = []

    @property
    def room(self) -> int:
        """Trials that are left."""
        return self.plan.trials - len(self.trials)

    def ask(self) -> list[Trial]:
        asked = []
        for _ in range(min(self.room, self.plan.per_batch)):
            number, params = self._proposer.ask()
            before = sum(trial.params == params for trial in self.trials)
            asked.append(Trial(number, params, self.plan.study.tuning_seed + before))
            self.trials.append(asked[-1])
        return asked

    def promoted(self, trials: list[Trial], rung: int) -> list[Trial]:
        """The trials of a batch that go on to a rung: the best 1/η of those that got to the one before."""
        before = self.plan.epochs[rung - 1]
        there = sorted(
            (trial for trial in trials if before in trial.scores),
            key=lambda trial: (trial.constant, -trial.sign * trial.scores[before]),
        )
        started = sum(len(trial.runs) >= rung for trial in trials)
        return there[: max(1, started // (self.plan.halving or 1))]

    def start(self, trial: Trial, rung: int, fingerprints: Mapping[tuple[str, int], str]) -> Run:
        epochs = self.plan.epochs[rung]
        trial.runs.append(replace(self._run(trial.params, trial.seed, fingerprints), epochs=epochs))
        return trial.runs[-1]

    def _run(self, params: Params, seed: int, fingerprints: Mapping[tuple[str, int], str]) -> Run:
        study = self.plan.study
        of_run, of_method = split(params)
        lr = of_run.pop("lr", study.lr)
        assert isinstance(lr, float | int)  # searched, or fixed
        run = study.make(self.place, self.method, lr, seed, fingerprints)
        return replace(run, **of_run, options={**run.options, **of_method})  # type: ignore[arg-type]

    def score(self, trial: Trial, rung: int, study_run: StudyRun) -> None:
        if len(trial.runs) <= rung:
            return
        run_id = trial.runs[rung].id
        trial.failure = study_run.unscored.get(run_id)
        result = study_run.store.result(run_id)
        if trial.failure is None and result is not None and result.best is not None:
            trial.scores[self.plan.epochs[rung]] = 100 * result.best
            trial.sign = sign(result.metric)
            trial.constant = result.degenerate

    def tell(self, trials: list[Trial]) -> None:
        for trial in trials:
            worth = {epochs: trial.sign * score for epochs, score in trial.scores.items()}
            self._proposer.tell(
                trial.number, trial.worth(self.plan.epochs[-1]), {} if trial.failed else worth
            )

    def cell(self) -> PlannedCell:
        """All runs of the search so far, for those who watch it."""
        task, model, label = self.place
        runs = tuple(run for trial in self.trials for run in trial.runs)
        return PlannedCell(task, model, f"{label} (search)", self.method, 0.0, runs)

    def finished(self) -> Search:
        """What the search found, once all its trials have scores."""
        full = self.plan.epochs[-1]
        worths: dict[str, list[float]] = {}
        points: dict[str, Params] = {}
        for trial in self.trials:
            key = json.dumps(trial.params, sort_keys=True)
            points.setdefault(key, trial.params)
            worth = trial.worth(full)
            if worth is not None:
                worths.setdefault(key, []).append(worth)
        # A mean over the seeds that survived would favour a point whose other seeds failed.
        failed = {json.dumps(trial.params, sort_keys=True) for trial in self.trials if trial.failed}
        learned = {
            json.dumps(trial.params, sort_keys=True)
            for trial in self.trials
            if trial.score(full) is not None and not trial.constant
        }
        able = [key for key in worths if key in learned] or list(worths)
        whole = [key for key in able if key not in failed] or able
        best = max(whole, key=lambda key: fmean(worths[key]), default=None)
        way = self.trials[0].sign
        return Search(
            self.place,
            tuple(self.trials),
            # Where every trial failed, the first point is run, and its failures are shown.
            self.trials[0].params if best is None else points[best],
            None if best is None else way * fmean(worths[best]),
            tuple(
                way * one for one in propose.expected_maximum([w for same in worths.values() for w in same])
            ),
            self._proposer.importance(),
            math.fsum(run.epochs for trial in self.trials for run in trial.runs),
        )

    def winners(self, search: Search, fingerprints: Mapping[tuple[str, int], str]) -> PlannedCell:
        """The winner on the reported seeds."""
        runs = tuple(self._run(search.winner, seed, fingerprints) for seed in self.plan.study.seed_list)
        return PlannedCell(*self.place, self.method, runs[0].lr, runs)
