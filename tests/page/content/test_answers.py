"""What a page says of single answers: calibration, hard rows, parts of the examples."""

import numpy as np
import pytest

from pats.page.content import answers
from pats.page.numbers import tables
from pats.page.numbers.examples import Answers
from pats.page.numbers.reading import Reading
from pats.page.numbers.rows import Rows
from support.made_results import make_cell

TRUE = np.array([0.0, 1.0] * 10)
TEXTS = Rows(
    tuple(("word " * (3 if i < 10 else 8) + str(i),) for i in range(20)), ("web",) * 10 + ("mail",) * 10
)


def read(wrong_by_row, shares=True):
    """A reading of rows that answer wrongly in these places."""
    made = {}
    for label, wrong in wrong_by_row.items():
        predicted = np.where(np.isin(np.arange(20), wrong), 1 - TRUE, TRUE)
        own = np.stack([1 - predicted, predicted], axis=1) * 0.6 + 0.2
        made[label] = [Answers(TRUE, predicted, own if shares else None, "test")]
    return {("t", "bert-base-uncased"): Reading(("no", "yes"), {}, {}, (), made)}


def groups():
    cells = [make_cell("vanilla", [(0.9, 0.9)], task="t"), make_cell("tfidf", [(0.8, 0.8)], task="t")]
    return tables.groups([*cells, make_cell("majority", [(0.5, 0.5)], task="t")])


WRONG = {"vanilla": [3, 4], "tfidf": [3, 15], "majority": []}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"t": {"test": TEXTS}}, TEXTS.texts[3][0]),
        ({}, "4"),  # its number, where nobody kept the texts
        ({"t": {"test": Rows(TEXTS.texts[:5])}}, "4"),  # or other ones
    ],
)
def test_rows_that_all_methods_get_wrong(rows, told):
    section = answers.doubts(groups(), read(WRONG), rows)
    grid = section.grids[0]
    assert grid.title == "t, test: rows that all methods get wrong (1)"
    assert grid.rows == ((told, "yes", "no (2)"),)
    assert section.text.startswith("1 row that every method gets wrong")


def test_scores_by_length_and_by_group():
    _, length, group = answers.doubts(groups(), read(WRONG), {"t": {"test": TEXTS}}).grids
    assert length.title == "t, test: accuracy × 100 by length"
    assert [row[0] for row in length.rows] == ["4 words", "9 words"]
    assert group.heads == ("group", "rows", "vanilla", "tfidf")
    assert group.rows == (("mail", "10", "100.0", "90.0"), ("web", "10", "80.0", "90.0"))


def test_scores_by_group_of_rows_with_several_labels():
    true = np.stack([TRUE, 1 - TRUE, np.ones(20)], axis=1)
    predicted = true.copy()
    predicted[:10, 2] = 0.0  # of the first group a third of the labels is missed
    several = {"vanilla": [Answers(true, predicted, predicted, "test")]}
    of_labels = Reading(("x", "y", "z"), several=several)
    cells = [make_cell("vanilla", [(0.8, 0.8)], task="t", metric="micro_f1")]
    section = answers.doubts(
        tables.groups(cells), {("t", "bert-base-uncased"): of_labels}, {"t": {"test": TEXTS}}
    )
    _, group = section.grids
    assert group.title == "t, test: micro F1 × 100 by group"
    assert group.rows == (("mail", "10", "100.0"), ("web", "10", "66.7"))


def test_calibration_of_rows_with_probabilities():
    section = answers.trust(groups(), read(WRONG))
    assert [grid.title.partition(", on")[0] for grid in section.grids] == ["t: vanilla", "t: tfidf"]
    assert section.grids[0].title.endswith("expected calibration error 10.0")  # 80 % sure, 90 % right
    assert section.grids[0].rows == (("70 to 80 %", "20", "80.0", "90.0"),)
    assert answers.trust(groups(), read(WRONG, shares=False)) is None


def test_nothing_to_say():
    assert answers.doubts(groups(), read({"vanilla": [], "tfidf": [1]}), {}) is None
