"""Figures 2 and 3 of the paper: distributions of sensitivities, and what the size of the data does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pats.page.content.blocks import Grid, Section
from pats.page.content.charts import Chart, Row, by_method, digits, short_kind, values_in_words
from pats.page.content.words import CURE, count, listed, number, short
from pats.paper import WINDOW
from pats.results import LOWEST, PER_DECADE, WINDOW_BINS, Distribution


def sensitivity(measured: Mapping[str, Any]) -> Section:
    """Fig. 2: what ``pats sensitivity`` measured of one or more models.

    Raises:
        InputError: A distribution cannot be read.
    """
    models = {str(one["label"]): one for one in measured["models"]}
    whole = {name: Distribution.from_dict(one["whole"]) for name, one in models.items()}
    filled = {name: dist for name, dist in whole.items() if dist.entries}
    grids = [_concentration(models, whole)]
    drawn = [_in_window(filled), _on_log_axis(filled)] if filled else []
    for key, title in (("by_layer", "layer"), ("by_kind", "kind of matrix")):
        rows = [
            {"model": name, "place": _place(key, place), "value": digits(float(part["cv"]))}
            for name, one in models.items()
            for place, part in one[key].items()
        ]
        if rows:
            drawn.append(_spread(rows, list(models), f"Coefficient of variation by {title}"))
        grids.append(_by_place(models, key, title))
    first = next(iter(models.values()))
    how = "the mean over batches of |θ·∂L/∂θ|" if first["reduce"] == "batch" else "|θ·∂L/∂θ| of the mean loss"
    sizes = f"{first['batches']} batches of {first['batch_size']} examples"
    text = (
        f"Sensitivity of every encoder parameter: {how}, over {sizes} of {first['task']}'s training set, "
        "dropout off. The paper reads a more even spread (fewer insensitive parameters, a lower coefficient "
        "of variation) as a more balanced model. The numbers are absolute: a model with a lower loss has "
        "smaller gradients, which moves its whole curve to the left; CV and Gini do not depend on that scale."
    )
    return Section("sensitivity", "Sensitivities", text, tuple(grids), tuple(drawn), shown=1)


def _place(key: str, place: str) -> str:
    return f"layer {place}" if key == "by_layer" else short_kind(place)


def _concentration(models: Mapping[str, Mapping[str, Any]], whole: Mapping[str, Distribution]) -> Grid:
    heads = (
        "model",
        "parameters",
        "mean",
        "median",
        "std",
        "CV",
        "Gini",
        "below 5e-8",
        "in the window",
        "above 1e-5",
    )
    rows = []
    for name, dist in whole.items():
        shares = (dist.insensitive, 1 - dist.insensitive - dist.beyond, dist.beyond)
        numbers = (short(value) for value in (dist.mean, dist.quantile(0.5), dist.std))
        rows.append(
            (
                name,
                f"{dist.entries:,}",
                *numbers,
                number(dist.cv, digits=2),
                number(dist.gini, digits=3),
                *(f"{100 * share:.1f} %" for share in shares),
            )
        )
    return Grid("Concentration of sensitivities", heads, tuple(rows))


def _by_place(models: Mapping[str, Mapping[str, Any]], key: str, title: str) -> Grid:
    heads = (title, "model", "parameters", "mean", "CV", "Gini", "below 5e-8")
    places = list(dict.fromkeys(place for one in models.values() for place in one[key]))
    rows = []
    for place in places:
        for name, one in models.items():
            part = one[key].get(place)
            if part is not None:
                numbers = (number(part["cv"], digits=2), number(part["gini"], digits=3))
                share = f"{100 * part['insensitive']:.1f} %"
                entries = f"{part['entries']:,}"
                rows.append((_place(key, place), name, entries, short(part["mean"]), *numbers, share))
    return Grid(f"Concentration by {title}", heads, tuple(rows))


def _in_window(models: Mapping[str, Distribution]) -> Chart:
    """The paper's figure 2: counts in 50 equal bins over [5e-8, 1e-5], as shares of all entries."""
    low, high = WINDOW
    width = (high - low) / WINDOW_BINS
    rows = [
        {
            "model": name,
            "from": low + place * width,
            "to": low + (place + 1) * width,
            "share": digits(count / dist.entries),
        }
        for name, dist in models.items()
        if dist.entries
        for place, count in enumerate(dist.window.tolist())
    ]
    axis = {"format": "~e", "tickCount": 5}
    x = {"field": "from", "type": "quantitative", "title": "sensitivity", "axis": axis}
    inside = {
        name: 100 * (1 - dist.insensitive - dist.beyond) for name, dist in models.items() if dist.entries
    }
    shares = values_in_words(inside)
    text = f"Share of parameters by sensitivity within the paper's window. Inside it, in %: {shares}."
    title = "Within the paper's window [5·10⁻⁸, 10⁻⁵]"
    return Chart(title, text, _steps(rows, x, list(models), "share of all parameters"))


