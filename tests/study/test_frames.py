"""The numbers of a study as frames of pandas."""

import pytest

from pats import InputError
from pats.page.numbers import tables
from pats.study.frames import frame
from support.made_results import make_cell

CELLS = [
    make_cell("vanilla", [(0.6, 0.5), (0.7, 0.6)], task="t"),
    make_cell("pats", [(0.8, 0.7), None], task="t"),
    make_cell("tfidf", [(0.5, 0.4)], task="t"),
]


def test_a_row_a_run():
    told = frame(tables.groups(CELLS), "run")
    assert list(told["method"]) == ["vanilla", "vanilla", "pats", "pats", "tfidf"]
    assert list(told["seed"]) == [0, 1, 0, 1, 0]
    assert list(told["test"])[:3] == pytest.approx([50.0, 60.0, 70.0])
    assert told["test"].isna().tolist() == [False, False, False, True, False]
    assert told["failure"][3] == "its process was killed 3 times"
    assert told["run"].is_unique or told["run"].nunique() == 5
    assert told["lr"].isna().tolist() == [False] * 4 + [True]


def test_a_row_a_method():
    told = frame(tables.groups(CELLS), "method").set_index("method")
    assert told["mean"].to_dict() == pytest.approx({"vanilla": 55.0, "pats": 70.0, "tfidf": 40.0})
    assert told["fine_tuned"].to_dict() == {"vanilla": True, "pats": True, "tfidf": False}
    assert told["vs_vanilla"]["pats"] == pytest.approx(20.0)
    assert told["runs"].to_dict() == {"vanilla": 2, "pats": 1, "tfidf": 1}


def test_another_row():
    with pytest.raises(InputError, match="by is 'seed', but must be one of: run, method"):
        frame((), "seed")
