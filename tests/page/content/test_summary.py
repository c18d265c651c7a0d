from dataclasses import replace

from pats.page.content.summary import OVERALL
from pats.page.numbers import tables
from pats.page.numbers.examples import Examples
from pats.page.numbers.reading import Reading
from support.made_results import BETTER, PLAIN, make_cell, summarised, two_tasks


def test_summary_has_the_papers_numbers_beside_ours():
    summary = summarised(two_tasks())
    grid = summary.grids[0]
    assert grid.heads == ("model", "method", "cola", "rte", *OVERALL)
    assert grid.rows[1][2:4] == ("71.5 (60.67)", "70.0 (72.08)")
    assert "above it on 1 of 2 tables" in summary.verdict[1]


def test_parts_of_dev_stand_in_a_table_of_their_own():
    def in_parts(label, scores):
        plain = make_cell(label, scores, task="mnli")
        outcomes = []
        for outcome in plain.outcomes:
            epochs = tuple(
                replace(
                    epoch,
                    metrics={
                        **epoch.metrics,
                        f"dev_matched/{outcome.result.metric}": 0.5,
                        f"dev_mismatched/{outcome.result.metric}": 0.25 * outcome.seed,
                        "dev_matched/other": 0.9,
                    },
                )
                for epoch in outcome.result.epochs
            )
            outcomes.append(replace(outcome, result=replace(outcome.result, epochs=epochs)))
        return replace(plain, outcomes=tuple(outcomes))

    grids = summarised([in_parts("vanilla", PLAIN), in_parts("pats", BETTER)]).grids
    assert grids[-1].heads == ("part of dev", "vanilla", "pats")
    assert grids[-1].rows == (("dev_matched", "50.0", "50.0"), ("dev_mismatched", "25.0", "25.0"))
    assert len(summarised([make_cell("vanilla", PLAIN), make_cell("pats", BETTER)]).grids) == len(grids) - 1


def test_the_title_has_the_score_of_the_constant_answer_that_the_verdict_has():
    """The most frequent class of train need not be that of the test rows, of which a reading knows alone."""
    constant = make_cell("majority", [(0.444, 0.444)], method="majority", labels=("a", "b"))
    cells = [make_cell("vanilla", PLAIN), constant]
    group = tables.groups(cells)[0]
    doubts = Examples(9, 70.0, (60.0, 80.0), 55.6)
    read = {(group.task, group.model): Reading(("a", "b"), first={"vanilla": doubts})}
    assert "(always the most frequent class: 44.4)" in summarised(cells, read=read).grids[0].title
    assert "55.6)" in summarised(cells[:1], read=read).grids[0].title
