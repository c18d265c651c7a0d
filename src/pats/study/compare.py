"""``compare``: a study from its grid to its table and its chosen model."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pats.study import choose
from pats.study.conduct import conduct
from pats.study.place.protocol import Placer
from pats.study.plan.grid import Place, PlannedCell, Study
from pats.study.result import StudyResult
from pats.study.study_run import Options, StudyRun


def compare(
    study: Study,
    out: str | Path = "out",
    *,
    workers: int | None = None,
    retries: int = 3,
    keep_models: bool = False,
    engine: Placer | None = None,
    console: Console | None = None,
    report_to: Sequence[str] = (),
    force: bool = False,
) -> StudyResult:
    """Run what a study still lacks, and say what it shows.

    Under ``torchrun`` or ``accelerate launch`` every process calls it alike; without ``engine``, all of them
    then do each run together, one run after another.

    Runs with a result are never made again: a finished study started again prints the same table, one
    that was stopped or killed goes on, and a larger one runs what is new. Weights of a run are deleted
    as soon as another one of its cell is better on dev; in the end only the chosen model stays, in
    ``OUT/model`` (``OUT/model/<task>`` for several tasks). A model of other runs that is there
    is kept under another name.

    Args:
        study: The grid.
        out: Folder of the study.
        workers: Processes at a time; None is as many as fit. Not used with ``engine``.
        retries: Attempts a run may be lost in.
        keep_models: Keeps every run's weights.
        engine: Who runs the runs; None is this machine.
        console: Where progress is shown; None shows none.
        report_to: Trackers that every run reports to, see ``pats.finetune``.
        force: Exports the chosen model also where every run predicts one constant.

    Raises:
        InputError: Something cannot be used, found before the first run starts where possible; or
            another process works in ``out``, or ``out`` holds another study or what is not PATS's.
    """
    how = Options(retries, keep_models, console, report_to, force)
    searched = [study.tuning_seed] if study.lr_grid else []
    return conduct(study, out, searched, _compare, engine, workers, how)


def _compare(study_run: StudyRun) -> StudyResult:
    tuned = _tune(study_run)
    study, fingerprints = study_run.study, study_run.data.fingerprints
    return study_run.conclude(study.cells(fingerprints, tuned), study.runs(fingerprints, tuned))


def _tune(study_run: StudyRun) -> dict[Place, float]:
    """The best rate of the grid on dev, the smaller one of equals; every failed run gets a note."""
    study, store = study_run.study, study_run.store
    plan = study.tuning(study_run.data.fingerprints)
    if not plan:
        return {}
    rows = dict(study.rows)
    cells = [
        PlannedCell(task, model, f"{label} (tuning)", rows[label], 0.0, runs)
        for (task, model, label), runs in plan.items()
    ]
    study_run.select(cells, [run for runs in plan.values() for run in runs])
    tuned = {}
    for place, runs in plan.items():
        study_run.notes += [
            f"Failed: tuning of {place[2]} on {place[0]} with {Path(place[1]).name} at {run.lr:g}: "
            f"{study_run.unscored[run.id]}"
            for run in runs
            if run.id in study_run.unscored
        ]
        in_order = sorted(runs, key=lambda run: run.lr)
        best = choose.best(store, [run.id for run in in_order])
        # Where every rate failed, the smallest one is run, and its failures are shown.
        tuned[place] = next((run.lr for run in runs if run.id == best), in_order[0].lr)
        for run in runs:
            store.drop(run.id, model=not study_run.options.keep_models)
    return tuned
