import pytest
import torch

import pats
from pats.measure.distribution import Distribution
from pats.page.content import document, paper_figures


def measured(label, scale=1e-6, entries=1000):
    found = Distribution()
    generator = torch.Generator().manual_seed(len(label))
    found.add(torch.empty(entries, dtype=torch.float64).log_normal_(0, 2, generator=generator) * scale)
    summary = found.summary()
    return {
        "label": label,
        "task": "cola",
        "reduce": "batch",
        "batches": 4,
        "batch_size": 32,
        "whole": found.to_dict(),
        "by_layer": {"0": summary, "1": summary},
        "by_kind": {"encoder.layer.*.output.dense.weight": summary},
    }


@pytest.fixture
def two():
    return {"models": [measured("plain"), measured("pats")]}


def test_two_models_over_each_other(two):
    found = paper_figures.sensitivity(two)
    whole, layers, kinds = found.grids
    assert [row[0] for row in whole.rows] == ["plain", "pats"]
    assert [row[:2] for row in layers.rows[:3]] == [
        ("layer 0", "plain"),
        ("layer 0", "pats"),
        ("layer 1", "plain"),
    ]
    assert kinds.rows[0][0] == "output.dense.weight"
    window, axis, *_ = found.charts
    assert window.spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == ["plain", "pats"]
    assert len(window.spec["layer"][0]["data"]["values"]) == 100
    assert axis.spec["layer"][1]["encoding"]["x"]["scale"] == {"type": "log"}


def test_shares_of_the_log_axis_add_up(two):
    rows = paper_figures.sensitivity(two).charts[1].spec["layer"][1]["data"]["values"]
    assert sum(row["share"] for row in rows if row["model"] == "pats") == pytest.approx(1)


def test_numbers_are_those_of_the_distribution(two):
    grid = paper_figures.sensitivity(two).grids[0]
    row = dict(zip(grid.heads, grid.rows[0], strict=True))
    found = Distribution.from_dict(two["models"][0]["whole"])
    assert row["CV"] == f"{found.cv:.2f}"
    shares = [float(row[key].rstrip(" %")) for key in ("below 5e-8", "in the window", "above 1e-5")]
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_a_model_of_zeros_is_told_and_not_drawn():
    flat = measured("flat", entries=0)
    assert paper_figures.sensitivity({"models": [flat]}).grids[0].rows[0][1] == "0"


def test_its_page(two):
    told = document.sensitivity_document(two)
    assert "coefficient of variation" in told.verdict[1]
    assert "pats data-size measures every seed" in told.verdict[2]
    alone = document.sensitivity_document({"models": two["models"][:1]})
    assert "Measure a second model" in alone.verdict[2]


def test_what_is_not_whole_is_refused(two):
    del two["models"][0]["whole"]["counts"]
    with pytest.raises(pats.InputError, match="measure it again"):
        paper_figures.sensitivity(two)


def point(method, fraction, seed, score, std=1e-5):
    spread = {"std": std, "cv": 2.0, "gini": 0.5, "insensitive": 0.1, "mean": 1e-6}
    examples = int(1000 * fraction)
    base = {"method": method, "fraction": fraction, "examples": examples, "seed": seed, "score": score}
    return base | (spread if std is not None else dict.fromkeys(spread))


POINTS = [
    point("vanilla", 0.1, 0, 50.0),
    point("vanilla", 0.1, 1, 52.0, 3e-5),
    point("vanilla", 1.0, 0, 60.0),
    point("pats", 0.1, 0, 51.0),
    point("pats", 0.1, 1, None, None),
    point("pats", 1.0, 0, 61.0),
]


def test_data_size():
    found = paper_figures.data_size(POINTS, ["vanilla", "pats"], "cola")
    (grid,) = found.grids
    assert grid.rows[0][:6] == ("10 %", "100", "vanilla", "2", "51.0 ± 1.4", "50.0 52.0")
    assert grid.rows[0][6] == "2e-05"
    assert grid.rows[1][3:6] == ("1 (1 failed)", "51.0", "51.0 -")
    score = found.charts[0].spec
    means = {(row["method"], row["examples"]): row["score"] for row in score["layer"][1]["data"]["values"]}
    assert means == {("vanilla", 100): 51, ("vanilla", 1000): 60, ("pats", 100): 51, ("pats", 1000): 61}
    assert all("seed" in row for row in score["layer"][0]["data"]["values"])


def test_data_size_in_words():
    first, second, third = paper_figures.sentences(POINTS, ["vanilla", "pats"])
    assert "100 and 1,000 training examples, 2 seeds each" in first
    assert "vanilla 51.0, pats 51.0 with 100 examples; vanilla 60.0, pats 61.0 with 1,000 examples" in second
    assert "vanilla 2e-05, pats 1e-05 with 100 examples" in third
    constant = [{**POINTS[0], "constant": True}, *POINTS[1:]]
    told = paper_figures.sentences(constant, ["vanilla", "pats"])
    assert told[0].startswith(
        f"1 of {len(POINTS)} runs predicts one constant and learned nothing: train longer"
    )
    assert told[1:] == (first, second, third)
    unmeasured = [{**one, "std": None} for one in POINTS]
    assert paper_figures.sentences(unmeasured, ["vanilla"])[2] == "No sensitivities were measured."
    assert (
        len(paper_figures.data_size([{**p, "cv": None, "std": None} for p in POINTS], ["pats"], "x").charts)
        == 1
    )


def test_data_size_page():
    told = document.data_size_document(POINTS, ["vanilla", "pats"], "cola", "minilm", "pats data-size")
    assert told.title == "CoLA by size of the training data, with MiniLM-L6"
    assert told.sections[1].grids[0].rows == (("command", "pats data-size"),)
