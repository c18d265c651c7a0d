import json
from collections import Counter
from dataclasses import replace

import pytest

from pats import InputError, Run, Study, Sweep, sweep
from pats.run.folder.files import write_atomic
from pats.study.place import coordinator
from pats.study.plan.space import Range
from pats.study.store.results import Store
from support.inline_placer import InlinePlacer
from support.made_results import make_result

pytest.importorskip("optuna")


class Calculated(InlinePlacer):
    """An engine whose runs need no training: their score is a function of their settings."""

    places = 4

    def __init__(self, score, stop_after=None):
        super().__init__()
        self.score, self.stop_after, self.runs = score, stop_after, []

    def train(self, run, attempt):
        self.runs.append(run)
        score = self.score(run)
        status = "done" if score is not None else "failed"
        result = make_result(run, [] if score is None else [score], status=status, error="diverged")
        write_atomic(attempt / "result.json", result.to_json().encode())
        (attempt / "model").mkdir()
        (attempt / "model" / "config.json").write_text("{}")

    def submit(self, attempt):
        if self.stop_after is not None and len(self.runs) >= self.stop_after:
            raise KeyboardInterrupt
        return super().submit(attempt)


@pytest.fixture(scope="module")
def study(study_inputs):
    run = Run(data=str(study_inputs / "texts.csv"), epochs=9, batch_size=16)
    return Study(models=(str(study_inputs / "bert"),), methods=("vanilla", "pats"), seeds=2, run=run)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(coordinator, "TICK", 0.0)


def score(run):
    """Best at lr 1e-4 and lam 1e-6, a little seed noise, more epochs are better."""
    value = 0.9 - 0.1 * abs(run.lr - 1e-4) / 1e-4 - 0.05 * abs(run.options.get("lam", 1e-6) - 1e-6) / 1e-6
    return max(0.0, value - 0.01 / run.epochs + 0.001 * (run.data_seed % 3))


def perform(plan, out, **engine):
    made_by = Calculated(engine.pop("score", score), **engine)
    return sweep(plan, out, engine=made_by), made_by.runs


def test_equal_budgets_and_winners_on_fresh_seeds(study, tmp_path):
    plan = Sweep(study, trials=12, proposer="random")
    result, runs = perform(plan, tmp_path)
    by_row = {search.place[2]: search for search in result.searches}
    for search in by_row.values():
        assert len(search.trials) == 12
        assert search.epochs == 12 * 9
        best = max(trial.score(9) for trial in search.trials)
        assert search.expected[-1] <= best + 1e-9
        assert len(search.expected) == 12
    searched = [run for run in runs if run.data_seed >= study.tuning_seed]
    assert Counter(run.method for run in searched) == {"vanilla": 12, "pats": 12}
    assert len({run.id for run in searched}) == 24  # nine rates for twelve trials: repeats are fresh seeds
    reported = [run for run in runs if run.data_seed < study.tuning_seed]
    assert {(run.method, run.data_seed) for run in reported} == {
        (m, s) for m in ("vanilla", "pats") for s in (0, 1)
    }
    for run in reported:
        winner = by_row[run.method].winner
        assert (run.lr, dict(run.options)) == (winner["lr"], {k: v for k, v in winner.items() if k != "lr"})
    closest = min(trial.params["lr"] for trial in by_row["vanilla"].trials if trial.params["lr"] >= 7e-5)
    assert by_row["vanilla"].winner == {"lr": closest}
    assert by_row["vanilla"].importance == {"lr": 1.0}
    notes = " ".join(result.study.page.notes)
    assert "Search for pats on texts with bert: 12 trials, best lr " in notes
    told = json.loads((tmp_path / "sweep.json").read_text())
    assert told == json.loads(json.dumps(result.to_dict()))
    assert len(told["searches"][0]["trials"]) == 12


@pytest.mark.parametrize(
    "plan", [{}, {"halving": 3}, {"proposer": "grid", "space": {"pats": {"gamma": (0.002,)}}}]
)
def test_a_killed_sweep_goes_on_with_the_same_trials(study, tmp_path, plan):
    plan = Sweep(study, trials=9, **plan)
    alone, runs = perform(plan, tmp_path / "alone")
    done = []
    for stop in (1, 7, 5):
        with pytest.raises(KeyboardInterrupt):
            sweep(plan, tmp_path / "killed", engine=(engine := Calculated(score, stop)))
        done += engine.runs
    again, rest = perform(plan, tmp_path / "killed")
    assert again.to_dict()["searches"] == alone.to_dict()["searches"]
    assert Counter(run.id for run in [*done, *rest]) == Counter(run.id for run in runs)  # none twice


def test_more_trials_are_added(study, tmp_path):
    first, before = perform(Sweep(study, trials=5), tmp_path)
    more, after = perform(Sweep(study, trials=10), tmp_path)
    for old, new in zip(first.searches, more.searches, strict=True):
        assert [trial.params for trial in new.trials[:5]] == [trial.params for trial in old.trials]
    searched = [{run.id for run in runs if run.data_seed >= study.tuning_seed} for runs in (before, after)]
    assert [len(ids) for ids in searched] == [10, 10]
    assert not searched[0] & searched[1]


