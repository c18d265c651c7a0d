"""A comparison in folds: every row is tested, by baselines and methods alike; one model of all rows."""

import csv
import gzip
import json
import math
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from pats import InputError, Run, Study, Sweep, compare, report, sweep
from pats.cli import main
from pats.run.data import load_data
from pats.run.model.exported import read_mark
from pats.study.cells import with_results
from pats.study.command import command
from pats.study.data_size import data_size
from pats.study.folds import on_all_rows
from pats.study.limit import Limit
from pats.study.plan.agenda import agenda
from pats.study.store.results import Store
from pats.tasks import metrics
from support.inline_placer import InlinePlacer
from support.tiny_bert import make_table

FOLDS = 3


class Counting(InlinePlacer):
    """Counts the runs that were started, by method and fold."""

    def __init__(self):
        super().__init__()
        self.made = []

    def submit(self, attempt):
        run = Run.from_dict(json.loads((attempt / "spec.json").read_text())["run"])
        self.made.append((run.method, run.data_seed, run.fold))
        return super().submit(attempt)


@pytest.fixture(scope="module")
def study(study_inputs):
    make_table(study_inputs / "few.csv", rows=60)
    run = Run(data=str(study_inputs / "few.csv"), folds=FOLDS, steps=2)
    return Study(
        models=(str(study_inputs / "bert"),),
        methods=("vanilla",),
        seeds=1,
        run=run,
        lr=1e-3,
        baselines=("majority", "tfidf"),
    )


@pytest.fixture(scope="module")
def done(study, tmp_path_factory):
    out, engine = tmp_path_factory.mktemp("folds") / "out", Counting()
    return compare(study, out, engine=engine), engine.made, out


def predicted(out, study, method):
    """The label and the prediction of every row that the runs of a method tested."""
    store, pairs = Store(out), []
    for cell in store.cells():
        for run in cell.runs if cell.method == method else ():
            texts = load_data(run).splits["test"].text
            content = gzip.decompress((store.folder(run.id) / "predictions.csv.gz").read_bytes()).decode()
            own = [row for row in csv.DictReader(content.splitlines()) if row["split"] == "test"]
            pairs += [(text, row["label"], row["prediction"]) for text, row in zip(texts, own, strict=True)]
    return pairs


def test_every_row_is_run_once_a_fold_and_the_chosen_one_once_more(done):
    result, made, _ = done
    counted = Counter((method, fold) for method, _, fold in made)
    every = {(method, fold) for method in ("vanilla", "majority", "tfidf") for fold in range(1, FOLDS + 1)}
    (chosen,) = result.chosen.values()
    assert counted == Counter({*every, (chosen.label, None)})


def test_scores_are_of_all_rows(done, study):
    result, _, out = done
    for line in result.groups[0].lines:
        pairs = predicted(out, study, line.cell.method)
        assert len({text for text, _, _ in pairs}) == 60
        names = sorted({label for _, label, _ in pairs})
        score = metrics.compute(
            ["accuracy"],
            [names.index(guess) for _, _, guess in pairs],
            [names.index(label) for _, label, _ in pairs],
        )["accuracy"]
        assert math.isclose(line.mean, 100 * score)
        (outcome,) = line.cell.outcomes
        assert len(outcome.parts) == FOLDS
        dev = [part.result.best for part in outcome.parts]
        assert math.isclose(line.cell.dev[0], 100 * sum(dev) / FOLDS)


def test_what_is_said_is_of_folds(done):
    result, _, _ = done
    told = " ".join((*result.page.answer, *result.page.verdict, *result.page.notes))
    assert "With 60 rows" in told
    assert f"all rows, each tested in one of {FOLDS} folds" in told
    assert f"both over the {FOLDS} folds" in told
    assert "60 test rows" not in told
    assert json.dumps(result.to_dict())


def test_the_exported_model_is_of_all_rows(done, study):
    result, _, out = done
    (chosen,) = result.chosen.values()
    card = read_mark(out / "model")
    assert card["run_id"] == chosen.run_id
    exported = Store(out).result(chosen.run_id)
    assert (exported.run.fold, exported.run.folds, exported.test) == (None, FOLDS, None)
    assert sum(exported.sizes.values()) == 60
    report(out)
    assert f"It was measured in {FOLDS} folds" in (out / "model" / "README.md").read_text()
    page = (out / "report.html").read_text()
    assert f"on all rows in {FOLDS} folds" in page
    assert f"--folds {FOLDS}" in page


def test_a_finished_comparison_starts_nothing_and_says_the_same(done, study):
    result, _, out = done
    engine = Counting()
    again = compare(study, out, engine=engine)
    assert engine.made == []
    assert again.to_dict()["cells"] == result.to_dict()["cells"]


def test_a_fold_that_is_missing_or_damaged_leaves_no_score(study, tmp_path):
    out = tmp_path / "out"
    simple = replace(study, methods=("tfidf",), baselines=())
    compare(simple, out, engine=Counting())
    store = Store(out)
    runs = store.cells()[0].runs
    predictions = store.folder(runs[1].id) / "predictions.csv.gz"
    whole = predictions.read_bytes()
    predictions.write_bytes(whole[:-9])
    (outcome,) = with_results(store, store.cells())[0].outcomes
    assert "the predictions of fold 2 cannot be read" in outcome.failure
    predictions.write_bytes(whole)
    (store.folder(runs[1].id) / "result.json").unlink()
    for attempt in store.attempts(runs[1].id):
        (attempt / "result.json").unlink()
    (outcome,) = with_results(Store(out), store.cells())[0].outcomes
    assert outcome.missing
    engine = Counting()
    result = compare(simple, out, engine=engine)
    assert [fold for _, _, fold in engine.made] == [2]
    assert result.failures == 0


