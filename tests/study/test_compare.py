import csv
import gzip
import html
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from pats import InputError, Run, Study, compare, finetune, report
from pats.measure.predict import predict
from pats.run.folder import owned
from pats.run.model.exported import read_mark
from pats.study.prepare import load_tasks
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer


@pytest.fixture(scope="module")
def study(study_inputs):
    run = Run(data=str(study_inputs / "texts.csv"), epochs=1, lr=1e-3, batch_size=16)
    return Study(
        models=(str(study_inputs / "bert"),), methods=("vanilla", "std=pats"), seeds=1, run=run, baselines=()
    )


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "out"
    options = {"std": {"intensity": "std"}}
    # One epoch teaches this model nothing, hence force.
    return compare(
        replace(study, options=options, lr_grid=(1e-4, 3e-3)), out, engine=InlinePlacer(), force=True
    )


def weights(out):
    return sorted(path for path in out.glob("runs/**/*.safetensors"))


def test_result(finished):
    (group,) = finished.groups
    assert [line.cell.label for line in group.lines if not line.cell.control] == ["vanilla", "std"]
    assert group.split == "test"
    assert finished.failures == 0
    assert finished.page.verdict[0].startswith("Nothing was learned: all 2 runs predict one constant")
    json.dumps(finished.to_dict(), allow_nan=False)


def test_tuning_picked_the_best_rate_of_the_grid(finished):
    store = Store(finished.out)
    reported = {outcome.run_id for cell in finished.cells for outcome in cell.outcomes}
    for cell in finished.cells:
        if cell.control:
            continue
        tuning = [
            result
            for path in finished.out.glob("runs/*")
            if path.name not in reported and (result := store.result(path.name)).run.method == cell.method
        ]
        assert sorted(result.run.lr for result in tuning) == [1e-4, 3e-3]
        assert cell.lr == max(tuning, key=lambda result: (result.best, -result.run.lr)).run.lr


def test_every_run_is_scored_on_the_same_rows(finished):
    store = Store(finished.out)
    results = [store.result(path.name) for path in finished.out.glob("runs/*")]
    assert len({result.run.data_seed for result in results}) == 2  # the reported one and the tuning one's
    assert len({result.run.fingerprint for result in results}) == 1
    scored = {
        tuple((row["split"], row["row"], row["label"]) for row in csv.DictReader(io.StringIO(text)))
        for path in finished.out.glob("runs/*/predictions.csv.gz")
        if (text := gzip.decompress(path.read_bytes()).decode())
    }
    assert len(scored) == 1


def test_a_rate_that_fails_in_the_tuning_is_told(study, tmp_path):
    """A rate that makes the loss infinite: the other is taken, the run counts as failed, a note says why."""
    run = replace(study.run, epochs=1, steps=4, optimizer="adamw", schedule="constant", warmup=0.0)
    grid = replace(study, methods=("vanilla",), run=run, lr_grid=(1e-4, 1e37))
    result = compare(grid, tmp_path, engine=InlinePlacer())
    (reason,) = result.unscored.values()
    assert "became nan" in reason
    assert (result.failures, result.cells[0].lr) == (1, 1e-4)
    (note,) = [note for note in result.page.notes if note.startswith("Failed: tuning of vanilla on texts")]
    assert note.endswith(reason)


def test_files(finished):
    out = finished.out
    assert finished.page.verdict[0] in (out / "table1.md").read_text()
    assert finished.page.verdict[0] in html.unescape((out / "report.html").read_text())
    assert "pats-finetune" in (out / "model" / "README.md").read_text()
    rows = list(csv.DictReader((out / "runs.csv").open()))
    assert len(rows) == len(finished.cells)
    assert not list(out.glob(".*"))


def test_only_the_chosen_model_stays(finished):
    (choice,) = finished.chosen.values()
    assert read_mark(finished.out / "model")["run_id"] == choice.run_id
    assert weights(finished.out) == []


def test_a_model_that_was_lost_is_made_again_with_the_same_weights(finished):
    model = finished.out / "model" / "model.safetensors"
    before, card = model.read_bytes(), finished.out / "model" / "pats.json"
    model.unlink()
    card.unlink()
    again = compare(finished.study, finished.out, engine=InlinePlacer(), force=True)
    assert model.read_bytes() == before
    assert again.page == finished.page
    assert weights(finished.out) == []


def test_models_of_one_constant_are_exported_by_force_alone(study, tmp_path):
    alone = replace(study, methods=("vanilla",), lr=1e-4)
    console = Console(file=io.StringIO(), width=200)
    refused = compare(alone, tmp_path, engine=InlinePlacer(), console=console)
    assert refused.chosen == {}
    assert not (tmp_path / "model").exists()
    assert any(note.startswith("No model was exported for texts: every run") for note in refused.page.notes)
    assert refused.page.verdict[0].startswith("Nothing was learned: the only run predicts one constant")
    assert refused.page.verdict[0] in (tmp_path / "table1.md").read_text()
    forced = compare(alone, tmp_path, engine=InlinePlacer(), force=True)
    assert read_mark(tmp_path / "model")["run_id"] == forced.chosen["texts"].run_id
    assert any(note.endswith("; it predicts one constant.") for note in forced.page.notes)
    held = compare(alone, tmp_path, engine=InlinePlacer())  # what was asked for once stays, and is named
    assert held.page.notes == forced.page.notes


