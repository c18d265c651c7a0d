import json
import shutil
from dataclasses import replace

import pytest

from pats import InputError
from pats.run import Run
from pats.study import Study
from pats.study.data_size import data_size
from pats.tasks import load
from support.inline_placer import InlinePlacer


@pytest.fixture(scope="module")
def study(study_inputs):
    run = Run(data=str(study_inputs / "texts.csv"), epochs=1, max_length=16, lr=1e-3)
    return Study(models=(str(study_inputs / "bert"),), methods=("vanilla", "pats"), seeds=1, run=run, lr=1e-3)


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("size") / "out"
    return data_size(study, (1.0, 0.25), out, batches=2, engine=InlinePlacer()), out


def test_points(finished, study_inputs):
    found, _ = finished
    whole = len(load(None, str(study_inputs / "texts.csv"), seed=0).splits["train"])
    assert [(p["method"], p["fraction"]) for p in found.points] == [
        ("vanilla", 0.25),
        ("pats", 0.25),
        ("vanilla", 1.0),
        ("pats", 1.0),
    ]
    assert {p["examples"] for p in found.points if p["fraction"] == 1.0} == {whole}
    assert all(abs(p["examples"] - whole / 4) <= 2 for p in found.points if p["fraction"] == 0.25)
    assert all(p["score"] is not None and p["std"] > 0 and p["cv"] > 0 for p in found.points)
    assert found.failures == {}


def test_weights_go_once_they_are_measured(finished):
    _, out = finished
    assert list(out.glob("*/runs/**/*.safetensors")) == []
    assert len(list(out.glob("*/sensitivities/*.json"))) == 4
    assert len(json.loads((out / "data_size.json").read_text())["points"]) == 4


def test_again_it_makes_nothing_and_finds_the_same(finished, study):
    found, out = finished
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/runs/*/result.json")}
    again = data_size(study, (0.25, 1.0), out, batches=2, engine=InlinePlacer())
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_weights_that_are_gone_are_said_by_none(finished, study, tmp_path):
    _, out = finished
    shutil.copytree(out, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "0.25" / "sensitivities")
    found = data_size(study, (0.25,), tmp_path / "out", batches=2, engine=InlinePlacer())
    assert [p["std"] for p in found.points] == [None, None]
    assert all(p["score"] is not None for p in found.points)


@pytest.mark.parametrize(
    ("change", "fractions", "said"),
    [
        ({"tasks": ("cola", "rte")}, (0.5,), "one task and one model"),
        ({"models": ("a", "b")}, (0.5,), "one task and one model"),
        ({}, (0.0, 0.5), "above 0 and at most 1"),
        ({}, (1.5,), "above 0 and at most 1"),
        ({}, (), "above 0 and at most 1"),
    ],
)
def test_bad_input(study, tmp_path, change, fractions, said):
    with pytest.raises(InputError, match=said):
        data_size(replace(study, **change), fractions, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("put", "said"),
    [
        ({"notes.txt": "mine"}, "holds what is not of PATS's making"),
        ({"data_size.json": '{"task": "other", "points": []}'}, "holds the sizes of other"),
    ],
)
def test_what_stands_in_the_folder_is_not_replaced(study, tmp_path, put, said):
    for name, text in put.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        data_size(study, (0.5,), tmp_path, engine=InlinePlacer())
    assert {name: (tmp_path / name).read_text() for name in put} == put
    assert not (tmp_path / "0.5").exists()
