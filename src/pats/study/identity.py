"""What a study finds out before its runs have ids: hashes of local models, and what its table asks for."""

from dataclasses import replace
from typing import Any

from pats._errors import InputError
from pats.baselines import is_simple
from pats.page.content.words import count
from pats.run.folder.files import RESULT
from pats.run.model import weights
from pats.study.plan.grid import Study
from pats.study.plan.planned import PlannedCell
from pats.study.prepare import StudyData
from pats.study.store.results import Store

RAW_STILL = (
    "The runs in {folder} learned the scores as they are, and the others do so too; in a new folder they "
    "learn them with mean 0 and spread 1, whatever their unit."
)


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


def judged(study: Study, store: Store, data: StudyData) -> tuple[Study, tuple[str, ...]]:
    """The study with what its table asks for where it is not the usual: metric, kind and targets.

    A study that was begun before such a metric or such targets were chosen goes on with the usual ones, and a
    sentence tells so of its scores.
    """
    begun = [run for cell in _begun(store) for run in cell.runs if store.result(run.id) is not None]
    trained = [run for run in begun if not is_simple(run.method)]  # baselines have no targets
    asked: dict[str, Any] = {"kind": data.kind or study.run.kind}
    if data.metric is not None and all(run.metric for run in begun):
        asked["metric"] = data.metric
    if data.targets is not None and all(run.targets for run in trained):
        asked["targets"] = data.targets
    study = replace(study, run=replace(study.run, **asked))
    raw = data.targets is not None and study.run.targets is None
    return study, (RAW_STILL.format(folder=store.root),) if raw else ()


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
