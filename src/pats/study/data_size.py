"""``data_size``: the metric and the spread of sensitivities against the size of the training data (Fig. 3).

    OUT/<fraction>/                     one comparison a size: a folder like any other comparison's
    OUT/<fraction>/sensitivities/<id>.json   what was measured of a run's model
    OUT/data_size.json                  all points

A model is measured when its comparison is done, and its weights are deleted then. A repeated call
reuses all that exists.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from pats._errors import InputError
from pats.run import Run, ranks
from pats.run.folder import owned
from pats.study import Study
from pats.study.compare import compare
from pats.study.from_table import with_piped
from pats.study.plan.tuned import without_baselines
from pats.study.result import StudyResult
from pats.study.store.files import read_json, write
from pats.study.store.results import Store

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
BATCHES = 32  # batches of the whole training set that every model is measured on

_SPREAD = ("std", "cv", "gini", "insensitive", "mean")

Point = dict[str, Any]


@dataclass(frozen=True)
class DataSize:
    """What ``data_size`` measured.

    Args:
        task: Name of the task.
        model: Name of the model.
        labels: Rows, in order.
        points: One run each: ``method``, ``fraction``, ``examples``, ``seed``, ``run_id``, ``score`` × 100
            (None for a failed run), ``constant`` where it predicts one, and ``std``, ``cv``, ``gini``,
            ``insensitive`` and ``mean`` of its sensitivities (None where the weights are gone).
        failures: Why runs failed, by id.
    """

    task: str
    model: str
    labels: tuple[str, ...]
    points: tuple[Point, ...]
    failures: Mapping[str, str]


def data_size(
    study: Study,
    fractions: Sequence[float] = FRACTIONS,
    out: str | Path = "out",
    *,
    batches: int | None = BATCHES,
    keep_models: bool = False,
    console: Console | None = None,
    **how: Any,
) -> DataSize:
    """Run a comparison at every size, and measure every model.

    Smaller parts of the training data are contained in larger ones, and classes keep their shares (they
    are the first of one random order a class, which ``data_seed`` gives); the dev set is the same.
    Sensitivities are measured over the same batches of the whole training set for every size, so that
    sizes differ in what was trained on alone.

    Args:
        study: One task and one model; the fraction of its run is not used.
        fractions: Shares of the training data, in (0, 1].
        out: Folder.
        batches: Batches to measure; None is the whole training set.
        keep_models: Keeps every run's weights once they are measured.
        console: Where progress is shown; None shows none.
        how: ``workers``, ``retries``, ``engine`` and ``report_to`` of ``compare``, see there how to
            call it under ``torchrun``.

    Raises:
        InputError: There are several tasks or models, a fraction is out of its range, or as ``compare``.
    """
    if len(study.task_list) > 1 or len(study.model_list) > 1:
        raise InputError("data-size takes one task and one model: run it once for each")
    study = without_baselines(study, "the measuring of sensitivities")
    shares = sorted({float(share) for share in fractions})
    if not shares or not all(0 < share <= 1 for share in shares):
        raise InputError(f"fractions are {list(fractions)}, but each must be above 0 and at most 1")
    if ranks.is_first():
        _take_folder(Path(out), study.task_list[0])
    study = with_piped(study, out)
    points: list[Point] = []
    failures: dict[str, str] = {}
    for share in shares:
        part = replace(study, run=replace(study.run, fraction=share))
        folder = Path(out) / f"{share:g}"
        result = compare(part, folder, keep_models=True, console=console, **how)
        spreads = ranks.first(partial(_measure, result, batches, keep_models, console))
        failures |= result.unscored
        for cell in result.cells:
            for outcome in cell.outcomes:
                if outcome.failure is not None:
                    failures[outcome.run_id] = outcome.failure
                spread = spreads.get(outcome.run_id, {})
                point: Point = {
                    "method": cell.label,
                    "fraction": share,
                    "examples": outcome.result.sizes.get("train", 0) if outcome.result else 0,
                    "seed": outcome.seed,
                    "run_id": outcome.run_id,
                    "score": cell.dev.get(outcome.seed),
                    "constant": outcome.result is not None and outcome.result.degenerate,
                }
                points.append(point | {key: spread.get(key) for key in _SPREAD})
    sizes = {point["fraction"]: point["examples"] for point in points if point["examples"]}
    for point in points:  # no chart shows a failed run, but the table of its size does
        point["examples"] = sizes.get(point["fraction"], 0)
    labels = tuple(dict.fromkeys(point["method"] for point in points))
    content = {"task": study.task_list[0], "model": study.model_list[0], "labels": labels, "points": points}
    if ranks.is_first():
        write(Path(out) / "data_size.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return DataSize(study.task_list[0], study.model_list[0], labels, tuple(points), failures)


def _take_folder(out: Path, task: str) -> None:
    owned.claim(out, owned.STUDY)
    known = read_json(out / "data_size.json").get("task")
    if known not in (None, task):
        raise InputError(f"{out} holds the sizes of {known}, but this is {task}: name another --out")


def _measure(
    result: StudyResult, batches: int | None, keep_models: bool, console: Console | None
) -> dict[str, Mapping[str, Any]]:
    """Summaries of the sensitivities of a comparison's runs, by id; of those whose weights are gone, none."""
    store = Store(result.out)
    runs = {run.id: run for cell in store.cells() for run in cell.runs}
    scored = [
        outcome.run_id
        for cell in result.cells
        for outcome in cell.outcomes
        if cell.dev.get(outcome.seed) is not None
    ]
    spreads = {}
    for run_id in scored:
        spread = _spread(store, runs[run_id], batches, console)
        if spread is not None:
            spreads[run_id] = spread
            if not keep_models:
                store.drop(run_id)
    return spreads


def _spread(store: Store, run: Run, batches: int | None, console: Console | None) -> Mapping[str, Any] | None:
    """The summary of a run's sensitivities, measured once; None where its weights are gone."""
    path = store.root / "sensitivities" / f"{run.id}.json"
    known = read_json(path)
    if known.get("batches_asked") == batches and isinstance(known.get("whole"), dict):
        whole: Mapping[str, Any] = known["whole"]
        return whole
    folder = store.model(run.id)
    if folder is None:
        return None
    from pats.measure.finetuned import measure
    from pats.run.data import load_data

    # The order of the batches is the same for all seeds and sizes.
    data = load_data(run)
    sensitivities = measure(
        str(folder), data, count=batches, batch_size=run.batch_size, precision=run.precision, seed=0
    )
    content = sensitivities.to_dict() | {"batches_asked": batches}
    write(path, json.dumps(content, ensure_ascii=False) + "\n")
    if console is not None:
        sentence = f"{run.method}, {100 * run.fraction:g} %, seed {run.data_seed}: sensitivities measured"
        console.print(sentence, markup=False, highlight=False)
    return sensitivities.whole.summary()