def _on_log_axis(models: Mapping[str, Distribution]) -> Chart:
    """All positive sensitivities on a logarithmic axis, as shares of all entries a bin."""
    rows = []
    for name, dist in models.items():
        filled = dist.counts.nonzero().flatten().tolist()
        for place in range(filled[0], filled[-1] + 1) if filled else ():
            rows.append(
                {
                    "model": name,
                    "from": digits(10 ** (LOWEST + place / PER_DECADE)),
                    "to": digits(10 ** (LOWEST + (place + 1) / PER_DECADE)),
                    "share": digits(int(dist.counts[place]) / dist.entries),
                }
            )
    x = {
        "field": "from",
        "type": "quantitative",
        "title": "sensitivity (logarithmic)",
        "scale": {"type": "log"},
        "axis": {"format": ".0e", "tickCount": 6},
    }
    medians = ", ".join(f"{name} {dist.quantile(0.5):.1e}" for name, dist in models.items())
    text = f"Distribution of all positive sensitivities on a logarithmic axis. Medians: {medians}."
    spec = _steps(rows, x, list(models), "share of all parameters")
    band: dict[str, Any] = {
        "data": {"values": [{"from": WINDOW[0], "to": WINDOW[1]}]},
        "mark": {"type": "rect", "opacity": 0.12, "style": "window"},
        "encoding": {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"}},
    }
    return Chart("On the whole axis", text, {**spec, "layer": [band, *spec["layer"]]})


def _steps(rows: Sequence[Row], x: Row, models: Sequence[str], axis: str) -> dict[str, Any]:
    color = {"field": "model", "type": "nominal", "title": None, "scale": {"domain": list(models)}}
    return {
        "height": 260,
        "layer": [
            {
                "data": {"values": list(rows)},
                "params": [
                    {"name": "picked", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}
                ],
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
                "encoding": {
                    "x": x,
                    "y": {
                        "field": "share",
                        "type": "quantitative",
                        "title": axis,
                        "axis": {"format": ".1%"},
                    },
                    "color": color,
                    "strokeDash": {**color},
                    "opacity": {"condition": {"param": "picked", "value": 1}, "value": 0.12},
                    "tooltip": [
                        {"field": "model"},
                        {"field": "from", "format": ".2e"},
                        {"field": "to", "format": ".2e"},
                        {"field": "share", "format": ".3%"},
                    ],
                },
            }
        ],
    }


def _spread(rows: Sequence[Row], models: Sequence[str], title: str) -> Chart:
    """The coefficient of variation by place in the model.

    Args:
        rows: With ``model``, ``place`` and ``value``.
        models: Names of all models.
        title: Of the chart.
    """
    places = list(dict.fromkeys(row["place"] for row in rows))
    color = {"field": "model", "type": "nominal", "title": None, "scale": {"domain": list(models)}}
    spec = {
        "height": 20 * len(places),
        "data": {"values": list(rows)},
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
        "encoding": {
            "y": {
                "field": "place",
                "type": "nominal",
                "sort": places,
                "title": None,
                "axis": {"labelLimit": 210},
            },
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": "coefficient of variation",
                "scale": {"zero": False},
            },
            "color": color,
            "shape": {**color},
            "tooltip": [
                {"field": "model"},
                {"field": "place"},
                {"field": "value", "title": "CV", "format": ".3g"},
            ],
        },
    }
    values = [row["value"] for row in rows]
    return Chart(title, f"{title}: from {min(values):.3g} to {max(values):.3g}.", spec)


# -------------------------------------------------------------------------------- Fig. 3: data size


def _sizes(
    rows: Sequence[Row], labels: Sequence[str], field: str, axis: str, title: str, log: bool = False
) -> Chart:
    """A number against the size of the training data: every seed, and the mean over seeds.

    Args:
        rows: With ``method``, ``examples``, ``seed`` and ``field``.
        labels: All rows of the study.
        field: The number.
        axis: Its name in words.
        title: Of the chart.
        log: Whether its axis is logarithmic.
    """
    columns: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        columns.setdefault((row["method"], row["examples"]), []).append(row[field])
    means = [
        {"method": method, "examples": examples, field: digits(float(np.mean(values))), "n": len(values)}
        for (method, examples), values in columns.items()
    ]
    color = by_method(rows, labels)
    ticks = sorted({row["examples"] for row in rows})
    x = {
        "field": "examples",
        "type": "quantitative",
        "title": "training examples",
        "scale": {"type": "log", "nice": False, "padding": 12},
        "axis": {"values": ticks, "format": ",", "labelOverlap": True},
    }
    scale = {"type": "log"} if log else {"zero": False}
    y: dict[str, Any] = {"field": field, "type": "quantitative", "title": axis, "scale": scale}
    y |= {"axis": {"format": "~e", "tickCount": 4} if log else {"format": "~g"}}
    about = [{"field": "method"}, {"field": "examples", "format": ","}]
    layers = [
        {
            "data": {"values": list(rows)},
            "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.45},
            "encoding": {
                "x": x,
                "y": y,
                "color": color,
                "shape": {**color},
                "tooltip": [*about, {"field": "seed"}, {"field": field, "title": axis, "format": ".4~g"}],
            },
        },
        {
            "data": {"values": means},
            "mark": {"type": "line", "strokeWidth": 2.5, "point": {"size": 70}},
            "encoding": {
                "x": x,
                "y": y,
                "color": color,
                "shape": {**color},
                "tooltip": [*about, {"field": field, "title": "mean", "format": ".4~g"}],
            },
        },
    ]
    described = "; ".join(f"{r['method']} with {r['examples']} examples {r[field]:.3g}" for r in means)
    return Chart(
        title, f"{axis} by size of the training data: {described}.", {"height": 260, "layer": layers}
    )


