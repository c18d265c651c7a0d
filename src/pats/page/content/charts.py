"""Vega-Lite charts as plain dicts, each with a text that says in words what it shows.

Colours and shapes are left to the page's theme (light or dark); a method has the same ones in every chart,
by its place in ``labels``. Data are inlined and rounded, so that a chart is as small as it can be.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pats.page.numbers import statistics
from pats.page.numbers.tables import Group, Line, common

Spec = Mapping[str, Any]
Row = dict[str, Any]

MOST_LINES = 120  # beyond, learning curves show the range over seeds in place of every seed


@dataclass(frozen=True)
class Chart:
    """One chart.

    Args:
        title: Its heading.
        text: What it shows, for those who do not see it.
        spec: Vega-Lite, without theme.
        points: How many different points it has: with one it shows nothing.
    """

    title: str
    text: str
    spec: Spec
    points: int = 2


def seeds(group: Group, labels: Sequence[str], title: str) -> Chart:
    """Every seed's score as a point, the mean as a bar, its 95 % interval over seeds, the paper's score."""
    lines = [line for line in group.lines if line.scores]
    points = [
        {"method": line.cell.label, "seed": seed, "score": _round(score)}
        for line in lines
        for seed, score in line.scores.items()
    ]
    means = [
        _row(
            line.cell.label,
            float(np.mean(values)),
            statistics.interval(values, limits=line.limits),
            len(values),
        )
        for line in lines
        for values in (list(line.scores.values()),)
    ]
    printed = [
        {"method": line.cell.label, "paper": line.paper, "seed": "paper"}
        for line in lines
        if line.paper is not None
    ]
    text = "Scores by method. " + _means_in_words(means)
    spec = _strip(points, means, labels, "score", f"score × 100 on {group.split}", printed)
    return Chart(title, text, spec, _different(points))


def differences(group: Group, labels: Sequence[str], title: str) -> Chart | None:
    """Every seed's difference to plain fine-tuning on the same seed; None where there is none."""
    plain = group.plain
    if plain is None:
        return None
    lines = [line for line in group.lines if line.difference is not None]
    points, means = [], []
    for line in lines:
        assert line.difference is not None
        points += [
            {"method": line.cell.label, "seed": seed, "score": _round(line.scores[seed] - plain.scores[seed])}
            for seed in common(line.scores, plain.scores)
        ]
        difference = line.difference
        means.append(_row(line.cell.label, difference.mean, difference.interval, difference.n))
    if not points:
        return None
    spec = _strip(points, means, labels, "score", "difference to plain, same seed")
    zero = {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "style": "zero"},
        "encoding": {"x": {"datum": 0}},
    }
    text = "Differences to plain fine-tuning, paired by seed. " + _means_in_words(means)
    return Chart(title, text, {**spec, "layer": [zero, *spec["layer"]]}, _different(points))


def _different(points: Sequence[Row]) -> int:
    return len({row["score"] for row in points})


def _row(label: str, mean: float, interval: tuple[float, float] | None, n: int) -> Row:
    row: Row = {"method": label, "mean": _round(mean), "n": n}
    return row if interval is None else row | {"low": _round(interval[0]), "high": _round(interval[1])}


def _means_in_words(means: Iterable[Row]) -> str:
    parts = []
    for row in means:
        spread = f" (95 % interval {row['low']:.1f} to {row['high']:.1f})" if "low" in row else ""
        parts.append(f"{row['method']}: mean {row['mean']:.1f}{spread}, n = {row['n']}")
    return "; ".join(parts) + "."


