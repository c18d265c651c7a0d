"""Three lines of Python: from a table, in a file or in memory, to its study and its folder."""

import importlib
import io
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run as start

import datasets
import pandas
import pyarrow
import pytest

import pats
from pats import InputError, Run, Study
from pats.study.from_table import study_of, with_piped
from support.inline_placer import InlinePlacer
from support.tiny_bert import make_table

QUICK = {"methods": ["vanilla"], "seeds": 1, "lr": 1e-3, "steps": 2}


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_table(tmp_path / "texts.csv", rows=80)


FRAMES = {
    "pandas": lambda path: pandas.read_csv(path),
    "arrow": lambda path: pyarrow.Table.from_pandas(pandas.read_csv(path)),
    "records": lambda path: pandas.read_csv(path).to_dict("records"),
    "columns": lambda path: pandas.read_csv(path).to_dict("list"),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_what_python_holds_is_kept_in_the_folder(table, kind):
    study, folder, *_ = study_of(FRAMES[kind](table), None, {"label": "label"})
    assert folder == Path("out/table")
    kept = Path(study.run.data)
    assert kept.parent.parent == folder / "data"
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert rows == pandas.read_csv(table).to_dict("records")
    assert study.task_list == ("table",)
    assert study_of(FRAMES["pandas"](table), "out/table", {})[0].run.data == study.run.data


@pytest.mark.parametrize("door", ["a study", "data"])
def test_standard_input_is_kept_in_the_folder_as_it_came(table, tmp_path, monkeypatch, door):
    content = table.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    if door == "data":
        study, *_ = study_of("-", "x", {"label": "label"})
        assert Path(study.run.data).read_bytes() == content
        return
    study = Study(run=Run(data="-", label="label"), seeds=1)
    kept = Path(with_piped(study, "x").run.data)
    assert kept.read_bytes() == content
    assert kept.parent.parent == Path("x/data")
    assert with_piped(replace(study, run=replace(study.run, data=str(table))), "x").run.data == str(table)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        with_piped(study, "x")


@pytest.mark.parametrize("door", ["compare", "sweep", "data_size"])
def test_every_study_reads_standard_input_once(table, tmp_path, monkeypatch, door):
    """Each hands on a study whose data are in a file of its folder."""
    content, handed_on = table.read_bytes(), []

    class Handed(Exception):
        pass

    def hand_on(study, *_, **__):
        handed_on.append(study)
        raise Handed

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    inner = "compare" if door == "data_size" else "conduct"
    monkeypatch.setattr(importlib.import_module(f"pats.study.{door}"), inner, hand_on)
    study = Study(run=Run(data="-", label="label"), seeds=1, models=("m",))
    start = {
        "compare": lambda: pats.compare(study, "x"),
        "sweep": lambda: pats.sweep(pats.Sweep(study), "x"),
        "data_size": lambda: importlib.import_module("pats.study.data_size").data_size(study, out="x"),
    }[door]
    with pytest.raises(Handed):
        start()
    assert Path(handed_on[0].run.data).read_bytes() == content
    assert handed_on[0].run.data.startswith("x/data/")


@pytest.mark.parametrize("kind", ["pandas", "path"])
def test_splits_may_be_tables_of_their_own(table, tmp_path, kind):
    frame = pandas.read_csv(table)
    parts = {"data": frame[:50], "dev": frame[50:62], "test": frame[62:]}
    for name, part in parts.items() if kind == "path" else ():
        part.to_csv(tmp_path / f"{name}.csv", index=False)
        parts[name] = tmp_path / f"{name}.csv"
    data = parts.pop("data")
    study, folder, *_ = study_of(data, None, {"label": "label", **parts})
    files = [study.run.data, study.run.dev, study.run.test]
    assert [
        len(pandas.read_json(f, lines=True) if kind == "pandas" else pandas.read_csv(f)) for f in files
    ] == [*(50, 12, 18)]
    assert study_of(data, folder, {"label": "label", **parts})[0] == study


def test_what_is_lost_of_a_table_that_python_holds_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"text": [f"text {i}" for i in range(60)], "label": list("ab") * 30}
    splits = {name: datasets.Dataset.from_dict(rows) for name in ("train", "unsupervised")}
    planned = study_of(datasets.DatasetDict(splits), "x", {"label": "label"})
    assert [note[:44] for note in planned.notes] == ["Warning: The split 'unsupervised' is not rea"]
    assert study_of(rows, "y", {"label": "label"}).notes == ()


def test_cells_that_json_has_no_word_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    days = pandas.date_range("2024-02-29", periods=60)
    frame = pandas.DataFrame({"text": [f"text {i}" for i in range(60)], "day": days, "y": list("ab") * 30})
    frame.loc[3, "text"] = None
    study, *_ = study_of(frame, "x", {"label": "y"})
    rows = [json.loads(line) for line in Path(study.run.data).read_text().splitlines()]
    assert rows[0]["day"].startswith("2024-02-29")
    assert rows[3]["text"] is None


