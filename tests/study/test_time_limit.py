"""A comparison in so much time, by a clock that only its runs move; nothing is trained."""

import json
from dataclasses import replace
from functools import partial

import pytest

from pats import InputError, Run, Study, compare, report
from pats.page.content.words import duration
from pats.study.cut import decided
from pats.study.limit import Limit
from pats.study.store.results import Store
from pats.study.watch import Watched
from support.inline_placer import InlinePlacer
from support.made_results import make_result

GRID = (1e-4, 3e-4, 1e-3)


class Timed(InlinePlacer):
    """Every run takes a second a step; the rate 3e-4 is best, and pats is better than vanilla."""

    def __init__(self):
        super().__init__()
        self.now, self.made = 0.0, []

    def train(self, run, attempt):
        seconds = run.total_steps(112)
        self.now += seconds
        self.made.append((run.method, run.data_seed if run.data_seed < 100 else "trial"))
        score = (0.7 if run.method == "pats" else 0.6) + 0.01 * (run.lr == 3e-4) + 0.001 * (run.data_seed % 7)
        made = make_result(run, [score], score, timings={"train": seconds, "evaluate": 0.0, "total": seconds})
        last = replace(made.epochs[0], step=seconds)
        (attempt / "result.json").write_text(replace(made, epochs=(last,)).to_json())


@pytest.fixture
def engine(monkeypatch):
    made = Timed()
    monkeypatch.setattr("pats.study.compare.Limit", partial(Limit, clock=lambda: made.now))
    monkeypatch.setattr("pats.study.place.coordinator.TICK", 0.0)
    return made


@pytest.fixture(scope="module")
def study(study_inputs):
    run = Run(data=str(study_inputs / "texts.csv"), steps=90, batch_size=16)
    models = (str(study_inputs / "bert"),)
    return Study(
        models=models,
        methods=("vanilla", "pats"),
        seeds=6,
        run=run,
        lr_grid=GRID,
        halving=3,
        control=False,
        baselines=(),
    )


FIRST = [("vanilla", "trial")] * 3 + [("vanilla", 0)] + [("pats", "trial")] * 3 + [("pats", 0)]
ROUNDS = [(method, seed) for seed in range(1, 6) for method in ("vanilla", "pats")]


def test_the_first_answer_comes_first_and_every_round_makes_it_surer(study, engine, tmp_path):
    result = compare(study, tmp_path / "out", engine=engine)
    assert engine.made[:18] == [*FIRST, *ROUNDS]
    assert {cell.lr for cell in result.cells} == {3e-4}
    assert result.failures == 0
    assert not [sentence for sentence in result.page.verdict if "time limit" in sentence]


@pytest.mark.parametrize(
    ("limit", "runs", "seeds", "rows"),
    [
        # A trial of 30 steps, a run of 90; an estimate adds 8 s for what surrounds them, and 20 s are kept.
        (60, 1, 0, []),
        (220, 4, 1, ["vanilla"]),
        (400, 8, 1, ["vanilla", "pats"]),
        (500, 9, 1, ["vanilla", "pats"]),  # the second seed of vanilla has no pair
        (700, 11, 2, ["vanilla", "pats"]),
    ],
)
def test_a_time_limit_ends_with_what_every_row_has(study, engine, tmp_path, limit, runs, seeds, rows):
    out = tmp_path / "out"
    result = compare(study, out, engine=engine, time_limit=limit)
    assert engine.made == [*FIRST, *ROUNDS][:runs]
    assert engine.now <= limit
    assert [cell.label for cell in result.cells] == rows
    assert {len(cell.outcomes) for cell in result.cells} == ({seeds} if rows else set())
    assert result.failures == 0
    said = result.page.verdict[-1]
    assert said.startswith(f"The time limit of {duration(limit)} ended the comparison ")
    assert (f"with {seeds} of 6 seeds" if seeds else "before a method had its first seed") in said
    assert f"the other {18 - runs} runs need about" in said or f"its {18 - runs} runs need about" in said
    assert json.loads(json.dumps(result.to_dict()))["verdict"][-1] == said
    assert "still to come" not in " ".join(result.page.notes)
    if rows:
        assert report(out).verdict[-1] == said
    else:
        with pytest.raises(InputError, match="holds no score yet: the time limit of 60 s"):
            report(out)
    again = compare(study, out, engine=engine)
    assert sorted(map(str, engine.made[:18])) == sorted(map(str, [*FIRST, *ROUNDS]))
    assert {len(cell.outcomes) for cell in again.cells} == {6}
    assert "ended" not in Store(out).study()


