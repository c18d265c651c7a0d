"""The order of a comparison's runs, and how rates are found, as tables: nothing is trained here."""

from dataclasses import replace

import pytest

from pats import InputError, Run, Study
from pats.study.plan.agenda import agenda, first_answer

ROWS = ("sage", "vanilla", "pats", "frozen", "majority")
STUDY = Study(
    methods=ROWS,
    run=Run(data="t.csv", epochs=6, batch_size=16),
    seeds=3,
    lr=1e-3,
    control=False,
    baselines=(),
)
GRID = (4e-4, 1e-4, 2e-4)


def nothing(runs):
    """No run has ended."""
    return None


def everything(runs):
    """All have ended, and larger rates are better."""
    return sorted(runs, key=lambda run: -run.lr)


def only(*methods):
    return lambda runs: everything(runs) if {run.method for run in runs} <= set(methods) else None


def told(runs):
    return [(run.method, run.data_seed) for run in runs]


def test_seeds_come_in_rounds_cheap_rows_and_plain_fine_tuning_first():
    order = ["vanilla", "sage", "pats"]
    rounds = [(row, seed) for seed in range(3) for row in order]
    assert told(agenda(STUDY, {}, nothing).runs) == [("frozen", 0), ("majority", 0), *rounds]


@pytest.mark.parametrize(("lr", "trials"), [(1e-3, 0), (None, 3)])
def test_a_first_answer_is_of_the_baselines_and_a_seed_of_plain_fine_tuning(lr, trials):
    made = replace(STUDY, lr=lr, lr_grid=() if lr else GRID)
    now = agenda(made, {}, nothing)
    first = first_answer(made, now, {})
    plain = [("vanilla", made.tuning_seed)] * trials
    assert told(first) == [("frozen", 0), ("majority", 0), *plain, ("vanilla", 0)]
    assert {run.id for run in first[:-1]} <= {run.id for run in now.runs}
    assert told(first_answer(replace(made, methods=("frozen",)), agenda(STUDY, {}, nothing), {}))


def test_controls_come_last_in_their_round():
    made = replace(STUDY, methods=("pats", "vanilla"), seeds=2, lr=None, lr_grid=GRID, control=True)

    def larger_is_better_for_pats(runs):
        return sorted(runs, key=lambda run: -run.lr if run.method == "pats" else run.lr)

    runs = [run for run in agenda(made, {}, larger_is_better_for_pats).runs if run.data_seed < 2]
    once = [("vanilla", 1e-4), ("pats", 4e-4), ("vanilla", 4e-4)]
    assert [(run.method, run.lr) for run in runs] == 2 * once


@pytest.mark.parametrize(
    ("ended", "known", "coming"),
    [
        ((), [], 2 * 3),
        (("vanilla",), ["vanilla"], 3),
        (("pats",), ["pats"], 3),
        (("vanilla", "pats"), ["pats", "vanilla"], 0),
    ],
)
def test_a_row_is_tuned_just_before_its_first_seed_and_known_when_its_trials_have_ended(ended, known, coming):
    made = replace(STUDY, methods=("pats", "vanilla"), lr=None, lr_grid=GRID)
    now = agenda(made, {}, only(*ended))
    assert sorted(cell.label for cell in now.cells) == known
    assert now.coming == coming
    plain = now.runs[: 3 + ("vanilla" in known)]
    assert [run.lr for run in plain[:3]] == sorted(GRID)
    assert {run.method for run in plain} == {"vanilla"}
    assert {run.data_seed for run in plain[:3]} == {made.tuning_seed}
    assert [run.data_seed for run in plain[3:]] == [0] * ("vanilla" in known)
    assert {cell.lr for cell in now.cells} <= {4e-4}


@pytest.mark.parametrize(
    ("rates", "halving", "rungs"),
    [
        (3, 3, [(1 / 3, 3)]),
        (4, 2, [(1 / 4, 4), (1 / 2, 2)]),
        (9, 3, [(1 / 9, 9), (1 / 3, 3)]),
        (5, 3, [(1 / 3, 5)]),
        (1, 3, []),
        (3, None, [(1, 3)]),
    ],
)
def test_trials_start_short_and_the_best_go_on_the_same_for_every_method(rates, halving, rungs):
    grid = tuple(1e-4 * (k + 1) for k in range(rates))
    made = replace(STUDY, methods=("vanilla", "pats"), lr=None, lr_grid=grid, halving=halving)
    now = agenda(made, {}, everything)
    for cell in now.trials:
        lengths = [round(run.epochs / made.run.epochs, 9) for run in cell.runs]
        found = [(share, lengths.count(share)) for share in dict.fromkeys(lengths)]
        assert found == [(round(share, 9), many) for share, many in rungs]
    assert {cell.lr for cell in now.cells} == {max(grid)}
    assert [run.epochs for cell in now.cells for run in cell.runs] == [6] * 2 * 3


def test_a_trial_is_a_whole_run_of_its_length():
    run = replace(STUDY.run, min_steps=150, max_steps=1500, evaluations=6)
    made = replace(STUDY, methods=("vanilla",), run=run, lr=None, lr_grid=GRID, halving=3)
    trial = agenda(made, {}, nothing).runs[0]
    assert (trial.min_steps, trial.max_steps, trial.evaluations, trial.epochs) == (50, 500, 2, 2)
    counted = replace(made, run=replace(STUDY.run, steps=9))
    assert agenda(counted, {}, nothing).runs[0].steps == 3


def test_where_every_trial_fails_the_smallest_rate_is_run():
    made = replace(STUDY, methods=("vanilla",), lr=None, lr_grid=GRID, halving=3)
    assert agenda(made, {}, lambda runs: []).rates == {("t", "minilm", "vanilla"): min(GRID)}


@pytest.mark.parametrize("halving", [1, 0, 2.5])
def test_a_halving_below_two_is_refused(halving):
    with pytest.raises(InputError, match="halving is"):
        replace(STUDY, halving=halving)