def _strip(
    points: Sequence[Row],
    means: Sequence[Row],
    labels: Sequence[str],
    field: str,
    axis: str,
    printed: Sequence[Row] = (),
) -> dict[str, Any]:
    order = [row["method"] for row in means]
    y = {"field": "method", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 130}}
    color = {"field": "method", "type": "nominal", "scale": {"domain": list(labels)}, "legend": None}
    shape = {**color}
    x = {"type": "quantitative", "title": axis, "scale": {"zero": False, "nice": True}}
    about = {"field": "method", "title": "method"}
    intervals = [row for row in means if "low" in row]
    rule: dict[str, Any] = {
        "data": {"values": intervals},
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.75},
        "encoding": {
            "y": y,
            "x": {**x, "field": "low"},
            "x2": {"field": "high"},
            "color": color,
            "tooltip": [
                about,
                {"field": "low", "title": "95 % interval from"},
                {"field": "high", "title": "to"},
                {"field": "n", "title": "seeds"},
            ],
        },
    }
    layers: list[dict[str, Any]] = [
        *([rule] if intervals else []),
        {
            "data": {"values": list(points)},
            "mark": {"type": "point", "filled": True, "size": 75, "opacity": 0.8},
            "encoding": {
                "y": y,
                "x": {**x, "field": field},
                "color": color,
                "shape": shape,
                "tooltip": [about, {"field": "seed"}, {"field": field, "title": "value"}],
            },
        },
        {
            "data": {"values": list(means)},
            "mark": {"type": "tick", "thickness": 3, "size": 24},
            "encoding": {
                "y": y,
                "x": {**x, "field": "mean"},
                "color": color,
                "tooltip": [about, {"field": "mean", "title": "mean"}, {"field": "n", "title": "seeds"}],
            },
        },
    ]
    if printed:
        layers.append(
            {
                "data": {"values": list(printed)},
                "mark": {"type": "point", "shape": "diamond", "size": 90, "filled": False, "style": "paper"},
                "encoding": {
                    "y": y,
                    "x": {**x, "field": "paper"},
                    "tooltip": [about, {"field": "paper", "title": "the paper's score"}],
                },
            }
        )
    return {"height": 36 * len(order), "layer": layers}


# ---------------------------------------------------------------------------------- learning curves


def curves(group: Group, labels: Sequence[str], title: str) -> Chart | None:
    """The deciding dev metric by epoch: the mean over seeds, and every seed; None below two epochs."""
    means: list[Row] = []
    every: list[Row] = []
    for line in group.tuned:
        columns: dict[float, list[float]] = {}
        for seed, result in line.cell.fitted.items():
            for epoch in result.epochs:
                value = _round(100 * epoch.metrics[result.metric])
                columns.setdefault(round(epoch.epoch, 2), []).append(value)
                every.append(
                    {
                        "method": line.cell.label,
                        "seed": seed,
                        "epoch": round(epoch.epoch, 2),
                        "score": value,
                    }
                )
        # An epoch that only some seeds reached would bend the mean.
        full = max((len(values) for values in columns.values()), default=0)
        means += [
            {
                "method": line.cell.label,
                "epoch": epoch,
                "score": _round(float(np.mean(values))),
                "low": min(values),
                "high": max(values),
            }
            for epoch, values in sorted(columns.items())
            if len(values) == full
        ]
    if len({row["epoch"] for row in means}) < 2:
        return None
    color = by_method(means, labels)
    x = {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}}
    y = {"type": "quantitative", "title": "dev score × 100", "scale": {"zero": False}}
    picked = {"condition": {"param": "picked", "value": 1}, "value": 0.12}
    lines = sum(len(line.cell.fitted) for line in group.lines)
    thin: dict[str, Any]
    if lines <= MOST_LINES:
        thin = {
            "data": {"values": every},
            "mark": {"type": "line", "strokeWidth": 1},
            "encoding": {
                "x": x,
                "y": {**y, "field": "score"},
                "color": color,
                "detail": {"field": "seed"},
                "opacity": {"condition": {"param": "picked", "value": 0.35}, "value": 0.04},
            },
        }
    else:
        thin = {
            "data": {"values": means},
            "mark": {"type": "area"},
            "encoding": {
                "x": x,
                "y": {**y, "field": "low"},
                "y2": {"field": "high"},
                "color": color,
                "opacity": {"condition": {"param": "picked", "value": 0.15}, "value": 0.02},
            },
        }
    bold = {
        "data": {"values": means},
        "params": [{"name": "picked", "select": {"type": "point", "fields": ["method"]}, "bind": "legend"}],
        "mark": {"type": "line", "strokeWidth": 2.5, "point": {"size": 45}},
        "encoding": {
            "x": x,
            "y": {**y, "field": "score"},
            "color": color,
            "shape": {**color},
            "opacity": picked,
            "tooltip": [
                {"field": "method"},
                {"field": "epoch"},
                {"field": "score", "title": "mean"},
                {"field": "low", "title": "lowest seed"},
                {"field": "high", "title": "highest seed"},
            ],
        },
    }
    ends = {row["method"]: row["score"] for row in means}
    text = "Mean dev score by epoch. At the last epoch: " + values_in_words(ends) + "."
    return Chart(title, text, {"height": 260, "layer": [thin, bold]})


