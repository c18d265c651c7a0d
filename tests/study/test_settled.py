"""When a comparison ends because more seeds cannot change what to use; nothing is trained."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from pats import Run, Study, compare, report
from pats.page.numbers.statistics import interval
from pats.results import Outcome
from pats.study import settled
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.made_results import make_cell, make_result

PLANNED = 8


def cell(label, scores, **more):
    """A row with these dev scores × 100; None is a failed run, "." one that is to come."""
    made = make_cell(label, [None if s in (None, ".") else s / 100 for s in scores], **more)
    pairs = zip(made.outcomes, scores, strict=True)
    return replace(made, outcomes=tuple(Outcome(o.seed, o.run_id) if s == "." else o for o, s in pairs))


def is_settled(rows, doubt=4.0, planned=PLANNED):
    """``doubt`` is half of the 95 % interval over the dev rows."""
    cells = [
        cell(label, scores, **({"method": "tfidf"} if label == "tfidf" else {})) for label, scores in rows
    ]
    return settled.settled(
        cells, planned, lambda ours, theirs: None if doubt is None else doubt / settled.HALF
    )


PLAIN = [80.0, 81.0, 80.5]
NEAR = [80.4, 80.9, 80.9]  # ahead by 0.23 on average, of a spread of 0.29
FAR = [70.0, 71.2, 70.4]


@pytest.mark.parametrize(
    ("rows", "doubt", "found"),
    [
        ([("vanilla", PLAIN), ("pats", FAR)], 0.0, ("vanilla", ("pats",), ())),
        ([("vanilla", PLAIN), ("pats", NEAR)], 4.0, ("pats", (), ("vanilla",))),
        ([("vanilla", PLAIN), ("pats", NEAR)], 0.5, None),  # these rows could tell them apart
        ([("vanilla", PLAIN), ("pats", NEAR)], None, None),  # nobody knows what the rows can tell
        ([("vanilla", PLAIN), ("pats", [70.0, 90.0, 79.0])], 4.0, None),  # its seeds differ too much
        ([("vanilla", PLAIN), ("pats", FAR), ("sage", NEAR)], 4.0, ("sage", ("pats",), ("vanilla",))),
        ([("vanilla", PLAIN), ("pats", FAR), ("sage", NEAR)], 0.5, None),  # all rows must agree
        ([("vanilla", PLAIN[:2]), ("pats", FAR[:2])], 4.0, None),  # two seeds settle nothing
        ([("vanilla", PLAIN), ("pats", [*FAR[:2], "."])], 4.0, None),  # the third round is under way
        ([("vanilla", [*PLAIN, 80.2]), ("pats", [*FAR, "."])], 0.0, ("vanilla", ("pats",), ())),
        ([("vanilla", PLAIN), ("pats", [*FAR[:2], None])], 4.0, None),  # nothing is left beside the leader
        ([("vanilla", [*PLAIN[:2], None]), ("pats", [*FAR[:2], None])], 4.0, None),
        ([("vanilla", PLAIN), ("tfidf", [60.0])], 4.0, ("vanilla", ("tfidf",), ())),
        ([("vanilla", PLAIN), ("tfidf", [95.0])], 4.0, ("tfidf", ("vanilla",), ())),
        ([("vanilla", PLAIN), ("tfidf", [79.9])], 4.0, ("tfidf", (), ("vanilla",))),  # within one error
        ([("vanilla", PLAIN), ("tfidf", [74.0])], 4.0, ("vanilla", ("tfidf",), ())),
        ([("vanilla", PLAIN), ("tfidf", [76.2])], 4.0, None),  # beyond chance, perhaps not by one error
        ([("vanilla", PLAIN), ("tfidf", [76.2])], 16.0, ("tfidf", (), ("vanilla",))),
        ([("vanilla", [50.0] * 3), ("pats", [50.0] * 3)], 0.0, ("vanilla", (), ("pats",))),
    ],
)  # fmt: skip
def test_a_comparison_is_settled_where_every_row_is_behind_or_level(rows, doubt, found):
    one = is_settled(rows, doubt)
    assert (one and (one.leader, one.behind, one.level)) == found


def test_all_seeds_leave_nothing_to_settle():
    assert is_settled([("vanilla", PLAIN), ("pats", FAR)], planned=3) is None


def test_a_control_row_has_no_say():
    rows = [cell("vanilla", PLAIN), cell("pats", FAR), cell("control", [10.0, 99.0, "."], control=True)]
    assert settled.settled(rows, PLANNED, lambda *_: None).behind == ("pats",)


def test_lower_scores_lead_where_lower_is_better():
    rows = [cell("vanilla", FAR, metric="log_loss"), cell("pats", PLAIN, metric="log_loss")]
    assert settled.settled(rows, PLANNED, lambda *_: None).leader == "vanilla"


@pytest.mark.parametrize(("correct", "share"), [(True, (0.0, 0.05)), (False, (0.08, 0.3))])
def test_equal_rows_are_taken_for_different_ones_in_five_of_a_hundred(monkeypatch, correct, share):
    """Over all looks; without the correction for them it is far more often."""
    if not correct:
        monkeypatch.setattr(settled, "interval", lambda gaps, level: interval(gaps))
    monkeypatch.setattr(settled, "comparable", lambda cells: tuple(cells))
    draw, wrong, many = np.random.default_rng(0), 0, 400
    for _ in range(many):
        scores = 80 + draw.normal(0, 1, (2, PLANNED))
        looks = range(settled.LEAST, PLANNED)
        rows = [[("vanilla", scores[0, :seeds]), ("pats", scores[1, :seeds])] for seeds in looks]
        wrong += any(is_settled(own, None) for own in rows)
    assert share[0] <= wrong / many <= share[1]


def test_what_is_told():
    one = settled.Settled("pats", ("tfidf", "frozen"), ("vanilla",), 4, 8)
    assert one.told(16, 600.0) == (
        "Ended after 4 of 8 seeds, as more of them cannot change what to use: tfidf and frozen are behind "
        "pats and vanilla differs from it by less than the dev rows can tell (95 %, over all looks); "
        "--all-seeds makes the other 16 runs, about 10 min."
    )
    alone = settled.Settled("pats", (), ("vanilla", "sage"), 3, 8).told(1, None)
    assert "vanilla and sage differ from pats by less" in alone
    assert alone.endswith("makes the other 1 run.")


class Made(InlinePlacer):
    """Runs whose dev score is given by method and seed, with the answers to 40 rows."""

    places = 2

    def __init__(self, scores):
        super().__init__()
        self.scores, self.made = scores, {}

    def train(self, run, attempt):
        self.made[run.method, run.data_seed] = True  # once more where the chosen model is exported
        score = self.scores[run.method][run.data_seed % len(self.scores[run.method])]
        result = make_result(run, [score], score, labels=("a", "b"))
        right = round(40 * score)
        first = 0 if run.method in ("pats", "tfidf") else 40 - right  # these are right on other rows
        wrong = [not first <= i < first + right for i in range(40)]
        rows = [f"dev,{i},{'ab'[i % 2]},{'ab'[(i + wrong[i]) % 2]}" for i in range(40)]
        text = "\n".join(["split,row,label,prediction", *rows])
        (attempt / "predictions.csv.gz").write_bytes(gzip.compress(text.encode()))
        (attempt / "result.json").write_text(result.to_json())


@pytest.fixture(scope="module")
def study(study_inputs):
    run = Run(data=str(study_inputs / "texts.csv"), steps=9, batch_size=16)
    models = (str(study_inputs / "bert"),)
    return Study(
        models=models, methods=("vanilla", "pats"), seeds=6, run=run, lr=1e-3, control=False, baselines=()
    )


APART = {"vanilla": [0.5, 0.525, 0.5], "pats": [0.9, 0.925, 0.9]}
CLOSE = {"vanilla": [0.5, 0.52, 0.51], "pats": [0.525, 0.54, 0.52]}


@pytest.mark.parametrize(("scores", "why"), [(APART, "vanilla is behind pats"), (CLOSE, "dev rows can tell")])
def test_the_end_comes_early_is_told_and_stays(study, tmp_path, monkeypatch, scores, why):
    monkeypatch.setattr("pats.study.place.coordinator.TICK", 0.0)
    out, engine = tmp_path / "out", Made(scores)
    result = compare(study, out, engine=engine, all_seeds=False)
    assert set(list(engine.made)[:6]) == {(row, seed) for row in ("pats", "vanilla") for seed in range(3)}
    assert len(engine.made) <= 8  # what was under way may still end
    said = result.page.verdict[-1]
    assert said.startswith("Ended after 3 of 6 seeds")
    assert why in said
    assert {len(cell.outcomes) for cell in result.cells} == {3}
    assert report(out).verdict[-1] == json.loads(json.dumps(result.to_dict()))["verdict"][-1] == said
    made = len(engine.made)
    again = compare(study, out, engine=engine, all_seeds=False)
    assert (len(engine.made), again.page.verdict) == (made, result.page.verdict)
    whole = compare(study, out, engine=engine)
    assert len(engine.made) == 12
    assert {len(cell.outcomes) for cell in whole.cells} == {6}
    assert "ended" not in Store(out).study()


def test_what_may_still_change_goes_on_to_the_last_seed(study, tmp_path):
    engine = Made({"vanilla": [0.5, 0.9, 0.6], "pats": [0.8, 0.55, 0.7]})
    result = compare(study, tmp_path / "out", engine=engine, all_seeds=False)
    assert len(engine.made) == 12
    assert not any("Ended after" in sentence for sentence in result.page.verdict)


@pytest.mark.parametrize(("simple", "chosen"), [(0.75, "tfidf"), (0.5, "vanilla")])
def test_a_simple_model_within_one_standard_error_on_dev_is_kept(study, tmp_path, simple, chosen):
    """Of 40 rows the two disagree on 18 and 28: one standard error is 11 and 12 points."""
    rows = replace(study, methods=("vanilla",), seeds=1, baselines=("tfidf",))
    result = compare(rows, tmp_path / "out", engine=Made({"vanilla": [0.8], "tfidf": [simple]}))
    (note,) = (note for note in result.page.notes if note.startswith("Chosen on dev"))
    assert note.startswith(f"Chosen on dev for texts: {chosen}")
    assert ("vanilla was ahead of it on dev by less than one standard error" in note) is (chosen == "tfidf")
    first, beside = report(tmp_path / "out").answer[:2]
    assert first.startswith("Use " + chosen if chosen == "vanilla" else "Use tfidf, logistic regression")
    assert ("On dev vanilla was ahead of tfidf by less than one standard error" in beside) is (
        chosen == "tfidf"
    )