@pytest.fixture
def timed(engine, monkeypatch):
    """The engine where every step was seen to take a second before the first run."""
    engine.threads = 1
    monkeypatch.setattr("pats.study.step_time.seconds_of", lambda *_: 1.0)
    return engine


# By the estimate a run takes 98 s and some for the dev rows, its three trials 38 s each and some.
@pytest.mark.parametrize(
    ("limit", "methods", "searched"),
    [
        (150, ("vanilla", "pats"), False),
        (190, ("vanilla", "pats"), False),
        (400, ("vanilla", "pats"), True),
        (190, ("pats",), False),  # the first row is the first answer, whatever its name
        (400, ("pats",), True),
    ],
)
def test_a_limit_too_short_for_the_search_gives_a_first_answer_without_it(
    study, timed, tmp_path, limit, methods, searched
):
    result = compare(replace(study, methods=methods), tmp_path, engine=timed, time_limit=limit)
    assert timed.made[0] == (methods[0], "trial" if searched else 0)
    told = [note for note in result.page.notes if "too short for a search for learning rates" in note]
    assert len(told) == (not searched)
    if not searched:
        assert "every method is trained with 0.0003" in told[0]
        assert {cell.lr for cell in result.cells} == {3e-4}
        assert [len(cell.outcomes) for cell in result.cells] == [1] * len(result.cells)
        assert result.chosen
        assert "and no search for learning rates; the same command with a longer" in result.page.verdict[-1]
        assert report(tmp_path).verdict[-1] == result.page.verdict[-1]


@pytest.mark.parametrize("limit", [80, 100, 120])
def test_a_limit_too_short_for_a_whole_run_gives_a_first_answer_of_fewer_steps(study, timed, tmp_path, limit):
    run = replace(study.run, steps=None, epochs=13, min_steps=30, max_steps=1500)  # 91 steps of 112 rows
    result = compare(replace(study, run=run), tmp_path, engine=timed, time_limit=limit)
    assert timed.made == [("vanilla", 0)]
    steps = result.cells[0].outcomes[0].result.run.max_steps
    assert 30 <= steps < 91
    assert timed.now == steps <= 0.9 * limit
    (told,) = [note for note in result.page.notes if "too short for whole runs" in note]
    assert f"trained with 0.0003 for {steps} of 91 steps" in told
    compare(replace(study, run=run), tmp_path, engine=timed, time_limit=limit)
    assert {run.max_steps for cell in Store(tmp_path).cells() for run in cell.runs} == {steps}


@pytest.mark.parametrize(("step", "sooner"), [(0.25, True), (1.5, False)])
def test_one_run_at_a_time_comes_before_anything_is_left_out(
    study, timed, tmp_path, monkeypatch, step, sooner
):
    """All cores make a step four times as fast, and the search fits after all; on a busy machine, slower."""
    alone = []

    def one_at_a_time(on=True):
        alone.append(on)
        return True

    timed.one_at_a_time = one_at_a_time
    monkeypatch.setattr("pats.study.step_time.seconds_of", lambda *_: step if alone and alone[-1] else 1.0)
    compare(study, tmp_path, engine=timed, time_limit=190)
    assert alone == [True, False]  # in the end the engine divides the cores as it did
    assert timed.made[0] == ("vanilla", "trial" if sooner else 0)
    assert (decided(Store(tmp_path).study()) is None) == sooner


