import json
from dataclasses import replace

import pytest

from pats.results import Cell, Outcome
from pats.run.spec import Run
from pats.study import choose
from pats.study.store.results import Store
from support.made_results import make_result


def cell(label, scores, task="rte", method="vanilla"):
    outcomes = []
    for seed, score in enumerate(scores):
        run = Run(task=task, method=method, weight_decay=len(label)).with_seed(seed)
        # A score below zero stands for a run that predicts one constant.
        result = None
        if score is not None:
            result = make_result(run, [abs(score)], abs(score) / 2, degenerate=score < 0)
        outcomes.append(Outcome(seed, run.id, result))
    return Cell(task, "minilm", label, method, 1e-4, tuple(outcomes))


@pytest.mark.parametrize(
    ("cells", "label", "seed"),
    [
        ([cell("a", [0.5, 0.6]), cell("bb", [0.9, 0.1])], "a", 1),  # by mean, not by the best run
        ([cell("a", [0.5, 0.6]), cell("bb", [0.6, 0.5])], "a", 1),  # the first of equals
        ([cell("a", [0.5, 0.6]), cell("bb", [0.9, None])], "a", 1),  # failures disqualify
        ([cell("a", [None, 0.6]), cell("bb", [0.9, None])], "bb", 0),  # unless all have some
        ([cell("a", [0.9], "cola"), cell("bb", [0.5])], "bb", 0),  # of its own task
        ([cell("a", [-0.9, -0.9]), cell("bb", [0.5, 0.6])], "bb", 1),  # a constant is never preferred
        ([cell("a", [-0.9, 0.8]), cell("bb", [0.5, 0.6])], "a", 1),  # nor the constant seed of a row
        ([cell("a", [-0.9, -0.9]), cell("bb", [0.5, None])], "bb", 0),  # nor where the other has failures
        ([cell("a", [0.5 + 1e-15, 0.5]), cell("bb", [0.5, 0.5 + 2e-15])], "a", 0),  # nor by rounding
    ],
)
def test_choose(cells, label, seed):
    choice = choose.choose(cells, "rte")
    assert (choice.label, choice.seed) == (label, seed)
    assert choice.test == pytest.approx(choice.dev / 2)


SIMPLE = cell("tfidf", [0.8], method="tfidf")


@pytest.mark.parametrize(
    ("rows", "error", "label", "ahead"),
    [
        ([cell("a", [0.83, 0.85]), SIMPLE], 4.1, "tfidf", "a"),
        ([cell("a", [0.83, 0.85]), SIMPLE], 3.9, "a", None),
        ([cell("a", [0.83, 0.85]), SIMPLE], 4.0, "a", None),  # from one standard error on
        ([cell("a", [0.83, 0.85]), SIMPLE], None, "a", None),  # nobody knows
        ([cell("a", [0.83, 0.85]), cell("bb", [0.8, 0.8])], 9.0, "a", None),  # neither is simple
        ([cell("a", [0.75, 0.77]), SIMPLE], 9.0, "tfidf", None),  # the simple one was ahead
        ([cell("a", [0.83, 0.85]), cell("tfidf", [-0.8], method="tfidf")], 9.0, "a", None),  # a constant
        ([cell("a", [0.83, 0.85]), SIMPLE, cell("frozen", [0.82], method="frozen")], 4.0, "frozen", "a"),
    ],
)
def test_a_simple_row_within_one_standard_error_is_chosen(rows, error, label, ahead):
    asked = []

    def doubt(ours, theirs):
        asked.append((ours.label, theirs.label))
        return error

    choice = choose.choose(rows, "rte", doubt=doubt)
    assert (choice.label, choice.ahead) == (label, ahead)
    assert all(ours == "a" and theirs in ("tfidf", "frozen") for ours, theirs in asked)
    assert choose.choose(rows, "rte").label == ("tfidf" if rows[0].dev[0] < 80 else "a")


def test_a_control_row_is_never_chosen():
    control = replace(cell("a", [0.9]), control=True)
    assert choose.choose([control, cell("bb", [0.5])], "rte").label == "bb"
    assert choose.choose([control], "rte") is None


def test_only_constants():
    choice = choose.choose([cell("a", [-0.5, -0.9]), cell("bb", [-0.6, None])], "rte")
    assert (choice.label, choice.seed, choice.constant) == ("a", 1, True)
    assert not choose.choose([cell("a", [0.5])], "rte").constant


def test_nothing_to_choose():
    assert choose.choose([cell("a", [None])], "rte") is None


def test_best_of_a_cell(tmp_path):
    store, runs = Store(tmp_path), [Run(task="rte").with_seed(seed) for seed in range(3)]
    ids = [run.id for run in runs]
    assert choose.best(store, ids) is None
    for run, score, constant in zip(runs, [0.9, 0.7, 0.7], [True, False, False], strict=True):
        attempt = store.claim(run)
        (attempt / "result.json").write_text(make_result(run, [score], degenerate=constant).to_json())
        store.commit(attempt, run.id)
    assert choose.best(store, ids) == ids[1]


def test_export_replaces_and_survives_its_source(tmp_path):
    source, target = tmp_path / "attempt" / "model", tmp_path / "out" / "model"
    for run_id in ("first", "second"):
        source.mkdir(parents=True)
        (source / "pats.json").write_text(json.dumps({"run_id": run_id}))
        choose.export(source, target)
        (source / "pats.json").unlink()
        source.rmdir()
        assert choose.exported(target, run_id)
    assert not choose.exported(target, "first")
    assert not choose.exported(tmp_path / "nowhere", "first")
    assert [path.name for path in target.parent.iterdir()] == ["model"]