@pytest.mark.parametrize(
    ("methods", "seeds", "told"), [(("vanilla", "pats"), 5, True), (("pats",), 5, False)]
)
def test_too_few_seeds_are_told_before_the_first_run(study, tmp_path, monkeypatch, methods, seeds, told):
    console = Console(file=io.StringIO(), width=200)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pats.study.study_run.execute", stop)
    with pytest.raises(KeyboardInterrupt):
        compare(
            replace(study, methods=methods, seeds=seeds), tmp_path, engine=InlinePlacer(), console=console
        )
    said = "With 5 seeds no difference can reach p ≤ 0.05, whatever the scores: 6 seeds"
    assert (said in console.file.getvalue()) is told


def test_several_tasks_a_larger_study_and_kept_models(study, study_inputs, tmp_path):
    run = replace(study.run, data=None, task_options={"size": 100, "dev_size": 100}, max_length=16, steps=2)
    first = Study(tasks=("grammar",), models=study.models, methods=("vanilla",), seeds=1, run=run, lr=1e-4)
    small = compare(first, tmp_path, engine=InlinePlacer())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/result.json")}
    large = compare(replace(first, seeds=2), tmp_path, engine=InlinePlacer(), keep_models=True)
    assert small.groups[0].split == large.groups[0].split == "dev"
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(weights(tmp_path)) >= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"methods": ("vanila",)}, "no method 'vanila'"),
        ({"options": {"std": {"lamda": 1.0}}}, "no option 'lamda'"),
        ({"options": {"std": {"beta": 1.0}}}, "beta is 1.0"),
        ({"options": {"std": {"scope": "nothing_is_called_so"}}}, "nothing_is_called_so"),
        ({"models": ("./nowhere",)}, "nowhere"),
        ({"tasks": ("colla",)}, "no task 'colla'"),
    ],
)
def test_bad_input_fails_before_any_run(study, tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        compare(replace(study, **change), tmp_path)
    assert not (tmp_path / "runs").exists()


UNEVEN = "text,label\n" + "".join(f"day {i},{'common' if i % 6 else 'rare'}\n" for i in range(90))


@pytest.fixture(scope="module")
def with_baselines(study, tmp_path_factory):
    """One epoch teaches the model nothing, and words tell the classes."""
    out = tmp_path_factory.mktemp("baselines") / "out"
    plan = replace(study, methods=("vanilla",), lr=1e-4, seeds=2, baselines=None)
    return compare(plan, out, engine=InlinePlacer())


def test_a_table_has_baselines_of_one_run_each(with_baselines):
    (group,) = with_baselines.groups
    runs = {line.cell.label: len(line.cell.outcomes) for line in group.lines}
    assert runs == {"vanilla": 2, "majority": 1, "tfidf": 1, "frozen": 1}
    assert with_baselines.failures == 0
    assert group.family == 0
    assert [line.p for line in group.lines] == [None] * 4


def test_use_the_simple_one_is_a_verdict_and_a_model(with_baselines):
    out, said = with_baselines.out, with_baselines.page.verdict
    assert said[0].startswith("Nothing was learned by fine-tuning: its 2 runs all predict one constant")
    assert said[1].startswith(f"Use the simple model {with_baselines.chosen['texts'].label}: it scores ")
    assert "Never predicted" not in said[2]
    assert with_baselines.chosen["texts"].label == "tfidf"
    assert read_mark(out / "model")["run_id"] == with_baselines.chosen["texts"].run_id
    assert any("tfidf, refitted on all labelled rows" in note for note in with_baselines.page.notes)
    assert predict(out / "model", with_baselines.study.run.data)[0].label in ("good", "bad")
    report(out)
    text = (out / "report.md").read_text()
    assert "# tfidf fitted on texts" in (out / "model" / "README.md").read_text()
    assert "expected calibration error" in text
    assert "precision, recall and F1 × 100 on test" in text
    assert "rows that all methods get wrong" in text


def test_a_study_with_baselines_is_made_once(with_baselines):
    before = {path: path.stat().st_mtime_ns for path in with_baselines.out.glob("runs/*/result.json")}
    again = compare(with_baselines.study, with_baselines.out, engine=InlinePlacer())
    assert again.page == with_baselines.page
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_uneven_classes_are_judged_alike_by_every_run(study, tmp_path):
    table = tmp_path / "uneven.csv"
    table.write_text(UNEVEN)
    run = replace(study.run, data=str(table), steps=1)
    plan = replace(study, run=run, methods=("vanilla",), lr=1e-4, baselines=("majority",))
    result = compare(plan, tmp_path / "out", engine=InlinePlacer(), force=True)
    assert {line.cell.metric for line in result.groups[0].lines} == {"macro_f1"}
    assert any("The classes are uneven (common has 75 rows, rare 15" in note for note in result.page.notes)
    asked = compare(
        replace(plan, run=replace(run, metric="accuracy")),
        tmp_path / "named",
        engine=InlinePlacer(),
        force=True,
    )
    assert asked.groups[0].majority == pytest.approx(100 * 13 / 15, abs=8)


def test_a_study_of_before_goes_on_with_its_metric(study, tmp_path):
    """Its runs were planned without one, and are not made again for another."""
    table = tmp_path / "uneven.csv"
    table.write_text(UNEVEN)
    run = replace(study.run, data=str(table))
    plan = replace(study, run=run, methods=("tfidf",), baselines=())
    data = load_tasks(plan)
    store = Store(tmp_path / "out")
    (cell,) = plan.cells(data.fingerprints)
    store.save_study({"study": plan.to_dict(), "cells": [cell.to_dict()]})
    attempt = store.claim(cell.runs[0])
    finetune(cell.runs[0], attempt)
    assert store.commit(attempt, cell.runs[0].id)
    owned.claim(store.root, owned.STUDY)
    result = compare(plan, store.root, engine=InlinePlacer(), force=True)
    assert [o.run_id for c in result.cells for o in c.outcomes] == [cell.runs[0].id]
    assert result.groups[0].lines[0].cell.metric == "accuracy"