def test_halving_promotes_the_best(study, tmp_path):
    plan = Sweep(replace(study, methods=("pats",)), trials=9, halving=3)
    assert plan.epochs == (1, 3, 9)
    assert plan.per_batch == 9
    (search,), runs = (found := perform(plan, tmp_path))[0].searches, found[1]
    epochs = Counter(run.epochs for run in runs if run.data_seed >= study.tuning_seed)
    assert epochs == {1: 9, 3: 3, 9: 1}
    assert search.epochs == 9 + 9 + 9
    first = {trial.number: trial.scores[1] for trial in search.trials}
    promoted = {trial.number for trial in search.trials if 3 in trial.scores}
    assert promoted == set(sorted(first, key=lambda number: -first[number])[:3])
    (winner,) = [trial for trial in search.trials if 9 in trial.scores]
    assert search.winner == winner.params


def test_runs_that_fail_are_told_and_do_not_win(study, tmp_path):
    plan = Sweep(replace(study, methods=("vanilla",)), trials=9, proposer="grid")
    result, _ = perform(plan, tmp_path, score=lambda run: None if run.lr > 9e-5 else score(run))
    (search,) = result.searches
    assert sum(trial.failed for trial in search.trials) == 4
    assert search.winner == {"lr": 8e-5}
    assert "9 trials (4 failed, the first because: diverged)" in " ".join(result.study.page.notes)
    assert result.study.failures == 4  # which makes the exit code 1
    assert [trial.failure for trial in search.trials if trial.failed] == ["diverged"] * 4


def test_a_point_counts_with_its_mean_and_one_that_failed_once_does_not_win(study, tmp_path):
    """Two rates, six trials: three seeds each; the higher rate is the best of all once, and fails once."""
    found = {1e-4: (0.70, 0.71, 0.72), 2e-4: (0.90, None, 0.10), 3e-4: (0.80, 0.50, 0.60)}
    space = {"vanilla": {"lr": tuple(found)}}
    plan = Sweep(replace(study, methods=("vanilla",)), trials=9, proposer="grid", space=space)

    def score(run):
        return found[run.lr][run.data_seed - study.tuning_seed] if run.data_seed > 10 else 0.5

    (search,) = perform(plan, tmp_path, score=score)[0].searches
    seeds = Counter((trial.params["lr"], trial.seed - study.tuning_seed) for trial in search.trials)
    assert seeds == Counter((lr, k) for lr in found for k in range(3))
    assert (search.winner, search.score) == ({"lr": 1e-4}, pytest.approx(71.0))


@pytest.mark.parametrize("task", ["table", "embedded"])
def test_repeated_points_are_trained_and_counted(study, tmp_path, task):
    """Two points for four trials, trained for real: every trial has a score, and every result is whole."""
    run = replace(study.run, epochs=1, steps=1)
    if task == "embedded":
        options = {"size": 60, "dev_size": 60}
        run = replace(run, data=None, task="grammar", task_options=options, max_length=16)
    plan = Sweep(
        replace(study, methods=("vanilla",), seeds=1, run=run),
        trials=4,
        proposer="grid",
        space={"vanilla": {"lr": (1e-4, 1e-3)}},
    )
    result = sweep(plan, tmp_path, engine=InlinePlacer())
    (search,) = result.searches
    assert [trial.failure for trial in search.trials] == [None] * 4
    assert all(len(trial.scores) == 1 for trial in search.trials)
    assert Counter(trial.seed - study.tuning_seed for trial in search.trials) == {0: 2, 1: 2}
    assert result.study.failures == 0
    assert not list(tmp_path.glob("runs/*/*.broken-*"))


def test_a_search_where_everything_fails_says_so(study, tmp_path):
    plan = Sweep(replace(study, methods=("vanilla",)), trials=2)
    result, _ = perform(plan, tmp_path, score=lambda run: None)
    assert result.searches[0].score is None
    assert result.study.failures == 2 + 2  # the trials and the reported runs
    assert "none with a score" in " ".join(result.study.page.notes)


def test_weights_of_trials_are_deleted(study, tmp_path):
    plan = Sweep(replace(study, methods=("vanilla",)), trials=3)
    result, runs = perform(plan, tmp_path)
    store = Store(tmp_path)
    assert all(store.model(run.id) is None for run in runs)
    assert result.study.chosen


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trials": 0}, "trials is 0"),
        ({"halving": 1}, "halving is 1"),
        ({"batch": 0}, "batch is 0"),
        ({"halving": 10}, "leaves less than one of 9 epochs"),
        ({"proposer": "best"}, "proposer is 'best'"),
        ({"proposer": "grid", "space": {"pats": {"lam": Range(1e-7, 1e-5)}}}, "lam is a range"),
        ({"space": {"sage": {"beta3": (0.5,)}}}, "'sage', which is no row"),
        ({"space": {"pats": {"beta": (0.5, 1.5)}}}, "beta is 1.5"),
    ],
)
def test_bad_values(study, values, said):
    with pytest.raises(InputError, match=said):
        Sweep(study, **values)


def test_halving_needs_epochs_and_seeds_stay_apart(study, tmp_path):
    with pytest.raises(InputError, match="steps are given"):
        Sweep(replace(study, run=replace(study.run, steps=5)), halving=3)
    with pytest.raises(InputError, match="seed 3 is reported and searched with"):
        sweep(Sweep(replace(study, seeds=(3,), tuning_seed=0), trials=5), tmp_path)
