import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pats import Run, Study, compare
from pats.run.model import weights
from pats.study.identity import identify
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.made_results import make_result
from support.tiny_bert import make_tiny_bert


@pytest.fixture
def study(study_inputs, tmp_path):
    model = Path(shutil.copytree(study_inputs / "bert", tmp_path / "bert"))
    run = Run(data=str(study_inputs / "texts.csv"), steps=1, lr=1e-3, batch_size=16)
    return Study(models=(str(model), "minilm"), methods=("vanilla",), seeds=1, run=run, baselines=())


def begin(store, study, when=None):
    """A folder as it was left before runs knew the hash of their model."""
    cells = study.cells({(task, 0): "f" for task in study.task_list})
    store.save_study({"study": study.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    for run in (run for cell in cells for run in cell.runs):
        attempt = store.claim(run)
        environment = {} if when is None else {"time": when}
        (attempt / "result.json").write_text(make_result(run, [0.5], environment=environment).to_json())
        store.commit(attempt, run.id)
    return [cell.runs[0].id for cell in cells]


def test_a_new_study_knows_its_local_models(study, tmp_path):
    known, notes = identify(study, Store(tmp_path / "out"))
    (model, _) = study.models
    assert (known.weights, notes) == ({model: weights.digest(model)}, ())
    assert [run.weights for run in known.runs()] == [weights.digest(model), None]
    assert known.runs()[0].id != study.runs()[0].id
    assert known.runs()[1].id == study.runs()[1].id


def test_a_study_from_before_goes_on_while_the_files_are_older(study, tmp_path):
    store = Store(tmp_path / "out")
    ids = begin(store, study)
    known, notes = identify(study, Store(store.root))
    assert (known.weights, notes) == ({}, ())
    assert [run.id for run in known.runs({(task, 0): "f" for task in study.task_list})] == ids


@pytest.mark.parametrize("change", ["other weights", "results of yesterday"])
def test_a_study_from_before_is_made_again_where_nobody_knows(study, tmp_path, change):
    store = Store(tmp_path / "out")
    begin(store, study, "2020-01-01T00:00:00+00:00" if change == "results of yesterday" else None)
    if change == "other weights":
        time.sleep(0.02)
        other = make_tiny_bert(tmp_path / "other", 1)
        shutil.copy2(other / "model.safetensors", study.models[0])
    known, (note,) = identify(study, store)
    assert set(known.weights) == {study.models[0]}
    assert f"younger than 1 result in {store.root}" in note


def test_other_weights_under_the_same_path_are_other_runs(study, tmp_path):
    alone = replace(study, models=study.models[:1])
    first = compare(alone, tmp_path / "out", engine=InlinePlacer())
    again = compare(alone, tmp_path / "out", engine=InlinePlacer())
    assert again.cells == first.cells
    other = make_tiny_bert(tmp_path / "other", 1)
    shutil.copy(other / "model.safetensors", study.models[0])
    second = compare(alone, tmp_path / "out", engine=InlinePlacer())
    ids = [result.cells[0].outcomes[0].run_id for result in (first, second)]
    assert len(set(ids)) == 2
    assert second.cells[0].outcomes[0].result.run.weights == weights.digest(study.models[0])
    assert Store(tmp_path / "out").result(ids[0]) is not None  # the old one stays
