"""The model that a study keeps: never another study's, never one that cannot be loaded."""

import hashlib
import io
import json
import os
from dataclasses import replace
from functools import partial

import pytest
from rich.console import Console

import pats
from pats import InputError, Run, Study, _schema
from pats.run.model.exported import read_mark
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.tiny_bert import make_table

compare = partial(pats.compare, force=True)  # two steps leave models that predict one constant


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def study(study_inputs):
    run = Run(data=str(study_inputs / "texts.csv"), steps=2, batch_size=16, max_length=16, precision="fp32")
    return Study(
        models=(str(study_inputs / "bert"),), methods=("vanilla",), seeds=1, run=run, lr=1e-3, baselines=()
    )


@pytest.fixture
def first(study, tmp_path):
    """A study that has ended, and the hash of its model."""
    result = compare(study, tmp_path / "out", engine=InlinePlacer())
    return result, digest(tmp_path / "out" / "model")


@pytest.mark.parametrize("name", ["texts.csv", "other.csv"])
def test_a_second_table_does_not_replace_the_first_ones_model(study, first, tmp_path, name):
    make_table(tmp_path / name, rows=120, seed=5)
    second = replace(study, run=replace(study.run, data=str(tmp_path / name)))
    with pytest.raises(InputError, match=r"holds a study of.*name another --out"):
        compare(second, first[0].out, engine=InlinePlacer())
    assert digest(first[0].out / "model") == first[1]
    kept = _schema.build(Study, Store(first[0].out).study()["study"])
    assert replace(kept, weights={}) == study
    assert compare(study, first[0].out, engine=InlinePlacer()).page == first[0].page


def test_other_settings_keep_the_first_model_under_another_name(study, first):
    out = first[0].out
    before = read_mark(out / "model")["run_id"]
    second = compare(replace(study, lr=1e-4), out, engine=InlinePlacer())
    (choice,) = second.chosen.values()
    assert read_mark(out / "model")["run_id"] == choice.run_id != before
    aside = out / f"model-{before}"
    assert digest(aside) == first[1]
    assert any(str(aside) in note for note in second.page.notes)


def test_a_study_that_grows_replaces_its_own_model_alone(study, first):
    out = first[0].out
    grown = compare(replace(study, seeds=2), out, engine=InlinePlacer())
    (choice,) = grown.chosen.values()
    assert read_mark(out / "model")["run_id"] == choice.run_id
    assert sorted(path.name for path in out.glob("model*")) == ["model"]


def test_models_of_several_tasks_and_of_one(study, tmp_path, glue_root):
    """One task's model moves to its own folder when there are more, and stays there."""
    tasks = replace(study, tasks=("rte",), run=replace(study.run, data=str(glue_root), fraction=0.02))
    compare(tasks, tmp_path, engine=InlinePlacer())
    before = digest(tmp_path / "model")
    compare(replace(tasks, tasks=("rte", "mrpc")), tmp_path, engine=InlinePlacer())
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["mrpc", "rte"]
    assert digest(tmp_path / "model" / "rte") == before
    kept = digest(tmp_path / "model" / "mrpc")
    compare(tasks, tmp_path, engine=InlinePlacer())
    assert digest(tmp_path / "model" / "rte") == before
    assert digest(tmp_path / "model" / "mrpc") == kept


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_model_that_cannot_be_loaded_is_made_again_and_that_is_said(study, first, damage):
    weights = first[0].out / "model" / "model.safetensors"
    if damage == "cut":
        os.truncate(weights, weights.stat().st_size // 2)
    else:
        weights.unlink()
    again = compare(study, first[0].out, engine=InlinePlacer())
    assert digest(first[0].out / "model") == first[1]
    assert any(f"model.safetensors is {damage}: the model is made again" in note for note in again.page.notes)
    assert compare(study, first[0].out, engine=InlinePlacer()).page == first[0].page


def test_a_users_model_beside_a_study_is_kept(study, first):
    """It was put there afterwards: its card is gone, and nothing could make it again."""
    out = first[0].out
    (out / "model" / "pats.json").unlink()
    compare(study, out, engine=InlinePlacer())
    (aside,) = out.glob("model-*")
    assert digest(aside) == first[1]


@pytest.mark.parametrize("inside", ["model", "model/deeper"])
def test_a_study_does_not_replace_a_model_that_it_trains(study, first, inside):
    out = first[0].out
    with pytest.raises(InputError, match="lies where this study puts its own"):
        compare(replace(study, models=(str(out / inside),)), out, engine=InlinePlacer())
    assert digest(out / "model") == first[1]


@pytest.mark.parametrize("put", [{"model/weights.bin": "x"}, {"notes.txt": "x"}, {"study.json": "{}"}])
def test_a_users_folder_is_refused_before_anything_runs(study, tmp_path, put):
    for name, text in put.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="holds what is not of PATS's making"):
        compare(study, tmp_path, engine=InlinePlacer())
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(put)


def test_a_study_of_the_first_version_goes_on(study, first):
    """It has no mark, and its model no more than its card."""
    out = first[0].out
    (out / "pats.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("runs/**/*")}
    assert compare(study, out, engine=InlinePlacer()).page == first[0].page
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert json.loads((out / "pats.json").read_text()) == {"format": 1, "what": "study"}


class Sharing(InlinePlacer):
    """Says how many runs a GPU takes."""

    def __init__(self, events):
        super().__init__()
        self.events = events

    def share_gpus(self, bytes_a_run):
        self.events.append(bytes_a_run)
        return "3 runs at a time on each GPU."

    def submit(self, attempt):
        self.events.append("run")
        return super().submit(attempt)


def test_how_many_runs_share_a_gpu_is_said_before_the_first_one(study, tmp_path):
    events = []

    class Screen(Console):
        def print(self, *words, **how):
            events.extend(word for word in words if "each GPU" in str(word))

    screen = Screen(file=io.StringIO())
    study = replace(study, methods=("vanilla", "pats"))
    compare(study, tmp_path, engine=Sharing(events), console=screen)
    need, *rest = events
    assert need > 700 << 20
    assert rest == ["3 runs at a time on each GPU.", "run", "run"]
    compare(study, tmp_path, engine=Sharing(events), console=screen)
    assert len(events) == 4  # nothing was left to run
