"""``compare``: a study from its grid to its table and its chosen model."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pats.run import ranks
from pats.study import choose, prepare
from pats.study.identity import identify
from pats.study.place.group import together
from pats.study.place.local import LocalPlacer
from pats.study.place.protocol import Placer
from pats.study.plan.grid import Place, PlannedCell, Study
from pats.study.store.results import Store
from pats.study.study_run import StudyResult, StudyRun


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
    ``OUT/model`` (``OUT/model/<task>`` for several tasks). A model of other runs that stands there
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
    store = Store(out)

    def perform(engine: Placer) -> StudyResult:
        prepare.check_sharing(study, engine)
        prepare.check_methods(study)
        prepare.check_trackers(report_to)
        data = prepare.load_data(study, [study.tuning_seed] if study.lr_grid else [])
        prepare.take_folder(store, study, data)
        prepare.tell(data, console)
        with store.exclusive():
            known, told = identify(study, store)
            job = StudyRun(known, store, engine, retries, keep_models, console, data, report_to, force)
            job.announce()
            tuned, notes = _tune(job)
            planned = known.cells(data.fingerprints, tuned)
            return job.conclude(planned, known.runs(data.fingerprints, tuned), (*told, *notes))

    if engine is None and ranks.count() > 1:
        return together(perform)
    return perform(engine or LocalPlacer(workers))


def _tune(job: StudyRun) -> tuple[dict[Place, float], list[str]]:
    """The best rate of the grid on dev, the smaller one of equals; and a sentence for every failed run."""
    plan = job.study.tuning(job.data.fingerprints)
    if not plan:
        return {}, []
    rows = dict(job.study.rows)
    cells = [
        PlannedCell(task, model, f"{label} (tuning)", rows[label], 0.0, runs)
        for (task, model, label), runs in plan.items()
    ]
    job.select(cells, [run for runs in plan.values() for run in runs])
    tuned, notes = {}, []
    for place, runs in plan.items():
        notes += [
            f"Failed: tuning of {place[2]} on {place[0]} with {Path(place[1]).name} at {run.lr:g}: "
            f"{job.unscored[run.id]}"
            for run in runs
            if run.id in job.unscored
        ]
        in_order = sorted(runs, key=lambda run: run.lr)
        best = choose.best(job.store, [run.id for run in in_order])
        # Where every rate failed, the smallest one is run, and its failures are shown.
        tuned[place] = next((run.lr for run in runs if run.id == best), in_order[0].lr)
        for run in runs:
            job.store.drop(run.id, model=not job.keep_models)
    return tuned, notes
