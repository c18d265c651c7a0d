import json
import math

import pytest

from pats import Run, Study, compare
from pats.cli import main
from pats.run.model.exported import read_mark
from pats.study.store import results as stores
from support.inline_placer import InlinePlacer
from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=80)
    (folder / "bad.yaml").write_text("batch: 3")
    (folder / "torn").mkdir()
    (folder / "torn" / "sensitivity.json").write_text('{"models": []}')
    (folder / "torn" / "data_size.json").write_text('{"points"')
    return folder


@pytest.fixture(scope="module")
def finished(inputs):
    """The folder of a comparison."""
    out = inputs / "out"
    run = Run(data=str(inputs / "texts.csv"), model=str(inputs / "bert"), epochs=2)
    # So few steps teach this model nothing, hence force.
    compare(
        Study(methods=("vanilla", "pats"), seeds=2, run=run, lr=1e-3, baselines=()),
        out,
        engine=InlinePlacer(),
        force=True,
    )
    return out


def test_report(finished, capsys):
    assert main(["report", str(finished)]) == 0
    said = capsys.readouterr().out
    names = ("report.html", "report.md", "report.tex", "report.csv", "runs.csv", "model/README.md")
    assert all(str(finished / name) in said for name in names)
    page = (finished / "report.html").read_text()
    assert "2 methods fine-tuned bert on texts with 2 seeds each" in page
    # The first run gives the uncertainty over examples; both seeds score the same, which tells no spread.
    row = next(
        line
        for line in (finished / "report.md").read_text().splitlines()
        if line.startswith("| vanilla | 2 |")
    )
    assert row.count("[") == 1
    card = (finished / "model" / "README.md").read_text()
    assert read_mark(finished / "model")["run_id"] in card
    assert "{" not in (finished / "report.csv").read_text()


def test_report_elsewhere_and_as_json(finished, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert main(["report", str(finished), "--out", str(tmp_path / "page"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["verdict"][0].startswith("Nothing was learned: all 4 runs predict one constant")
    assert (tmp_path / "page" / "report.html").exists()
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before  # there and nowhere else


def test_a_card_that_a_user_wrote_stays(finished, capsys):
    card = finished / "model" / "README.md"
    card.write_text("# My model\n")
    assert main(["report", str(finished)]) == 0
    assert str(card) not in capsys.readouterr().out
    assert card.read_text() == "# My model\n"
    card.unlink()


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.tex", "report.csv", "runs.csv"])
def test_a_report_does_not_replace_a_users_file(finished, tmp_path, capsys, name):
    (tmp_path / name).write_text("mine")
    assert main(["report", str(finished), "--out", str(tmp_path)]) == 2
    assert f"{name} is there, and not of PATS's making" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]
    (tmp_path / name).unlink()
    for _ in range(2):
        assert main(["report", str(finished), "--out", str(tmp_path)]) == 0


def test_sensitivities_do_not_replace_a_users_file(finished, inputs, tmp_path, capsys):
    (tmp_path / "sensitivity.md").write_text("mine")
    data = ["--data", str(inputs / "texts.csv"), "--out", str(tmp_path)]
    assert main(["sensitivity", str(finished / "nothing-here"), *data]) == 2
    assert "sensitivity.md is there" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["sensitivity.md"]


def test_sensitivity_and_its_figure_in_the_report(finished, inputs, tmp_path, capsys):
    (tmp_path / "flags.yaml").write_text(f"data: {inputs / 'texts.csv'}\nbatches: 1\n")
    arguments = ["--config", str(tmp_path / "flags.yaml"), "--out", str(tmp_path), "--quiet"]
    models = [f"one={finished / 'model'}", f"two={finished / 'model'}"]
    assert main(["sensitivity", *models, *arguments]) == 0
    assert "Concentration of sensitivities" in capsys.readouterr().out
    assert (tmp_path / "sensitivity.html").exists()
    one, two = json.loads((tmp_path / "sensitivity.json").read_text())["models"]
    assert one["whole"] == two["whole"]
    assert math.isfinite(one["whole"]["cv"])
    assert main(["report", str(finished), "--sensitivity", str(tmp_path)]) == 0
    assert "Within the paper" in (finished / "report.html").read_text()
    capsys.readouterr()
    assert main(["sensitivity", models[0], *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["whole"] == one["whole"]


def test_a_study_that_has_not_begun(finished, tmp_path, capsys):
    study = stores.Store(finished).study()
    stores.Store(tmp_path).save_study(study)
    assert main(["report", str(tmp_path)]) == 0
    assert "There is no difference to judge" in capsys.readouterr().out


BAD = [
    (["report", "nowhere"], "nowhere"),
    (["report", "{out}", "--sensitivity", "nowhere"], "sensitivity.json is missing"),
    (["report", "{out}", "--data-size", "{out}/report.csv"], "data_size.json is missing"),
    (["report", "{out}", "--sensitivity", "{in}/torn"], "is not what pats sensitivity writes"),
    (["report", "{out}", "--data-size", "{in}/torn"], "is not what pats data-size writes"),
    (["sensitivity", "{out}/model"], "there is no data"),
    (["sensitivity", "--task", "cola"], "there is no model"),
    (["sensitivity", "{out}/model", "--config", "{in}/bad.yaml"], "unknown key 'batch'"),
    (["sensitivity", "{out}/model", "--data", "{in}/texts.csv"], "--out is missing"),
    (
        ["sensitivity", "a=x", "a=y", "--data", "{in}/texts.csv", "--out", "{tmp}"],
        "two models are called 'a'",
    ),
    (["sensitivity", "./nowhere", "--data", "{in}/texts.csv", "--out", "{tmp}"], "nowhere"),
    (["sensitivity", "{in}/bert", "--data", "{in}/texts.csv", "--out", "{tmp}"], "is not fine-tuned"),
    (
        ["sensitivity", "{out}/model", "--task", "grammar", "--out", "{tmp}"],
        "name the task that it was trained",
    ),
    (["data-size", "--out", "{tmp}"], "nothing to train on"),
    (["data-size", "--data", "{in}/texts.csv", "--fractions", "2", "--out", "{tmp}"], "at most 1"),
    (["data-size", "--tasks", "cola", "rte", "--out", "{tmp}"], "one task and one model"),
]


@pytest.mark.parametrize(("argv", "said"), BAD, ids=[" ".join(bad[0]) for bad in BAD])
def test_bad_input_is_one_sentence(argv, said, finished, inputs, tmp_path, capsys):
    places = {"out": finished, "in": inputs, "tmp": tmp_path}
    assert main([word.format(**places) for word in argv]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_study_of_another_make_is_one_sentence(tmp_path, capsys):
    stores.Store(tmp_path).save_study({"study": {}})
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a comparison's" in capsys.readouterr().err
    stores.Store(tmp_path).save_study({"study": {}, "cells": []})
    assert main(["report", str(tmp_path)]) == 2
    assert "has no cells" in capsys.readouterr().err