def test_settings_go_where_they_belong(table):
    given = {
        "label": "label",
        "models": "bert",
        "baselines": "tfidf",
        "lr": 1e-3,
        "steps": 7,
        "seeds": (4, 5),
    }
    study, folder, limit, every, _ = study_of(table, "here", given)
    assert (study.model_list, study.simple, study.seed_list) == (("bert",), ("tfidf",), (4, 5))
    assert (study.run.data, study.run.label, study.run.steps, study.lr) == (str(table), "label", 7, 1e-3)
    assert (folder, limit, every) == (Path("here"), 20 * 60, True)
    assert study.lr_grid == ()  # a rate is in place of the preset's grid


def test_the_preset_is_that_of_tables(table):
    usual, _, _, every, _ = study_of(table, "here", {})
    assert not every
    assert len(usual.lr_grid) == 3
    assert usual.run.min_steps == 150
    paper, _, limit, every, _ = study_of(table, "here", {"preset": "paper"})
    assert (paper.lr_grid, paper.run.min_steps, limit, every) == ((), None, None, True)
    epochs, *_ = study_of(table, "here", {"epochs": 2})
    assert (epochs.run.epochs, epochs.run.min_steps) == (2, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": "label"}, "there is no setting 'labels' of a comparison .did you mean 'label'"),
        ({"init_seed": 3}, "there is no setting 'init_seed' of a comparison"),
        ({"label": "mood"}, "has no column 'mood'"),
        ({"preset": "fast"}, "preset is 'fast', but must be one of: paper, table"),
        ({"tasks": ["rte"]}, "the task 'rte' has data of its own: leave out the table"),
        ({"seeds": 0}, "seeds is 0"),
    ],
)
def test_bad_settings_write_nothing(table, settings, said):
    with pytest.raises(InputError, match=said):
        study_of(FRAMES["pandas"](table), None, settings)
    assert not Path("out").exists()


def test_a_folder_of_other_data_is_left_alone(table, study_inputs):
    frame = pandas.read_csv(table)
    quick = {**QUICK, "models": str(study_inputs / "bert"), "baselines": "majority", "force": True}

    def compared(data):
        return pats.compare(data=data, engine=InlinePlacer(), progress=False, **quick)

    first = compared(frame)
    runs = sorted(path.name for path in first.out.glob("runs/*"))
    assert str(compared(frame[:60]).out) == "out/table-2"
    again = compared(frame)
    assert str(again.out) == str(first.out) == "out/table"
    assert sorted(path.name for path in first.out.glob("runs/*")) == runs
    said = pats.predict(again.out, frame[["text"]])
    assert len(said) == 80
    told = said.to_pandas()
    assert list(told.columns) == ["prediction", "p_bad", "p_good"]
    assert set(told["prediction"]) <= {"good", "bad"}


SCRIPT = """
import pats
result = pats.compare("texts.csv", models={bert!r}, **{quick!r})
print(result)
"""


def test_a_script_needs_no_guard(table, study_inputs):
    """Without ``if __name__ == "__main__"``, and in processes of its own."""
    quick = {**QUICK, "baselines": ["majority"], "force": True}
    Path("script.py").write_text(SCRIPT.format(bert=str(study_inputs / "bert"), quick=quick))
    ran = start([sys.executable, "script.py"], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("StudyResult in 'out/texts': 2 rows, 2 runs, 0 failed.\n")
    assert "The study is in out/texts." in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "there is nothing to compare on"),
        ({"study": "a.csv", "data": "b.csv"}, "pass one of a pats.Study, a table, and data="),
        ({"study": pats.Study(tasks=("rte",)), "label": "x"}, "label is for a table"),
        ({"study": pats.Study(tasks=("rte",)), "time_limit": -math.inf}, "time_limit is -inf"),
        (
            {"study": pats.Study(tasks=("rte",)), "time_limit": "3min"},
            "time_limit is .3min., but must be a number",
        ),
    ],
)
def test_what_to_compare_on_is_named_once(arguments, said):
    with pytest.raises(InputError, match=said):
        pats.compare(**arguments)


class Interrupted(InlinePlacer):
    """Ctrl-C while the second run is at work, once."""

    def __init__(self):
        super().__init__()
        self.started, self.interrupt = [], True

    def submit(self, attempt):
        self.started.append(json.loads((attempt / "spec.json").read_text())["run"]["method"])
        if self.interrupt and len(self.started) == 2:
            self.interrupt = False
            raise KeyboardInterrupt
        return super().submit(attempt)


def test_a_call_that_was_interrupted_while_a_baseline_was_fitted_goes_on(table, tmp_path):
    engine = Interrupted()
    told = {**QUICK, "methods": ["majority", "tfidf"], "baselines": (), "engine": engine, "progress": False}
    with pytest.raises(KeyboardInterrupt, match="stopped; the same call goes on where this one was, in out"):
        pats.compare(table, "out/it", **told)
    result = pats.compare(table, "out/it", **told)
    assert engine.started == ["majority", "tfidf", "tfidf"]
    assert result.failures == 0
