"""``compare``: a study from its grid to its table and its chosen model."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pats._errors import InputError
from pats.run import ranks
from pats.study.cells import outcome
from pats.study.conduct import conduct
from pats.study.from_table import study_of, with_piped
from pats.study.limit import Limit
from pats.study.options import Options
from pats.study.place.protocol import Placer
from pats.study.plan.agenda import Agenda, agenda
from pats.study.plan.grid import Study
from pats.study.report import PAGE, write_page
from pats.study.result import StudyResult
from pats.study.study_run import StudyRun


def compare(
    study: Any = None,
    out: str | Path | None = None,
    *,
    data: Any = None,
    workers: int | None = None,
    retries: int = 3,
    keep_models: bool = False,
    engine: Placer | None = None,
    console: Console | None = None,
    report_to: Sequence[str] = (),
    force: bool = False,
    time_limit: float | None = None,
    all_seeds: bool | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> StudyResult:
    """Run what a study still lacks, and say what it shows.

    Three lines compare on a table, in a script, without ``if __name__ == "__main__"``, as in a notebook:

        import pats
        result = pats.compare(data=frame, label="stars")
        result.to_pandas()

    Under ``torchrun`` or ``accelerate launch`` every process calls it alike; without ``engine``, all of them
    then do each run together, one run after another.

    Runs with a result are never made again: a finished study started again prints the same table, one
    that was stopped or killed goes on, and a larger one runs what is new. Weights of a run are deleted
    as soon as another one of its cell is better on dev; in the end only the chosen model stays, in
    ``OUT/model`` (``OUT/model/<task>`` for several tasks), with a model card. A model of other runs that is
    there is kept under another name. ``OUT/report.html`` shows it all; ``pats.report`` writes it again, with
    the same tables in other formats.

    Source: PATS's own; its table has the form of Table 1 of the paper.

    Args:
        study: The grid; or the table, as ``data``. None needs ``data``.
        out: Folder of the study. None is ``out`` for a ``Study``; for a table ``out/NAME``, or ``out/NAME-2``
            and so on where other data are there.
        data: A table in place of ``study``: a path, a frame of pandas, a table of Arrow, a list of records
            or a mapping of columns. What Python holds is written into ``out``. None needs ``study``.
        workers: Processes at a time; None is as many as fit. Not used with ``engine``.
        retries: Attempts a run may be lost in.
        keep_models: Keeps every run's weights.
        engine: Who runs the runs; None is this machine.
        console: Where progress is shown; None is where ``progress`` says.
        report_to: Trackers that every run reports to, see ``pats.finetune``.
        force: Exports the chosen model also where every run predicts one constant.
        time_limit: Seconds, which every call has again; None is no limit, for a table that of its preset (20
            minutes, where ``math.inf`` is none). At its end, runs are stopped after a step and keep a
            checkpoint, and the result is of the seeds that every row has. A later call goes
            on from there.
        all_seeds: Makes every seed. False ends a comparison of one table where more seeds cannot change which
            model to use, see ``pats.study.settled``; None is False for a table without ``seeds``, else True.
        progress: Shows how far it is, in a notebook as one bar; None shows it for a table alone.
        settings: For a table, fields of ``Study`` and ``Run`` by name, such as ``label="stars"``.

    Returns:
        Cells, tables, verdict and the chosen model; scores are × 100.

    Raises:
        InputError: Something cannot be used, found before the first run starts where possible; or
            another process works in ``out``, or ``out`` holds another study or what is not PATS's.
    """
    told = console if console is not None or progress is False else _console(study, progress)
    if not isinstance(study, Study):
        if (study is None) == (data is None):
            raise InputError("there is nothing to compare on: pass one of a pats.Study, a table, and data=")
        study, out, usual, every, lost = study_of(data if study is None else study, out, settings)
        time_limit = usual if time_limit is None else time_limit
        all_seeds = every if all_seeds is None else all_seeds
        if told is not None:
            for line in (*lost, f"The study is in {out}."):
                told.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
    elif data is not None or settings:
        name = next(iter(settings), "data")
        raise InputError(f"{name} is for a table: put it into the pats.Study, or leave that out")
    if time_limit is not None and not (isinstance(time_limit, int | float) and time_limit > 0):
        raise InputError(f"time_limit is {time_limit!r}, but must be a number of seconds above 0")
    limit = Limit(math.inf if time_limit is None else time_limit)
    how = Options(retries, keep_models, told, report_to, force, limit, all_seeds is not False)
    searched = [study.tuning_seed] if study.lr_grid else []
    out = "out" if out is None else out
    try:
        return conduct(with_piped(study, out), out, searched, _compare, engine, workers, how)
    except KeyboardInterrupt:
        # Python shows where, and this what it means; the command line has a sentence of its own.
        raise KeyboardInterrupt(f"stopped; the same call goes on where this one was, in {out}") from None


def _console(study: Any, progress: bool | None) -> Console | None:
    """Where progress is shown if no console is given."""
    if not (progress or (progress is None and not isinstance(study, Study))) or not ranks.is_first():
        return None
    in_notebook = Console().is_jupyter
    return Console() if in_notebook else Console(file=sys.stderr)


def _compare(study_run: StudyRun) -> StudyResult:
    try:
        study_run.fit_to_limit()
        study, fingerprints = study_run.study, study_run.data.fingerprints
        now = study_run.follow(
            lambda ranking: agenda(study, fingerprints, ranking), early=not study_run.options.all_seeds
        )
    finally:
        study_run.give_back()
    _note_trials(study_run, now)
    result = study_run.settle(now.cells)
    if result.groups:
        try:
            write_page(result.out)
        except InputError as error:  # such as a figure's file of another make; the results are there
            (result.out / PAGE).unlink(missing_ok=True)  # an older one is of other results
            study_run.say(f"The page was not written: {error}", style="yellow")
    return result


def _note_trials(study_run: StudyRun, now: Agenda) -> None:
    """Give every failed trial a note, and delete the weights of those that have chosen a rate."""
    store = study_run.store
    for cell, place in zip(now.trials, study_run.study.tuning(study_run.data.fingerprints), strict=True):
        for run in cell.runs:
            ended = outcome(store, run)
            if ended.failure is not None and not ended.missing:
                study_run.unscored[run.id] = ended.failure
                where = f"{place[2]} on {place[0]} with {Path(place[1]).name} at {run.lr:g}"
                where += "" if run.fold is None else f", fold {run.fold}"
                study_run.notes.append(f"Failed: tuning of {where}: {ended.failure}")
            if place in now.rates:
                store.drop(run.id, model=not study_run.options.keep_models)
