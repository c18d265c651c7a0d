"""What a comparison and a sweep do alike: check, take the folder, and work in it alone."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from pats.run import ranks
from pats.study import prepare
from pats.study.identity import identify, judged
from pats.study.options import Options
from pats.study.place.group import together
from pats.study.place.local import LocalPlacer
from pats.study.place.protocol import Placer
from pats.study.plan.grid import Study
from pats.study.store.results import Store
from pats.study.study_run import StudyRun

T = TypeVar("T")


def conduct(
    study: Study,
    out: str | Path,
    searched: Iterable[int],
    steps: Callable[[StudyRun], T],
    engine: Placer | None,
    workers: int | None,
    options: Options,
) -> T:
    """Prepare a study in its folder, then take its steps; under ``torchrun``, on all processes together.

    Args:
        study: The study.
        out: Its folder.
        searched: Seeds that are run beside those that are reported.
        steps: What is to be done, while no other process may work in the folder.
        engine: Who runs the runs; None is this machine, or all processes of a launcher.
        workers: Processes at a time on this machine; None is as many as fit.
        options: How it is carried out.

    Returns:
        What ``steps`` returned.

    Raises:
        InputError: Something cannot be used, or another process works in ``out``, or ``out`` holds another
            study or what is not PATS's.
    """
    store = Store(out)

    def perform(engine: Placer) -> T:
        prepare.check_sharing(study, engine)
        prepare.check_methods(study)
        prepare.check_trackers(options.report_to)
        data = prepare.load_tasks(study, searched)
        prepare.take_folder(store, study, data)
        prepare.show_notes(data, options.console)
        with store.exclusive():
            prepare.write_tables(store, data)
            asked, raw = judged(study, store, data)
            identified, notes = identify(asked, store)
            study_run = StudyRun(identified, store, engine, data, options, [*raw, *notes])
            study_run.announce()
            return steps(study_run)

    if engine is None and ranks.count() > 1:
        return together(perform)
    engine = engine or LocalPlacer(workers)
    try:
        return perform(engine)
    finally:
        if isinstance(engine, LocalPlacer):  # another one's end is its owner's
            engine.close()