def test_a_limit_too_short_for_any_run_trains_nothing_and_says_so(study, timed, tmp_path):
    result = compare(study, tmp_path, engine=timed, time_limit=90)
    assert timed.made == []
    assert any("too short for one fine-tuning, as a first answer takes about" in n for n in result.page.notes)
    assert "before a method had its first seed" in result.page.verdict[-1]
    assert decided(Store(tmp_path).study()) is None


def test_what_a_limit_left_out_stays_out_until_there_is_more_time(study, timed, tmp_path, monkeypatch):
    compare(study, tmp_path, engine=timed, time_limit=190)
    # The machine is ten times as fast now: one command must not change its mind on the way.
    monkeypatch.setattr("pats.study.step_time.seconds_of", lambda *_: 0.1)
    compare(study, tmp_path, engine=timed, time_limit=190)
    assert "trial" not in [seed for _, seed in timed.made]
    assert decided(Store(tmp_path).study()).seconds == 190.0
    whole = compare(study, tmp_path, engine=timed)
    assert decided(Store(tmp_path).study()) is None
    assert [seed for _, seed in timed.made].count("trial") == 6
    assert {len(cell.outcomes) for cell in whole.cells} == {6}
    assert timed.made.count(("vanilla", 0)) == 1  # the run of before is one of the study's


@pytest.mark.parametrize(
    ("run", "grid"), [({"max_steps": 60}, GRID), ({"min_steps": 80}, GRID), ({}, (1e-4, 2e-4, 5e-4))]
)
def test_what_a_limit_left_out_of_another_study_counts_for_nothing(study, timed, tmp_path, run, grid):
    first = replace(study, run=replace(study.run, steps=None, epochs=13, min_steps=30, max_steps=1500))
    compare(first, tmp_path, engine=timed, time_limit=100)
    assert decided(Store(tmp_path).study()).cut.steps < 91
    other = replace(first, run=replace(first.run, **run), lr_grid=grid)
    compare(other, tmp_path, engine=timed, time_limit=400)
    found = decided(Store(tmp_path).study())
    assert found is None or found.holds(other, 400)
    assert {one.max_steps for cell in Store(tmp_path).cells() for one in cell.runs} == {
        found.cut.steps if found else other.run.max_steps
    }


def test_a_finished_study_that_was_cut_needs_no_model_to_be_shown_again(study, timed, tmp_path, monkeypatch):
    short = replace(study, seeds=1, methods=("vanilla",))
    timed.one_at_a_time = lambda on=True: True
    shown = compare(short, tmp_path, engine=timed, time_limit=190)
    monkeypatch.setattr("pats.study.prepare.check_models", None)
    assert compare(short, tmp_path, engine=timed, time_limit=190).page.verdict == shown.page.verdict


@pytest.mark.parametrize("change", [{"halving": None}, {"lr_grid": (), "lr": 1e-4, "halving": None}])
def test_what_somebody_names_stays_whatever_the_limit(study, timed, tmp_path, change):
    compare(replace(study, **change), tmp_path, engine=timed, time_limit=190)
    assert timed.made[0] == ("vanilla", 0 if "lr" in change else "trial")
    assert decided(Store(tmp_path).study()) is None


def test_watch_knows_the_runs_that_follow(study, engine, tmp_path):
    compare(study, tmp_path / "out", engine=engine, time_limit=220)
    watched = Watched(Store(tmp_path / "out"))
    states = watched.look()
    assert len(states) + watched.coming == 18
    assert sum(state.state == "done" for state in states) == 4


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_limit_of_no_time_is_refused(study, tmp_path, limit):
    with pytest.raises(InputError, match=r"time_limit is .* above 0"):
        compare(study, tmp_path, time_limit=limit)