def test_folds_of_a_seed_come_before_the_next_seed(study):
    planned = replace(study, seeds=2)
    runs = agenda(planned, {}, lambda runs: None).runs
    order = [(run.method, run.data_seed, run.fold) for run in runs]
    folds = range(1, FOLDS + 1)
    simple = [(method, 0, fold) for method in ("majority", "tfidf") for fold in folds]
    assert order == simple + [("vanilla", seed, fold) for seed in (0, 1) for fold in folds]
    assert planned.runs() == list(runs)


def larger_in_odd_folds(runs):
    """All have ended, and a larger rate is better in odd folds, a smaller one in even folds."""
    return sorted(runs, key=lambda run: run.lr * (1 if run.fold % 2 == 0 else -1))


def test_each_fold_finds_its_own_rate(study):
    tuned = replace(study, lr=None, lr_grid=(1e-4, 1e-3, 1e-2), halving=3, control=True)
    found = agenda(tuned, {}, lambda runs: None)
    trials = [(run.fold, run.lr) for cell in found.trials for run in cell.runs]
    assert trials == [(fold, lr) for fold in range(1, FOLDS + 1) for lr in (1e-4, 1e-3, 1e-2)]
    assert [run.id for cell in found.trials for run in cell.runs] == [
        run.id for runs in tuned.tuning().values() for run in runs
    ]
    assert found.coming == FOLDS
    known = agenda(tuned, {}, larger_in_odd_folds)
    (cell,) = [one for one in known.cells if one.method == "vanilla"]
    assert [(run.fold, run.lr) for run in cell.runs] == [(1, 1e-2), (2, 1e-4), (3, 1e-2)]
    assert cell.lr == on_all_rows(cell.runs).lr == 1e-2
    assert (on_all_rows(cell.runs).fold, known.coming) == (None, 0)


def test_no_test_row_of_a_fold_has_a_say_in_its_rate(study):
    tuned = replace(study, lr=None, lr_grid=(1e-4,))
    for runs in tuned.tuning().values():
        for trial in runs:
            held = load_data(trial).splits
            assert set(held["dev"].text).isdisjoint(held["test"].text)
            final = tuned.make(("few", trial.model, "vanilla"), "vanilla", 1e-4, 0, {}, fold=trial.fold)
            assert load_data(final).splits["test"].text == held["test"].text


def test_a_fold_without_its_rate_keeps_its_row_waiting(study):
    tuned = replace(study, lr=None, lr_grid=(1e-4, 1e-3))
    now = agenda(tuned, {}, lambda runs: list(runs) if runs[0].fold < FOLDS else None)
    assert "vanilla" not in {cell.method for cell in now.cells}
    assert now.coming == FOLDS


class Slow(Counting):
    """Every run takes 100 seconds of a clock that nothing else moves."""

    now = 0.0

    def submit(self, attempt):
        handle = super().submit(attempt)
        self.now += 100.0
        return handle


def test_where_no_time_is_left_the_model_of_one_fold_is_exported(study, tmp_path, monkeypatch):
    out, engine = tmp_path / "out", Slow()
    monkeypatch.setattr("pats.study.compare.Limit", partial(Limit, clock=lambda: engine.now))
    alone = replace(study, baselines=())
    result = compare(alone, out, engine=engine, time_limit=320.0, force=True)
    assert [fold for _, _, fold in engine.made] == [1, 2, 3]  # 20 s are left for a model that takes 100
    (chosen,) = result.chosen.values()
    assert "There was no time for a model of all rows" in " ".join(result.page.notes)
    card = read_mark(out / "model")
    store = Store(out)
    best = max(store.cells()[0].runs, key=lambda run: store.result(run.id).best)
    assert card["run_id"] in {run.id for run in store.cells()[0].runs} - {chosen.run_id}
    assert store.result(card["run_id"]).best == store.result(best.id).best
    again = compare(alone, out, engine=engine, force=True)
    assert [fold for _, _, fold in engine.made] == [1, 2, 3, None]
    assert read_mark(out / "model")["run_id"] == chosen.run_id
    assert "no time" not in " ".join(again.page.notes)


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (
            lambda study, out: sweep(Sweep(study), out),
            "folds are for comparisons, and a search has one split",
        ),
        (data_size, "folds are for comparisons, and the measuring of sensitivities has one split"),
    ],
    ids=["sweep", "data-size"],
)
def test_what_is_no_comparison_refuses_folds(study, tmp_path, verb, said):
    with pytest.raises(InputError, match=said):
        verb(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["sweep", "data-size", "run"])
def test_verbs_that_are_no_comparison_have_no_such_flag(study, tmp_path, capsys, verb):
    flags = ["--data", study.run.data, "--folds", "3", "--out", str(tmp_path / "out")]
    assert main([verb, *flags]) == 2
    error = capsys.readouterr().err
    assert "--folds" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_makes_the_study_again(study):
    assert f"--folds {FOLDS}" in command(study, "out")
    assert "--fold " not in command(study, "out")


def test_three_lines_of_python(study, tmp_path):
    rows = [{"text": f"text {'good' if i % 2 else 'bad'} {i}", "y": i % 2} for i in range(40)]
    told = {"methods": "majority", "label": "y", "kind": "classification", "engine": InlinePlacer()}
    models = study.models
    result = compare(rows, tmp_path / "o", folds=4, seeds=1, models=models, progress=False, **told)
    assert result.groups[0].folds == 4
    assert result.groups[0].lines[0].mean == 50.0
    with pytest.raises(InputError, match=r"there is no setting 'fold'.*'folds'"):
        compare(rows, tmp_path / "p", fold=4, progress=False, **told)
