"""What a study finds out before its runs have ids: hashes of local models, and the metric that decides."""

from dataclasses import replace

from pats._errors import InputError
from pats.page.content.words import count
from pats.run.folder.files import RESULT
from pats.run.model import weights
from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell
from pats.study.store.results import Store


def identify(study: Study, store: Store) -> tuple[Study, tuple[str, ...]]:
    """The study with the hash of every local model, and sentences on what that changes.

    A study that was begun before the hash was part of the ids goes on without it while the model's files are
    older than all its results. Where they are not, nobody knows what those results were made from: its runs
    are repeated, and the old results stay in their folders.
    """
    hashes, notes = {}, []
    cells = _begun(store)
    for model in study.model_list:
        digest = weights.digest(model)
        if digest is None:
            continue
        made = _made(store, [cell for cell in cells if cell.model == model])
        if made and not weights.changed_since(model, min(made)):
            continue
        hashes[model] = digest
        if made:
            notes.append(
                f"The files of the model {model} are younger than {count(len(made), 'result')} in "
                f"{store.root} that tell no weights: these are not counted, and their runs are made again."
            )
    return replace(study, weights=hashes), tuple(notes)


def judged(study: Study, store: Store, metric: str | None, kind: str | None = None) -> Study:
    """The study with the metric that decides on its table, where it is not the usual one, and such a kind.

    A study that was begun before such a metric was chosen goes on with the usual one.
    """
    if kind is not None:
        study = replace(study, run=replace(study.run, kind=kind))
    if metric is None or study.run.metric is not None:
        return study
    runs = [run for cell in _begun(store) for run in cell.runs]
    if any(run.metric is None and store.result(run.id) is not None for run in runs):
        return study
    return replace(study, run=replace(study.run, metric=metric))


def _begun(store: Store) -> list[PlannedCell]:
    try:
        return store.planned()
    except InputError:
        return []  # a new study, or one whose file is to be written again


def _made(store: Store, cells: list[PlannedCell]) -> list[float]:
    """When the results of runs without a hash were made."""
    times = []
    for run in (run for cell in cells for run in cell.runs if run.weights is None):
        result = store.result(run.id)
        if result is not None:
            times.append(weights.made_at(result.environment, store.folder(run.id) / RESULT))
    return times
