from dataclasses import replace

import pytest

from pats import results
from pats.page.content import document
from pats.page.numbers import tables
from pats.run.result import Epoch
from pats.run.spec import Run
from support.made_results import make_cell, make_result

PLAIN, BETTER = [0.60, 0.61, 0.62], [0.70, 0.71, 0.735]
NOISE = {"accumulated": 0.04, "noise_over_weight": 1e-2, "noise_over_update": 2.0, "gated": 0.2, "zero": 0.1}
TELEMETRY = {"encoder.layer.*.output.dense.weight": NOISE, "encoder.layer.*.attention.self.key.bias": NOISE}
WHERE = {
    "time": "2026-11-24T01:42:23+00:00",
    "packages": {"torch": "2.13.0"},
    "cpu": "AMD EPYC",
    "peak_memory_mb": {"process": 900.0},
    "git": {"commit": "0123456789abcdef", "dirty": True},
}


def rich(one, **more):
    """A cell whose results have all that a real run's have."""
    outcomes = []
    for outcome in one.outcomes:
        result = outcome.result and replace(
            outcome.result,
            timings={"train": 10.0 + outcome.seed, "examples_per_second": 50.0},
            environment=WHERE,
            sizes={"train": 100, "dev": 50},
            labels=("no", "yes"),
            **more,
        )
        outcomes.append(replace(outcome, result=result))
    return replace(one, outcomes=tuple(outcomes))


def study(**more):
    averages = {"mean": 1e-6, "cv": 2.0, "gini": 0.6, "insensitive": 0.1}
    cells = [
        rich(make_cell("vanilla", PLAIN)),
        rich(make_cell("pats", BETTER), telemetry=TELEMETRY, sensitivity=averages),
    ]
    return [*cells, *(rich(one) for one in more.get("others", ()))]


def report(cells, **more):
    source = document.Source("pats compare --tasks cola", {"seeds": 3}, **more)
    return document.document(tables.groups(cells), source)


def section(told, name):
    return next((one for one in told.sections if one.id == name), None)


def test_sections_of_a_whole_study():
    told = report(study())
    assert told.title == "CoLA with bert-base-uncased"
    assert told.lead == "6 runs, the last one finished on 24 November 2026"
    assert [one.id for one in told.sections] == [
        "results",
        "uncertainty",
        "curves",
        "noise",
        "sensitivity",
        "cost",
        "troubles",
        "made",
    ]
    assert len(told.verdict) == 3
    widths = [{len(row) for row in grid.rows} <= {len(grid.heads)} for grid in told.grids]
    assert all(widths)
    assert told.summary.grids == told.grids


def test_the_papers_scores_stand_beside_ours():
    told = section(report(study()), "results")
    assert "Hollow diamonds" in told.text
    assert told.grids[0].rows[0][-1] == "58.94"
    assert any("paper" in str(layer) for layer in told.charts[0].spec["layer"])
    other = section(report([make_cell("vanilla", PLAIN, model="m")]), "results")
    assert "Hollow diamonds" not in other.text


def test_uncertainty_over_seeds():
    (grid,) = section(report(study()), "uncertainty").grids
    ours = dict(zip(grid.heads, grid.rows[1], strict=True))
    assert (ours["seeds"], ours["median"], ours["lowest"], ours["highest"]) == ("3", "71.0", "70.0", "73.5")
    assert ours["P(better)"] == "1.00"
    assert ours["one seed's score over examples [95 %]"] == "-"


def test_cost_is_a_ratio_of_the_same_seeds():
    (grid,) = section(report(study()), "cost").grids
    assert grid.rows[1][:4] == ("cola", "pats", "11.0", "1.00")
    assert section(report([make_cell("vanilla", PLAIN)]), "cost") is None


def test_noise_is_told_by_kind_of_matrix():
    told = section(report(study()), "noise")
    assert [row[1] for row in told.grids[0].rows] == ["output.dense.weight", "attention.self.key.bias"]
    assert told.grids[0].rows[0][2:] == ("0.04", "0.01", "2", "0.2", "0.1", "-", "-")
    assert len(told.charts) == 3
    assert section(report([make_cell("vanilla", PLAIN)]), "noise") is None


def test_sensitivities_of_optimizers_stand_where_none_were_measured():
    told = section(report(study()), "sensitivity")
    assert told.grids[0].rows == (("cola", "pats", "1e-06", "2.00", "0.600", "10.0 %"),)
    assert section(report([make_cell("vanilla", PLAIN)]), "sensitivity") is None


