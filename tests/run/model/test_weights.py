import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pats import InputError, Run, finetune
from pats.run.model import weights
from support.made_results import make_result
from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models of one architecture with other weights."""
    folder = tmp_path_factory.mktemp("weights")
    return [make_tiny_bert(folder / str(seed), seed) for seed in range(2)]


@pytest.fixture
def model(models, tmp_path):
    return Path(shutil.copytree(models[0], tmp_path / "bert"))


def test_names_have_no_hash(tmp_path):
    assert [weights.digest(name) for name in ("minilm", "org/name", str(tmp_path))] == [None] * 3


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_what_is_loaded_is_hashed(model, file):
    before = weights.digest(str(model))
    assert weights.digest(str(model)) == before
    content = (model / file).read_bytes()
    (model / file).write_bytes(content[:-1] + b" ")
    assert weights.digest(str(model)) != before
    (model / file).write_bytes(content)
    assert weights.digest(str(model)) == before
    (model / "README.md").write_text("nothing that is loaded")
    assert weights.digest(str(model)) == before


def test_a_copy_has_the_same_hash_and_a_file_is_read_once(models, model, monkeypatch):
    before = weights.digest(str(models[0]))
    assert weights.digest(str(model)) == before
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("read again"))
    assert weights.digest(str(model)) == before


def test_the_hash_is_part_of_the_id_and_none_is_as_before():
    run = Run(task="rte", model="here", fingerprint="f", method="pats-paper")  # called pats in old ids
    assert run.id == "03e89f878c52126d"
    assert replace(run, weights="1").id not in (run.id, replace(run, weights="2").id)
    assert Run.from_dict({k: v for k, v in run.to_dict().items() if k != "weights"}) == run


def settings(model, table):
    return Run(model=str(model), data=str(table), method="vanilla", steps=2, batch_size=4, lr=1e-3)


def test_other_weights_are_another_run(models, model, tmp_path):
    run = settings(model, make_table(tmp_path / "texts.csv", rows=40))
    first = finetune(run, tmp_path / "out", keep_model=False)
    assert first.run.weights == weights.digest(str(model))
    assert finetune(run, tmp_path / "out", keep_model=False) == first
    shutil.copy(models[1] / "model.safetensors", model / "model.safetensors")
    with pytest.raises(InputError, match="another run"):
        finetune(run, tmp_path / "out", keep_model=False)
    with pytest.raises(InputError, match="have changed since this run was planned"):
        finetune(first.run, tmp_path / "planned")


def test_a_folder_from_before_the_hash_goes_on_while_its_model_is_the_same(models, model, tmp_path):
    run = replace(settings(model, tmp_path / "texts.csv"), weights=None)
    old = make_result(replace(run, fingerprint="f"), [0.5])
    (tmp_path / "result.json").write_text(old.to_json())
    assert weights.identified(run, "f", tmp_path).id == old.run_id
    assert weights.identified(run, "g", tmp_path).weights is not None  # other data: not that run
    time.sleep(0.02)
    shutil.copy2(models[1] / "model.safetensors", model / "model.safetensors")  # with its old time
    known = weights.identified(run, "f", tmp_path)
    assert known.weights == weights.digest(str(model))
    (tmp_path / "result.json").write_text("[]")
    assert weights.identified(run, "f", tmp_path) == known


def test_a_result_tells_its_time_itself(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(json.dumps({}))
    os.utime(file, (100, 100))
    assert weights.made_at({"time": "1970-01-01T00:00:07+00:00"}, file) == 7
    assert [weights.made_at(other, file) for other in ({}, {"time": "noon"}, [], None)] == [100] * 4
