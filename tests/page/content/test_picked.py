"""The row that a comparison on a table recommends."""

from dataclasses import replace

import pytest

from pats.page.content import advice
from pats.page.content.picked import on_a_table, pick
from pats.page.content.simpler import simpler
from pats.page.numbers import tables
from pats.page.numbers.reading import Reading
from pats.results import Cell, Outcome
from pats.run.spec import Run
from support.made_results import make_cell, make_result


def row(method, dev, test, **more):
    run = Run(data="reviews.csv", method=method)
    result = make_result(run, [dev], test, labels=("no", "yes"), **more)
    return Cell("reviews", "minilm", method, method, 1e-3, (Outcome(0, run.id, result),))


ROWS = row("vanilla", 0.84, 0.78), row("tfidf", 0.81, 0.85), row("majority", 0.5, 0.5, degenerate=True)


def read(error):
    return {("reviews", "minilm"): Reading(("no", "yes"), doubt=lambda *_: error)}


@pytest.mark.parametrize(
    ("error", "label", "ahead"),
    [(4.1, "tfidf", "vanilla"), (2.9, "vanilla", None), (None, "vanilla", None)],
)
def test_a_fine_tuned_row_needs_one_standard_error_on_dev(error, label, ahead):
    groups = tables.groups(ROWS)
    chosen = pick(groups, read(error))
    assert (chosen.line.cell.label, chosen.ahead, chosen.constant) == (label, ahead, 50.0)
    first, beside = advice.lines(groups, read(error))[:2]
    kept = "On dev vanilla was ahead of tfidf by less than one standard error"
    assert ("Use tfidf" in first, kept in beside) == (ahead is not None, ahead is not None)
    (said,) = simpler(groups, read(error))
    assert said.startswith("Use the simple model tfidf" if ahead else "Fine-tuning did not pay beside")


def test_without_predictions_the_best_on_dev_is_picked():
    assert pick(tables.groups(ROWS), {}).line.cell.label == "vanilla"


def test_a_task_with_a_name_and_several_tables_have_no_pick():
    named = tables.groups([make_cell("vanilla", [0.8])])
    assert not any(map(on_a_table, named))
    assert pick(named, {}) is None
    both = tables.groups([*ROWS, replace(ROWS[0], task="other")])
    assert all(map(on_a_table, both))
    assert pick(both, {}) is None


def test_without_scores_there_is_no_pick():
    cell = Cell("reviews", "minilm", "vanilla", "vanilla", 1e-3, (Outcome(0, "a", None, "killed"),))
    assert pick(tables.groups([cell]), {}) is None
