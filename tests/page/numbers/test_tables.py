import pytest

from pats.page.numbers import tables
from pats.run.spec import Run
from support.made_results import BETTER, PLAIN, make_cell, make_result, summarised, two_tasks


def test_scores_are_times_100_of_the_best_epoch_beside_the_last():
    (group,) = tables.groups([make_cell("vanilla", PLAIN), make_cell("pats", BETTER, method="pats-paper")])
    plain, ours = group.lines
    assert (group.split, group.family) == ("dev", 1)
    assert plain.scores == pytest.approx({0: 60.0, 1: 61.0, 2: 62.0})
    assert plain.cell.last == pytest.approx({0: 50.0, 1: 51.0, 2: 52.0})
    assert (plain.mean, plain.std) == pytest.approx((61.0, 1.0))
    assert (plain.difference, plain.p) == (None, None)
    assert ours.difference.mean == pytest.approx(10.5)
    assert (plain.paper, ours.paper) == (58.94, 60.67)


def test_three_seeds_are_never_significant_and_the_page_says_so():
    told = summarised([make_cell("vanilla", PLAIN), make_cell("pats", BETTER)])
    assert len(told.verdict) == 3
    assert "No difference can be shown with 3 seeds" in told.verdict[2]
    assert "6 seeds would allow it for 1 comparison" in told.verdict[2]
    assert "could have shown" not in told.verdict[2]  # nothing can be, whatever the scores


@pytest.mark.parametrize(("seeds", "significant"), [(5, False), (6, True)])
def test_significance_needs_enough_seeds(seeds, significant):
    cells = [
        make_cell("vanilla", [0.5] * seeds),
        make_cell("pats", [0.6 + seed / 100 for seed in range(seeds)]),
    ]
    (group,) = tables.groups(cells)
    assert group.lines[1].significant is significant
    assert ("Holm" in summarised(cells).verdict[2]) is significant


def test_six_seeds_that_show_nothing_are_not_called_too_few():
    cells = [make_cell("vanilla", [0.5] * 6), make_cell("pats", [0.6, 0.4, 0.52, 0.48, 0.55, 0.45])]
    assert (
        summarised(cells).verdict[2].startswith("No difference to plain fine-tuning was shown with 6 seeds")
    )


def test_holm_goes_over_the_methods_and_leaves_controls_out():
    flat = [0.5] * 6
    cells = [make_cell("vanilla", flat), make_cell("vanilla at pats's rate", [0.6] * 6, control=True)]
    cells += [make_cell("pats", [0.6] * 6), make_cell("sage", [0.6] * 6)]
    (group,) = tables.groups(cells)
    assert group.family == 2
    assert [line.p for line in group.lines] == [None, None, 0.0625, 0.0625]
    assert group.lines[1].difference.mean == pytest.approx(10.0)


@pytest.mark.parametrize("method", ["soup", "ema+soup"])
def test_what_is_chosen_on_dev_is_not_tested_on_dev(method):
    cells = [
        make_cell("vanilla", [0.5] * 6),
        make_cell("s", [0.6] * 6, method=method),
        make_cell("pats", [0.6] * 6),
    ]
    (group,) = tables.groups(cells)
    assert (group.family, [line.p for line in group.lines]) == (1, [None, None, 2 / 2**6])
    assert group.lines[1].difference.mean == pytest.approx(10.0)
    told = summarised(cells)
    assert any(note.startswith("s chooses its weights on dev, so a dev score below") for note in told.notes)
    assert "no other difference" not in " ".join(told.verdict)
    alone = summarised(cells[:2]).verdict
    assert "the other rows have dev scores alone, which they were chosen by" in alone[2]
    both = [
        make_cell(cell.label, [0.5 + 0.1 * (cell.label != "vanilla")] * 6, task=task, method=cell.method)
        for task in ("cola", "rte")
        for cell in cells
    ]
    over = {row.label: row for row in tables.overall(tables.groups(both))}
    assert (over["s"].p, over["s"].significant) == (None, False)
    assert over["pats"].significant


def test_a_method_whose_runs_all_failed_still_counts_in_the_family():
    cells = [make_cell("vanilla", [0.5] * 6), make_cell("pats", [0.6] * 6), make_cell("sage", [None] * 6)]
    (group,) = tables.groups(cells)
    assert group.family == 2
    assert [line.p for line in group.lines] == [None, 0.0625, None]


