"""What is said of a model with several labels a row."""

import numpy as np

from pats.page.content import advice
from pats.page.content.mistakes import mistakes
from pats.page.content.picked import pick
from pats.page.content.several import Slip, slips, told
from pats.page.numbers import examples, tables
from pats.page.numbers.examples import Answers
from pats.page.numbers.reading import Reading
from pats.page.numbers.rows import Rows
from pats.results import Cell, Outcome
from pats.run.spec import Run
from support.made_results import make_result

LABELS = ("rude", "spam")
TRUE = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]] * 8)
KNOWN = {"posts": {"test": Rows(tuple((f"text {i}",) for i in range(40)))}}


def answers(missed, given):
    """Misses "rude" in some rows, the surest first, and gives "spam" wrongly in others."""
    predicted, shares = TRUE.copy(), np.where(TRUE == 1, 0.9, 0.1)
    for order, row in enumerate(missed):
        predicted[row, 0], shares[row, 0] = 0.0, 0.02 + 0.1 * order
    for order, row in enumerate(given):
        predicted[row, 1], shares[row, 1] = 1.0, 0.98 - 0.1 * order
    return [Answers(TRUE, predicted, shares, "test")]


def row(label, score):
    run = Run(data="posts.csv", method=label, kind="multilabel")
    made = make_result(run, [score], score, "micro_f1", labels=LABELS)
    return Cell("posts", "minilm", label, label, 1e-3, (Outcome(0, run.id, made),))


def study(**said):
    first = {label: examples.resampled(own, "micro_f1", LABELS) for label, own in said.items()}
    groups = tables.groups([row("vanilla", 0.9), row("tfidf", 0.6)])
    return groups, {("posts", "minilm"): Reading(LABELS, {}, first, (), {}, said)}


VANILLA, TFIDF = answers([5, 0, 1, 4], [2]), answers([0, 1, 4, 5, 6, 9, 10], [2, 7, 12, 17, 22, 27])


def test_labels_that_are_missed_or_wrongly_given_are_counted():
    assert slips(LABELS, VANILLA) == [Slip("rude", True, 4, 24), Slip("spam", False, 1, 24)]
    assert slips(LABELS, answers([], [])) == []
    assert told("vanilla", "test row", LABELS, VANILLA) == (
        "vanilla gives exactly the right labels to 35 of 40 test rows; most often 'rude' missed (4) and "
        "'spam' wrongly given (1)."
    )
    assert told("v", "row", LABELS, answers([], [])) == "v gives exactly the right labels to all 40 rows."


def test_the_answer_says_it():
    groups, read = study(vanilla=VANILLA, tfidf=TFIDF)
    lines = advice.lines(groups, read)
    assert any("most often 'rude' missed (4)" in line for line in lines)
    assert any("vanilla is ahead of tfidf beyond the chance" in line for line in lines)


def test_three_examples_of_each_the_surest_first():
    groups, read = study(vanilla=VANILLA, tfidf=TFIDF)
    section = mistakes(pick(groups, read), KNOWN)
    assert [grid.title for grid in section.grids] == [
        "'rude' missed: 4 of 24",
        "'spam' wrongly given: 1 of 24",
    ]
    assert section.grids[0].rows == (
        ("text 5", "rude", "2 %"),
        ("text 0", "rude", "12 %"),
        ("text 1", "rude, spam", "22 %"),
    )
    assert section.grids[1].rows == (("text 2", "none", "98 %"),)


def test_the_choice_has_intervals_of_the_differences():
    groups, read = study(vanilla=VANILLA, tfidf=TFIDF)
    chosen = pick(groups, read)
    gap, (low, high) = advice.over_examples(chosen, groups[0].lines[1])
    assert 0 < low < gap < high
    (grid,) = advice.choice(chosen).grids
    assert grid.rows[1][3].startswith("−") or grid.rows[1][3].startswith("-")
    assert "[" in grid.rows[1][3]