def by_method(rows: Sequence[Row], labels: Sequence[str]) -> Row:
    """The colour of a method: the same on every chart, with a legend of those drawn."""
    return {
        "field": "method",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(labels)},
        "legend": {"values": [label for label in labels if any(row["method"] == label for row in rows)]},
    }


def values_in_words(values: Mapping[str, float]) -> str:
    """``"a 1.0, b 2.0"``."""
    return ", ".join(f"{name} {value:.1f}" for name, value in values.items())


# -------------------------------------------------------------------------------- noise really added


def noise(rows: Sequence[Row], field: str, axis: str, labels: Sequence[str], title: str) -> Chart:
    """A measurement of the noise by kind of matrix, on a logarithmic axis; zeros cannot be drawn on it.

    Args:
        rows: With ``method``, ``kind`` and ``field``.
        field: The measurement.
        axis: Its name in words.
        labels: All rows of the study.
        title: Of the chart.
    """
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    used = [label for label in labels if any(row["method"] == label for row in rows)]
    color = {
        "field": "method",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(labels)},
        "legend": {"values": used} if len(used) > 1 else None,
    }
    spec = {
        "height": 20 * len(kinds),
        "data": {"values": [row for row in rows if row[field] > 0]},
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
        "encoding": {
            "y": {
                "field": "kind",
                "type": "nominal",
                "sort": kinds,
                "title": None,
                "axis": {"labelLimit": 210},
            },
            "x": {
                "field": field,
                "type": "quantitative",
                "title": axis,
                "scale": {"type": "log"},
                "axis": {"tickCount": 4, "format": "~g"},
            },
            "color": color,
            "shape": {**color},
            "tooltip": [
                {"field": "method"},
                {"field": "kind", "title": "matrix"},
                {"field": field, "title": axis, "format": ".3g"},
            ],
        },
    }
    values = [row[field] for row in rows]
    text = f"{title}: {axis} by kind of matrix, from {min(values):.2g} to {max(values):.2g}."
    return Chart(title, text, spec)


def lines_with(lines: Iterable[Line], field: str) -> list[Row]:
    """A telemetry value by method and kind of matrix, the mean over seeds."""
    rows: list[Row] = []
    for line in lines:
        columns: dict[str, list[float]] = {}
        for result in line.cell.results.values():
            for kind, values in result.telemetry.items():
                if field in values:
                    columns.setdefault(kind, []).append(float(values[field]))
        rows += [
            {"method": line.cell.label, "kind": short_kind(kind), field: digits(float(np.mean(values)))}
            for kind, values in columns.items()
        ]
    return rows


def short_kind(kind: str) -> str:
    """``encoder.layer.*.output.dense.weight`` without what all names of its model share."""
    return kind.rpartition(".*.")[2] or kind


def _round(value: float) -> float:
    return round(value, 3)


def digits(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
