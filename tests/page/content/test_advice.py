"""The answer of a table: what to use, how sure that is, what it gets wrong, what to do next."""

from dataclasses import replace

import numpy as np
import pytest

from pats.page.content import advice
from pats.page.content.document import Source, document
from pats.page.content.mistakes import mistakes
from pats.page.content.picked import pick
from pats.page.formats.html import html
from pats.page.numbers import examples, tables
from pats.page.numbers.examples import Answers
from pats.page.numbers.reading import Reading
from pats.page.numbers.rows import Rows
from pats.results import Cell, Outcome
from pats.run.spec import Run
from support.made_results import make_result

SIZE = 40
TRUE = np.array([0.0, 1.0] * (SIZE // 2))
TEXTS = Rows(tuple((f"text {i}",) for i in range(SIZE)))
KNOWN = {"reviews": {"test": TEXTS}}


def row(label, score, dev=None, method=None, metric="accuracy", **more):
    run = Run(data="reviews.csv", method=method or label)
    more.setdefault("labels", ("no", "yes"))
    result = make_result(run, [score if dev is None else dev], score, metric, **more)
    return Cell("reviews", "minilm", label, method or label, 1e-3, (Outcome(0, run.id, result),))


def study(*cells, wrong):
    """Tables of these rows, of which each answers wrongly in its places."""
    answers, counts, first = {}, {}, {}
    for label, places in wrong.items():
        predicted = np.where(np.isin(np.arange(SIZE), places), 1 - TRUE, TRUE)
        shares = np.stack([1 - predicted, predicted], axis=1) * 0.6 + 0.2
        answers[label] = [Answers(TRUE, predicted, shares, "test")]
        counts[label] = [examples.confusion((TRUE, predicted), 2)]
        first[label] = examples.resampled(answers[label], "accuracy", ("no", "yes"))
    return tables.groups(cells), {("reviews", "minilm"): Reading(("no", "yes"), counts, first, (), answers)}


MAJORITY = row("majority", 0.5, degenerate=True)
WRONG = {"vanilla": [0, 2, 4, 1], "tfidf": [0, *range(1, 20, 2)], "majority": list(range(0, SIZE, 2))}
USUAL = row("vanilla", 0.9), row("tfidf", 0.725), MAJORITY


@pytest.mark.parametrize(
    ("cells", "start"),
    [
        (
            USUAL,
            "Use vanilla, plain fine-tuning of minilm: it is right on 90 of 100 texts. With 40 test",
        ),
        (
            (row("vanilla", 0.7), row("tfidf", 0.8), MAJORITY),
            "Use tfidf, logistic regression on TF-IDF of words and characters, which no fine-tuned model beat"
            "s: it is right on 80 of 100 texts.",
        ),
        (
            (row("vanilla", 0.7, dev=0.9), row("tfidf", 0.8), MAJORITY),
            "No fine-tuned model beats tfidf, logistic regression on TF-IDF of words and characters: it score"
            "s 80.0, and vanilla, which was ahead on dev and is exported, 70.0 (accuracy × 100).",
        ),
        (
            (row("vanilla", 0.5), row("tfidf", 0.45), MAJORITY),
            "Use none of these models yet: none is better than always answering the most frequent class (50",
        ),
        (
            (row("vanilla", 0.5, dev=0.9), row("tfidf", 0.6), MAJORITY),
            "Use vanilla with care: dev chose it, but on test it is no better than always answering",
        ),
        (
            (row("vanilla", 0.9, metric="macro_f1"),),
            "Use vanilla, plain fine-tuning of minilm: its macro F1 × 100 is 90.0, and it is right on 90 of ",
        ),
    ],
)
def test_the_first_sentence(cells, start):
    assert advice.lines(*study(*cells, wrong=WRONG))[0].startswith(start)


def test_the_sentences_after_it():
    _, beside, wrong, steps = advice.lines(*study(*USUAL, wrong=WRONG))
    assert beside.startswith("In accuracy × 100 on test: vanilla 90.0, tfidf 72.5, always the most frequent")
    assert (
        wrong
        == "vanilla is wrong on 4 of 40 test rows: 'no' taken for 'yes' (3) and 'yes' taken for 'no' (1)."
    )
    assert steps.startswith("Next: Check the labels of the 2 rows that every method gets wrong")
    assert "Label more rows: 40 test rows leave the score open by about" in steps


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (list(range(20)), "vanilla is ahead of tfidf beyond the chance of these rows."),
        ([0, 2, 4, 3, 5], "These rows cannot tell vanilla from tfidf."),
    ],
)
def test_whether_the_next_best_is_behind(theirs, said):
    groups, read = study(*USUAL, wrong={**WRONG, "tfidf": theirs})
    assert advice.lines(groups, read)[1].endswith(said)
    little = any("would gain little" in step for step in advice.next_steps(pick(groups, read), groups))
    assert little == ("cannot tell" in said)


