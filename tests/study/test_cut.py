"""What is left out for a time limit, by forecasts of so many seconds a step."""

from dataclasses import replace

import pytest

from pats import Run, Study
from pats.study.cut import SAFE, Cut, cut

RUN = Run(data="texts.csv", epochs=5, min_steps=150, max_steps=1500)
STUDY = Study(methods=("vanilla",), run=RUN, lr_grid=(5e-4, 5e-5, 2e-4), halving=3)
FULL = 220  # steps


def forecast(study):
    """A second a step, 10 s of baselines, and of the trials as long as a run."""
    steps = min(FULL, study.run.max_steps)
    return 10.0 + steps * (2 if study.lr_grid else 1)


@pytest.mark.parametrize(
    ("left", "found", "alone"),
    [
        (450, None, None),
        (449, Cut(2e-4, 1500), None),
        (230, Cut(2e-4, 1500), None),
        (229, Cut(2e-4, 219), None),
        (195, Cut(2e-4, 185), None),
        (160, Cut(2e-4, 150), None),
        (150, Cut(2e-4, 150), None),  # it may fit: the estimate is near
        (143, Cut(2e-4, 1500), 160.0),
    ],
)
def test_the_search_goes_first_then_steps_down_to_the_least(left, found, alone):
    assert cut(STUDY, left / SAFE, FULL, forecast) == (found, alone)
    if found is not None and alone is None:
        assert forecast(found.of(STUDY)) <= left / SAFE


def test_nothing_is_cut_where_nobody_knows():
    assert cut(STUDY, 1.0, FULL, lambda study: None) == (None, None)


@pytest.mark.parametrize("changed", [{"min_steps": None}, {"steps": 220}, {"min_steps": 220}])
def test_without_a_least_number_of_steps_they_stay(changed):
    study = replace(STUDY, run=replace(RUN, **changed))
    assert cut(study, 200.0, FULL, forecast) == (Cut(2e-4, 1500), 230.0)


@pytest.mark.parametrize(
    ("found", "alone", "said"),
    [
        (Cut(2e-4, 1500), None, "a search for learning rates before a first answer: every method is trained"),
        (Cut(2e-4, 180), None, "with 0.0002 for 180 of 220 steps. A longer --time-limit makes both."),
        (
            Cut(2e-4, 1500),
            160.0,
            "one fine-tuning, as a first answer takes about 3 min: no method is trained",
        ),
    ],
)
def test_what_is_said(found, alone, said):
    sentence = found.told(STUDY, 120.0, FULL, alone)
    assert sentence.startswith("The time limit of 2 min is too short for ")
    assert said in sentence