def data_size(points: Sequence[Row], labels: Sequence[str], task: str) -> Section:
    """Fig. 3: the metric, and the spread of the sensitivities, against the size of the training data.

    Args:
        points: One run each: ``method``, ``fraction``, ``examples``, ``seed``, ``score`` (× 100; None for
            a failed run), ``std`` and ``cv`` of its sensitivities (None where they were not measured).
        labels: Rows, in order.
        task: Name of the task.
    """
    drawn = []
    for field, axis, log in (
        ("score", "dev score × 100", False),
        ("std", "standard deviation of sensitivities", True),
        ("cv", "coefficient of variation of sensitivities", False),
    ):
        rows = [row for row in points if row[field] is not None]
        if rows:
            wanted = ("method", "examples", "seed", field)
            slim = [{key: row[key] for key in wanted} | {field: digits(row[field])} for row in rows]
            drawn.append(_sizes(slim, labels, field, axis, f"{task}: {axis}", log))
    heads = (
        "fraction",
        "examples",
        "method",
        "seeds",
        "score",
        "every seed",
        "std of sensitivities",
        "CV",
        "Gini",
        "below 5e-8",
    )
    cells = []
    for fraction in sorted({row["fraction"] for row in points}):
        for label in labels:
            own = [row for row in points if row["fraction"] == fraction and row["method"] == label]
            if not own:
                continue
            scores = [row["score"] for row in own if row["score"] is not None]
            mean = number(float(np.mean(scores)) if scores else None)
            mean += f" ± {float(np.std(scores, ddof=1)):.1f}" if len(scores) > 1 else ""
            share = _mean(own, "insensitive")
            cells.append(
                (
                    f"{100 * fraction:g} %",
                    f"{own[0]['examples']:,}",
                    label,
                    f"{len(scores)}"
                    + ("" if len(scores) == len(own) else f" ({len(own) - len(scores)} failed)"),
                    mean,
                    " ".join(number(row["score"]) for row in own),
                    short(_mean(own, "std")),
                    number(_mean(own, "cv"), digits=2),
                    number(_mean(own, "gini"), digits=3),
                    "-" if share is None else f"{100 * share:.1f} %",
                )
            )
    text = (
        "Smaller parts are contained in larger ones, and classes keep their shares; the dev set is the same. "
        "Sensitivities are of each run's best epoch, measured over the same batches of the whole training "
        "set, whatever part was trained on, dropout off. Small points are seeds, large ones means."
    )
    grid = Grid(
        f"{task}: metric and spread of sensitivities by size of the training data", heads, tuple(cells)
    )
    return Section("size", "Size of the training data", text, (grid,), tuple(drawn))


def sentences(points: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> tuple[str, ...]:
    """Figure 3 in three sentences: what was run, how the scores differ, how the sensitivities do.

    Runs that predict one constant come before them.
    """
    seeds = len({point["seed"] for point in points})
    sizes = sorted({(point["fraction"], point["examples"]) for point in points})
    parts = [f"{examples:,}" for _, examples in sizes]
    first = (
        f"{listed(list(labels))} on {listed(parts)} training examples, {count(seeds, 'seed')} each; scores "
        "are × 100 on the same dev set, at the epoch that was best on it."
    )
    scores: list[str] = []
    spreads: list[str] = []
    for fraction, examples in sizes:
        own = [point for point in points if point["fraction"] == fraction]
        for rows, field, form in ((scores, "score", "{:.1f}"), (spreads, "std", "{:.2g}")):
            means = [(label, _mean([p for p in own if p["method"] == label], field)) for label in labels]
            texts = [f"{label} " + form.format(mean) for label, mean in means if mean is not None]
            if texts:
                rows.append(f"{', '.join(texts)} with {examples:,} examples")
    second = f"Mean scores: {'; '.join(scores)}." if scores else "No run has a score."
    third = (
        f"Standard deviations of the sensitivities, means over seeds: {'; '.join(spreads)}."
        if spreads
        else "No sensitivities were measured."
    )
    constant = sum(bool(point.get("constant")) for point in points)
    verb = "predicts" if constant == 1 else "predict"
    nothing = f"{constant} of {count(len(points), 'run')} {verb} one constant and learned nothing: {CURE}."
    return (nothing, first, second, third) if constant else (first, second, third)


def _mean(rows: Sequence[Mapping[str, Any]], field: str) -> float | None:
    values = [row[field] for row in rows if row[field] is not None]
    return float(np.mean(values)) if values else None
