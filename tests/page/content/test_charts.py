import json

import pytest

from pats.page.content import charts
from pats.page.numbers import tables
from support.made_results import make_cell

PLAIN, BETTER = [0.60, 0.61, 0.62], [0.70, 0.71, 0.735]
LABELS = ["vanilla", "control", "pats"]


@pytest.fixture
def group():
    cells = [
        make_cell("vanilla", PLAIN),
        make_cell("control", PLAIN, control=True),
        make_cell("pats", BETTER),
    ]
    return tables.groups(cells)[0]


def every(spec, key):
    """All values of a key, wherever it stands."""
    found = []
    for name, value in spec.items() if isinstance(spec, dict) else enumerate(spec):
        if name == key:
            found.append(value)
        if isinstance(value, dict | list):
            found += every(value, key)
    return found


def test_a_method_has_one_colour_in_every_chart(group):
    drawn = [
        charts.seeds(group, LABELS, ""),
        charts.differences(group, LABELS, ""),
        charts.curves(group, LABELS, ""),
    ]
    for chart in drawn:
        domains = every(chart.spec, "domain")
        assert domains
        assert all(domain == LABELS for domain in domains)


def test_points_means_and_intervals_are_those_of_the_tables(group):
    rule, points, ticks, *_ = charts.seeds(group, LABELS, "").spec["layer"]
    ours = [row for row in points["data"]["values"] if row["method"] == "pats"]
    assert [row["score"] for row in ours] == [70.0, 71.0, 73.5]
    means = {row["method"]: row for row in ticks["data"]["values"]}
    assert means["pats"]["mean"] == 71.5
    assert {row["method"] for row in rule["data"]["values"]} == set(LABELS)
    gaps = charts.differences(group, LABELS, "").spec["layer"]
    found = next(row for row in gaps[1]["data"]["values"] if row["method"] == "pats")
    low, high = group.lines[2].difference.interval
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-3)


def test_one_seed_has_no_interval():
    (group,) = tables.groups([make_cell("vanilla", [0.5]), make_cell("pats", [0.6])])
    assert len(charts.seeds(group, LABELS, "").spec["layer"]) == 2 + (group.lines[0].paper is not None)
    assert charts.differences(group, LABELS, "").text.endswith("pats: mean 10.0, n = 1.")


def test_without_plain_fine_tuning_there_is_no_difference():
    (group,) = tables.groups([make_cell("pats", BETTER)])
    assert charts.differences(group, LABELS, "") is None


def test_zeros_are_not_drawn_on_a_logarithmic_axis_and_named():
    rows = [{"method": "pats", "kind": "a", "gated": 0.0}, {"method": "pats", "kind": "b", "gated": 0.2}]
    chart = charts.noise(rows, "gated", "share drawn", LABELS, "cola")
    assert [row["kind"] for row in chart.spec["data"]["values"]] == ["b"]
    assert chart.text == "cola: share drawn by kind of matrix, from 0 to 0.2."


def test_specs_are_plain_json(group):
    for chart in (charts.seeds(group, LABELS, ""), charts.curves(group, LABELS, "")):
        assert json.loads(json.dumps(chart.spec, allow_nan=False)) == chart.spec


@pytest.mark.parametrize(
    ("kind", "short"),
    [
        ("bert.encoder.layer.*.output.dense.weight", "output.dense.weight"),
        ("transformer.h.*.attn.c_attn.bias", "attn.c_attn.bias"),
        ("pooler.dense.weight", "pooler.dense.weight"),
    ],
)
def test_short_kind(kind, short):
    assert charts.short_kind(kind) == short
