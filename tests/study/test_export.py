import csv
import json

import pyarrow.parquet
import pytest

from pats import InputError
from pats.run.spec import Run
from pats.study.export import write_table
from pats.study.plan.grid import Study
from pats.study.store.attempt import end, write_error
from pats.study.store.results import Store
from support.made_results import make_result

STUDY = Study(
    tasks=("rte",),
    methods=("vanilla", "pats"),
    seeds=2,
    lr=1e-4,
    run=Run(),
    baselines=(),
    options={"pats": {"budget": 0.1}},
)


@pytest.fixture
def store(tmp_path):
    """Two runs done, one failed, one waiting."""
    store, runs = Store(tmp_path / "out"), STUDY.runs()
    cells = STUDY.cells()
    store.save_study({"study": STUDY.to_dict(), "cells": [cell.to_dict() for cell in cells]})
    for run in runs[:2]:
        attempt = store.claim(run)
        result = make_result(
            run, [0.5, 0.75], test=0.25, timings={"total": 12.5}, environment={"device": "cpu"}
        )
        (attempt / "result.json").write_text(result.to_json())
        store.commit(attempt, run.id)
    attempt = store.claim(runs[2])
    write_error(attempt, "its process failed; its log ends: ValueError: seven")
    end(attempt, "failed")
    return store


def read(path):
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_row_a_run(store, tmp_path, suffix):
    target = tmp_path / f"runs{suffix}"
    assert write_table(store, target) == 4
    rows = read(target)
    by_state = {
        state: [row for row in rows if row["state"] == state] for state in ("done", "failed", "waiting")
    }
    assert [len(found) for found in by_state.values()] == [2, 1, 1]
    done = {row["label"]: row for row in by_state["done"]}
    assert float(done["pats"]["dev.best"]) == 0.75
    assert float(done["pats"]["best_epoch"]) == 2
    assert float(done["pats"]["test.accuracy"]) == 0.25
    assert float(done["pats"]["option.budget"]) == 0.1
    assert done["vanilla"]["option.budget"] in ("", None)
    assert float(done["pats"]["setting.lr"]) == 1e-4
    assert json.loads(done["pats"]["setting.betas"]) == [0.9, 0.999]
    assert float(done["pats"]["seconds.total"]) == 12.5
    assert done["pats"]["device"] == "cpu"
    assert by_state["failed"][0]["error"].endswith("ValueError: seven")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_row_an_evaluation(store, tmp_path, suffix):
    target = tmp_path / f"epochs{suffix}"
    assert write_table(store, target, epochs=True) == 4
    rows = [row for row in read(target) if row["label"] == "pats"]
    assert [(float(row["epoch"]), float(row["dev.accuracy"])) for row in rows] == [(1, 0.5), (2, 0.75)]


def test_an_option_of_several_types_is_a_text(tmp_path):
    study = Study(tasks=("rte",), methods=("a=pats", "b=pats"), seeds=1, lr=1e-4, baselines=(),
                  options={"a": {"scope": "all"}, "b": {"scope": 1}})  # fmt: skip
    store = Store(tmp_path)
    store.save_study({"study": {}, "cells": [cell.to_dict() for cell in study.cells()]})
    for run in study.runs():
        attempt = store.claim(run)
        (attempt / "result.json").write_text(make_result(run, [0.5]).to_json())
        store.commit(attempt, run.id)
    write_table(store, tmp_path / "x.parquet")
    assert {row["option.scope"] for row in read(tmp_path / "x.parquet")} == {"all", "1"}


def test_bad_targets(store, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.csv or \.parquet"):
        write_table(store, tmp_path / "runs.xlsx")
    with pytest.raises(InputError, match="holds no study"):
        write_table(Store(tmp_path / "nowhere"), tmp_path / "runs.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("text", ["id,text\n1,mine\n", "", "PAR1"])
def test_a_users_table_is_not_replaced_and_one_of_ours_is(store, tmp_path, suffix, text):
    target = tmp_path / f"mine{suffix}"
    target.write_text(text)
    with pytest.raises(InputError, match="not of PATS's making"):
        write_table(store, target)
    assert target.read_text() == text
    target.unlink()
    assert write_table(store, target) == write_table(store, target, epochs=True) == 4


def test_a_link_is_not_replaced(store, tmp_path):
    (tmp_path / "runs.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(InputError, match="symbolic link"):
        write_table(store, tmp_path / "runs.csv")
