"""What of an unfinished comparison is compared, and what is said of it."""

from dataclasses import replace

import pytest

from pats import Run, Study
from pats.results import Outcome
from pats.study.limit import Limit
from pats.study.partial import comparable, ended, forecast
from pats.study.plan.agenda import Agenda, agenda
from support.made_results import make_cell

STUDY = Study(
    methods=("vanilla", "pats"), run=Run(data="t.csv"), seeds=6, lr=1e-4, control=False, baselines=()
)


def cell(label, states, control=False):
    """A cell whose seeds have ended (+), failed (x) or are to come (.)."""
    made = make_cell(label, [0.5 if state == "+" else None for state in states], control=control)
    outcomes = [
        Outcome(o.seed, o.run_id) if state == "." else o
        for o, state in zip(made.outcomes, states, strict=True)
    ]
    return replace(made, outcomes=tuple(outcomes))


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ({"vanilla": "+++.", "pats": "++.."}, {"vanilla": [0, 1], "pats": [0, 1]}),
        ({"vanilla": "+++.", "pats": "...."}, {"vanilla": [0, 1, 2]}),  # not begun: it takes nobody's seeds
        ({"vanilla": "+.+.", "pats": "+++."}, {"vanilla": [0, 2], "pats": [0, 2]}),
        ({"vanilla": "+x+.", "pats": "+++."}, {"vanilla": [0, 1, 2], "pats": [0, 1, 2]}),  # failed has ended
        ({"vanilla": "+.", "pats": ".+"}, {"vanilla": [0], "pats": [1]}),  # nothing is paired: all is shown
        ({"vanilla": "...."}, {}),
    ],
)
def test_seeds_that_every_row_has_are_compared(rows, kept):
    cells = comparable([cell(label, states) for label, states in rows.items()])
    assert {c.label: [o.seed for o in c.outcomes] for c in cells} == kept


def test_a_control_takes_no_seeds_from_the_others():
    cells = comparable([cell("vanilla", "++"), cell("pats", "++"), cell("control", "+.", control=True)])
    assert [len(c.outcomes) for c in cells] == [2, 2, 1]


def test_a_baseline_has_no_seeds_and_is_kept():
    cells = comparable([cell("vanilla", ".++"), cell("pats", ".++"), cell("majority", "+")])
    assert [len(c.outcomes) for c in cells] == [2, 2, 1]


@pytest.mark.parametrize(
    ("seconds", "limit", "said"),
    [
        (None, None, "12 runs, how long is known after the first one; 6 seeds can show a difference of "),
        (600.0, None, "12 runs, about 10 min; 6 seeds"),
        (600.0, 1200.0, "about 10 min, within the time limit of 20 min;"),
        (1190.0, 1200.0, "about 20 min; the time limit of 20 min ends it before;"),
        (None, 1200.0, "after the first one, at most the time limit of 20 min;"),
    ],
)
def test_what_is_to_come_is_told_in_a_line(seconds, limit, said):
    now = agenda(STUDY, {}, lambda runs: None)
    limits = Limit() if limit is None else Limit(limit, clock=lambda: 0.0)
    line = forecast(STUDY, now, len(now.runs), seconds, limits)
    assert line.startswith("2 methods × 6 seeds on t: ")
    assert said in line
    assert "\n" not in line


def test_when_a_first_answer_stands_and_that_the_end_may_come_early_are_told():
    now = agenda(STUDY, {}, lambda runs: None)
    line = forecast(STUDY, now, len(now.runs), 600.0, Limit(), early=True, first=50.0)
    said = "about 10 min; a first answer after about 50 s; it ends sooner where more seeds cannot change what"
    assert said in line


def test_trials_and_runs_that_follow_are_counted():
    tuned = replace(STUDY, lr=None, lr_grid=(1e-4, 2e-4, 4e-4), halving=3, seeds=2)
    now = agenda(tuned, {}, lambda runs: None)
    line = forecast(tuned, now, len(now.runs), None, Limit())
    assert line.startswith("2 methods × 2 seeds on t, after 6 trials of learning rates: 10 runs, ")
    assert "can show" not in line  # two seeds can show nothing, which is said elsewhere


@pytest.mark.parametrize(
    ("rows", "seconds", "said"),
    [
        (
            {"vanilla": "++....", "pats": "++...."},
            600.0,
            "The time limit of 20 min ended the comparison with 2 of 6 seeds; the other 8 runs need about 10 "
            "min more, with the same command and a longer --time-limit: 6 seeds can show a difference of 1.4 "
            "times its spread over seeds, 2 can show none.",
        ),
        ({"vanilla": "++....", "pats": "......"}, None, "2 of 6 seeds, and without pats; the other 8 runs"),
        ({"vanilla": "......", "pats": "......"}, 60.0, "before a method had its first seed; its 8 runs"),
    ],
)  # fmt: skip
def test_the_end_by_a_time_limit_is_told_with_what_more_time_brings(rows, seconds, said):
    cells = [cell(label, states) for label, states in rows.items()]
    assert said in ended(STUDY, cells, 8, seconds, Limit(1200.0, clock=lambda: 0.0))


def test_an_agenda_without_trials_names_none():
    assert "trial" not in forecast(STUDY, Agenda(), 1, 1.0, Limit())