def test_pairs_are_the_seeds_that_both_have():
    (group,) = tables.groups([make_cell("vanilla", [0.5, None, 0.7]), make_cell("pats", [0.6, 0.9, 0.8])])
    assert group.lines[1].difference.n == 2
    assert group.lines[1].difference.mean == pytest.approx(10.0)


def test_failed_and_constant_runs_are_counted_and_shown():
    told = summarised([make_cell("vanilla", [0.5, None]), make_cell("pats", [0.6, 0.6], degenerate=True)])
    assert told.grids[0].rows[0][2:5] == ("1 (1 failed)", "50.0", "50.0 -")
    assert told.grids[0].rows[1][2] == "2 (2 constant)"
    assert any("cola, bert-base-uncased, vanilla, seed 1: its process" in note for note in told.notes)
    assert any("2 runs predicted one constant" in note for note in told.notes)


def test_a_diverged_run_has_no_score():
    run = Run(task="cola")
    result = make_result(run, [0.5], status="failed", error="the loss is not finite")
    outcome = tables.Outcome(0, run.id, result)
    assert outcome.failure == "the loss is not finite"
    assert tables.Cell("cola", "m", "pats", "pats", 1.0, (outcome,)).dev == {}


def test_the_verdict_is_from_test_where_there_is_one():
    cells = [make_cell("vanilla", [(0.9, 0.5), (0.9, 0.6)]), make_cell("pats", [(0.8, 0.7), (0.8, 0.8)])]
    (group,) = tables.groups(cells)
    assert group.split == "test"
    assert group.lines[1].difference.mean == pytest.approx(20.0)
    assert group.lines[1].paper is None  # the paper's numbers are of dev
    assert "the test set" in summarised(cells).verdict[0]


def test_without_plain_fine_tuning_or_any_score():
    assert "no difference to judge" in summarised([make_cell("pats", BETTER)]).verdict[2]
    told = summarised([make_cell("vanilla", [None]), make_cell("pats", [None])])
    assert told.grids[0].rows[0][3] == "-"


def test_one_seed():
    assert (
        "one seed says nothing"
        in summarised([make_cell("vanilla", [0.5]), make_cell("pats", [0.6])]).verdict[2]
    )


def test_overall():
    plain, ours = tables.overall(tables.groups(two_tasks()))
    assert (plain.average, ours.average) == pytest.approx((70.5, (71.5 + 70) / 2))
    assert (plain.improvement, ours.improvement) == (None, 0.5)
    assert ours.iqm[1][0] <= ours.iqm[0] <= ours.iqm[1][1]
    assert tables.overall(tables.groups(two_tasks()[:2])) == []
    missing = [*two_tasks()[:3], make_cell("pats", [None], task="rte")]
    assert tables.overall(tables.groups(missing))[1].average is None


def test_over_tasks_all_pairs_count():
    cells = [
        make_cell(label, scores, task=task)
        for task in ("cola", "rte")
        for label, scores in (("vanilla", [0.5] * 4), ("pats", [0.6, 0.61, 0.62, 0.63]))
    ]
    plain, ours = tables.overall(tables.groups(cells))
    assert (plain.difference, plain.p) == (None, None)
    assert (ours.difference.n, ours.difference.mean) == (8, pytest.approx(11.5))
    assert (ours.p, ours.significant) == (2 / 2**8, True)
    told = summarised(cells)
    # Four seeds a task could never show it on one task; over both tasks it is shown.
    assert "over all tasks pats +11.5 [" in told.verdict[2]
    assert "no other difference on a single task was shown" in told.verdict[2]
    assert told.grids[0].rows[1][-1] == "0.008 *"


def test_over_tasks_holm_counts_methods_without_a_p():
    cells = [
        make_cell(label, scores, task=task)
        for task in ("cola", "rte")
        for label, scores in (("vanilla", [0.5] * 4), ("pats", [0.6] * 4), ("sage", [None] * 4))
    ]
    _, ours, sage = tables.overall(tables.groups(cells))
    assert ours.p == 2 * 2 / 2**8
    assert sage.p is None