def test_failed_constant_and_missing_runs():
    cells = [make_cell("vanilla", [0.5, None, 0.5]), make_cell("pats", [0.5, 0.5], degenerate=True)]
    waiting = results.Outcome(2, "0" * 16)
    cells[1] = replace(cells[1], outcomes=(*cells[1].outcomes, waiting))
    told = report(cells)
    (grid,) = section(told, "troubles").grids
    assert [row[2:5] for row in grid.rows] == [
        ("vanilla", "1", "failed"),
        ("pats", "0", "one constant"),
        ("pats", "1", "one constant"),
    ]
    assert "its process was killed 3 times" in grid.rows[0][5]
    assert told.lead.startswith("5 of 6 runs")
    assert any("1 run still to come" in note for note in told.notes)
    assert not any("has not been run" in note for note in told.notes)
    assert section(report(study()), "troubles").grids == ()


def test_how_it_was_made():
    command, made_with = section(report(study(), folder="out/x"), "made").grids
    assert command.rows[0] == ("command", "pats compare --tasks cola")
    assert ("folder", "out/x") in command.rows
    assert ("optimizer", "adamax") in command.rows
    assert ("git commit", "0123456789ab with changes") in made_with.rows


def test_a_study_without_any_result_has_a_report():
    empty = results.Cell("cola", "m", "pats", "pats", 1e-4, (results.Outcome(0, "0" * 16),))
    told = report([empty])
    assert told.lead == "0 of 1 run"
    assert section(told, "curves") is None
    assert section(told, "results").charts == ()


def test_curves_leave_out_epochs_that_only_some_seeds_reached():
    run = Run(task="cola", method="vanilla")
    long = make_result(run.with_seed(0), [0.5, 0.6, 0.7])
    short = make_result(run.with_seed(1), [0.4, 0.5])
    outcomes = (results.Outcome(0, "a", long), results.Outcome(1, "b", short))
    told = report([results.Cell("cola", "m", "vanilla", "vanilla", 1e-4, outcomes)])
    (chart,) = section(told, "curves").charts
    means = chart.spec["layer"][1]["data"]["values"]
    assert [(row["epoch"], row["score"]) for row in means] == [(1, 45.0), (2, 55.0)]


def test_many_runs_are_drawn_as_ranges():
    few = report([make_cell("vanilla", PLAIN)])
    many = report([make_cell("vanilla", [0.5] * 150)])
    marks = [section(told, "curves").charts[0].spec["layer"][0]["mark"]["type"] for told in (few, many)]
    assert marks == ["line", "area"]


@pytest.mark.parametrize("count", [1, 2])
def test_several_models_are_told_apart(count):
    cells = [rich(make_cell("vanilla", PLAIN, model=f"org/m{number}")) for number in range(count)]
    titles = [chart.title for chart in section(report(cells), "results").charts]
    assert titles == [["cola: every seed"], ["cola · m0: every seed", "cola · m1: every seed"]][count - 1]


def test_one_epoch_has_no_curve():
    one = make_cell("vanilla", PLAIN)
    outcomes = tuple(
        replace(o, result=replace(o.result, epochs=(Epoch(1, 10, 0.5, {"accuracy": 0.5}),), best_epoch=0))
        for o in one.outcomes
    )
    assert section(report([replace(one, outcomes=outcomes)]), "curves") is None


def test_figure_3_stands_in_the_page_where_it_was_made():
    point = {"method": "pats", "fraction": 0.5, "examples": 10, "seed": 0, "score": 50.0}
    point |= {"std": 1e-5, "cv": 2.0, "gini": 0.5, "insensitive": 0.1}
    found = {"task": "cola", "labels": ["pats"], "points": [point]}
    told = report(study(), data_size=found)
    assert len(section(told, "size").charts) == 3
    assert section(report(study()), "size") is None


@pytest.mark.parametrize("seeds", [9, 10])
def test_almost_stochastic_order_is_told_from_ten_seeds_on(seeds):
    cells = [make_cell("vanilla", [0.5] * seeds), make_cell("pats", [0.6] * seeds), make_cell("sage", [0.6])]
    (grid,) = section(report(cells), "uncertainty").grids
    assert (grid.heads[-1] == "ε_min") is (seeds == 10)
    if seeds == 10:
        assert [row[-1] for row in grid.rows] == ["-", "0.00", "-"]
