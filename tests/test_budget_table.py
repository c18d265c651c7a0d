"""The promise of a budget for every length, optimizer and schedule; ``make soak`` has the whole table."""

import pytest

import pats
from support.budget_runs import SCHEDULES, TRAINERS, accumulated

THREE = ("AdamW 2e-5", "Adamax 1e-4", "SGD 1e-2")
TABLE = [
    pytest.param(steps, trainer, schedule, marks=() if fast else pytest.mark.soak)
    for steps, fast in ((50, True), (150, False), (500, False), (1500, False), (5000, False))
    for trainer in THREE
    for schedule in SCHEDULES
]


@pytest.mark.parametrize(("steps", "trainer", "schedule"), TABLE)
def test_a_budget_is_spent_whatever_trains_and_however_long(steps, trainer, schedule):
    for share_of_spread in accumulated(TRAINERS[trainer], pats.Noise(steps=steps), steps, schedule).values():
        assert 0.03 <= share_of_spread <= 0.045


@pytest.mark.parametrize("trainer", THREE)
def test_a_budget_is_spent_in_the_part_of_the_run_that_has_noise(trainer):
    noise = pats.Noise(steps=400, until=0.25)
    whole = accumulated(TRAINERS[trainer], noise, 110, "constant")  # ten steps beyond that part
    assert all(0.03 <= share_of_spread <= 0.045 for share_of_spread in whole.values())
    assert accumulated(TRAINERS[trainer], noise, 100, "constant") == whole
