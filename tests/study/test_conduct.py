"""What a comparison and a sweep do alike, before and while their own steps are taken."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from pats import InputError, Run, Study
from pats.study.conduct import conduct
from pats.study.options import Options
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.tables import labelled_rows, write_table

STUDY = Study(tasks=("grammar",), methods=("vanilla",), seeds=1, run=Run(task_options={"size": 100}))


@pytest.fixture(autouse=True)
def _models_have_no_hash(monkeypatch):
    monkeypatch.setattr("pats.run.model.weights.digest", lambda model: None)


def test_steps_are_taken_alone_with_the_data_of_every_seed(tmp_path):
    options = Options(retries=2, keep_models=True)

    def steps(study_run):
        with pytest.raises(InputError, match="another comparison"), Store(tmp_path / "out").exclusive():
            pass
        return study_run

    engine = InlinePlacer()
    engine.close = lambda: pytest.fail("an engine of one's own was closed")
    study_run = conduct(STUDY, tmp_path / "out", [7], steps, engine, None, options)
    assert (study_run.study, study_run.options, study_run.notes) == (STUDY, options, [])
    assert set(study_run.data.fingerprints) == {("grammar", 0), ("grammar", 7)}
    with Store(tmp_path / "out").exclusive():
        pass  # free again


@pytest.mark.parametrize(
    ("study", "engine", "options", "said"),
    [
        (STUDY, SimpleNamespace(processes=3), Options(), "batch_size is 32, but must be a multiple of the 3"),
        (Study(tasks=("grammar",), methods=("vanila",)), InlinePlacer(), Options(), "vanila"),
        (STUDY, InlinePlacer(), Options(report_to=("tensorbord",)), "no tracker 'tensorbord'"),
        (Study(tasks=("colla",)), InlinePlacer(), Options(), "colla"),
    ],
    ids=["processes", "method", "tracker", "task"],
)
def test_what_cannot_be_used_is_refused_before_the_folder_is_taken(tmp_path, study, engine, options, said):
    with pytest.raises(InputError, match=said):
        conduct(study, tmp_path / "out", [], lambda _: pytest.fail("it went on"), engine, None, options)
    assert not (tmp_path / "out").exists()


def test_what_is_known_of_a_table_comes_before_training_and_into_the_folder(tmp_path):
    rows = [{"title": "long " * 99, **row} for row in labelled_rows(["Pos", "neg", "pos"] * 20)]
    table = write_table(tmp_path / "a.csv", rows)
    run = Run(data=str(table), text=["title", "text"], quoting="double", max_length=20)
    told = Console(file=io.StringIO(), width=400)
    study = Study(methods=("vanilla",), seeds=1, run=run)
    conduct(study, tmp_path / "out", [], lambda _: None, InlinePlacer(), None, Options(console=told))
    lines = told.file.getvalue().splitlines()
    assert lines[0].startswith("a: Warning: Some labels look alike: 'Pos' (20 rows), 'pos' (20 rows)")
    assert "60 texts exceed the 20 tokens" in lines[1]
    assert any("columns 'title', 'text', joined" in line for line in lines[2:])
    known = json.loads((tmp_path / "out" / "data.json").read_text())["a"]
    assert known["classes"][0] == {"name": "Pos", "rows": 20, "share": pytest.approx(1 / 3)}
    assert {"label-spellings", "too-long"} <= {one["code"] for one in known["findings"]}