@pytest.mark.parametrize(("theirs", "clear"), [([0], True), ([*range(16)], False)])
def test_a_simple_model_that_dev_did_not_choose_but_test_prefers(theirs, clear):
    wrong = {"vanilla": list(range(18)), "tfidf": theirs, "majority": list(range(0, SIZE, 2))}
    cells = row("vanilla", 0.55, dev=0.99), row("tfidf", 1 - len(theirs) / SIZE), MAJORITY
    told = " ".join(advice.lines(*study(*cells, wrong=wrong)))
    assert told.startswith("No fine-tuned model beats tfidf")
    assert "vanilla, which was ahead on dev and is exported" in told
    assert ("dev chose vanilla, as a choice on test would flatter what it chooses" in told) is clear
    assert ("To have tfidf in place of what is exported, compare with --methods tfidf" in told) is clear
    assert ("These rows cannot tell" in told) is not clear


@pytest.mark.parametrize("error", [9.0, None])
def test_a_fine_tuned_model_that_was_a_little_ahead_on_dev_and_far_on_test(error):
    cells = row("vanilla", 0.95, dev=0.8), row("tfidf", 0.55, dev=0.75), MAJORITY
    wrong = {"vanilla": [0, 1], "tfidf": list(range(18)), "majority": list(range(0, SIZE, 2))}
    groups, read = study(*cells, wrong=wrong)
    read = {place: replace(one, doubt=lambda *_: error) for place, one in read.items()}
    beside = advice.lines(groups, read)[1]
    kept = (
        "vanilla is ahead of tfidf beyond the chance of these rows; it was not chosen for that, as a choice"
    )
    assert (kept in beside) is (error is not None)
    assert ("too little to prefer it to a simple model" in beside) is (error is not None)
    assert "dev chose" not in beside


def test_a_class_that_is_hardly_found():
    groups, read = study(*USUAL, wrong={**WRONG, "vanilla": list(range(0, 30, 2))})
    steps = advice.next_steps(pick(groups, read), groups)
    assert "Label more rows of 'no': of its 20 test rows only 5 are found." in steps


def test_examples_of_each_confusion():
    groups, read = study(*USUAL, wrong=WRONG)
    section = mistakes(pick(groups, read), KNOWN)
    assert [grid.title for grid in section.grids] == [
        "'no' taken for 'yes': 3 of 20",
        "'yes' taken for 'no': 1 of 20",
    ]
    assert section.grids[0].rows == (("text 0", "80 %"), ("text 2", "80 %"), ("text 4", "80 %"))
    nameless = mistakes(pick(groups, read), {})
    assert nameless.grids[1].rows == (("row 2", "80 %"),)


def test_the_largest_errors_of_scores():
    cell = row("vanilla", 0.9, metric="pearson", labels=())
    predicted = TRUE.copy()
    predicted[[3, 7]] += (0.5, 2.0)
    reading = Reading((), {}, {}, (), {"vanilla": [Answers(TRUE, predicted, None, "test")]})
    groups, read = tables.groups([cell]), {("reviews", "minilm"): reading}
    (grid,) = mistakes(pick(groups, read), KNOWN).grids
    assert grid.rows == (("text 7", "1.00", "3.00"), ("text 3", "1.00", "1.50"))


FOUND = [
    {"severity": "note", "message": "The label is column 'mood'."},
    {"severity": "warning", "message": "3 texts have two labels."},
]


def test_the_page_of_a_table_begins_with_it(monkeypatch):
    groups, read = study(*USUAL, wrong=WRONG)
    monkeypatch.setattr("pats.page.numbers.reading.read", lambda *_: read)
    page = document(groups, Source("pats compare", tables={"reviews": {"findings": FOUND}}))
    assert [one.id for one in page.sections[:5]] == ["choice", "wrong", "next", "data", "shown"]
    by_id = {one.id: one for one in page.sections}
    assert by_id["next"].items[0] == "Read the 1 warning about your table below: results may mislead."
    assert by_id["next"].grids[0].rows[0] == ("row 1", "no", "yes")
    assert by_id["data"].items == ("Warning: 3 texts have two labels.", "The label is column 'mood'.")
    assert by_id["choice"].grids[0].rows[0][:2] == ("vanilla", "90.0")
    assert "troubles" not in by_id  # no run failed: nothing is said of it
    assert html(page).index(page.answer[0].partition(",")[0]) < html(page).index("What the comparison shows")
    assert page.summary.lead == page.answer[0]


def test_a_study_of_a_named_task_has_no_answer():
    run = Run(task="rte", method="vanilla")
    outcomes = (Outcome(0, run.id, make_result(run, [0.6])),)
    groups = tables.groups([Cell("rte", "minilm", "vanilla", "vanilla", 1e-3, outcomes)])
    assert advice.lines(groups, {}) == ()
    page = document(groups, Source("pats compare"))
    assert page.answer == ()
    assert "troubles" in [one.id for one in page.sections]
