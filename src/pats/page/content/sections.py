"""The sections of a study's report: each from its numbers to tables and charts."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from pats.page.content import charts, paper_figures
from pats.page.content.blocks import Grid, Section
from pats.page.content.charts import Chart
from pats.page.content.words import count, duration, listed, name_of, number, short
from pats.page.numbers.tables import Group, Line
from pats.results import Result, Run

NOISE = {
    "accumulated": "accumulated / std of weights",
    "noise_over_weight": "noise / std of weights",
    "noise_over_update": "noise / update",
    "gated": "share drawn",
    "zero": "of these without noise",
    "sigma_max": "largest σ",
    "skipped": "steps skipped",
}


def labels_of(groups: Sequence[Group]) -> list[str]:
    """All rows of a study, in order: what colours are given to."""
    return list(dict.fromkeys(line.cell.label for group in groups for line in group.lines))


def place_of(group: Group, groups: Sequence[Group]) -> str:
    """What distinguishes a group from the others."""
    models = {other.model for other in groups}
    return group.task if len(models) == 1 else f"{group.task} · {name_of(group.model)}"


def results(groups: Sequence[Group], grids: Sequence[Grid], labels: Sequence[str]) -> Section:
    """Table 1, with every seed and every paired difference as a point."""
    drawn: list[Chart] = []
    for group in groups:
        if not any(line.scores for line in group.lines):
            continue
        place = place_of(group, groups)
        drawn.append(charts.seeds(group, labels, f"{place}: every seed"))
        gaps = charts.differences(group, labels, f"{place}: against plain fine-tuning")
        drawn += [gaps] if gaps is not None else []
    text = (
        "Points are seeds, thick ticks are means, lines are 95 % intervals of the mean over seeds. "
        "A method is compared with plain fine-tuning on the same seeds, that is with the same fresh head "
        "and the same order of data: the difference, not the score, is what to read."
    )
    if any(line.paper is not None for group in groups for line in group.lines):
        text += " Hollow diamonds are the paper's own scores."
    return Section("results", "Results", text, tuple(grids), tuple(drawn))


def learning(groups: Sequence[Group], labels: Sequence[str]) -> Section | None:
    """Learning curves, and in numbers the mean of every epoch."""
    drawn, grids = [], []
    for group in groups:
        chart = charts.curves(group, labels, f"{place_of(group, groups)}: dev score by epoch")
        if chart is None:
            continue
        drawn.append(chart)
        columns = []
        for line in group.tuned:
            scores: dict[float, list[float]] = {}
            for result in line.cell.fitted.values():
                for epoch in result.epochs:
                    scores.setdefault(epoch.epoch, []).append(100 * epoch.metrics[result.metric])
            columns.append(scores)
        epochs = sorted({epoch for scores in columns for epoch in scores})
        rows = tuple(
            (f"{epoch:g}", *(number(float(np.mean(c[epoch])) if epoch in c else None) for c in columns))
            for epoch in epochs
        )
        heads = ("epoch", *(line.cell.label for line in group.tuned))
        grids.append(Grid(f"{place_of(group, groups)}: dev score × 100, mean over seeds", heads, rows))
    if not drawn:
        return None
    text = "Thick lines are means over seeds, thin ones single seeds. A click on a name shows it alone."
    return Section("curves", "Learning curves", text, tuple(grids), tuple(drawn), shown=0)


def added_noise(groups: Sequence[Group], labels: Sequence[str]) -> Section | None:
    """How much noise the last step really added, by kind of matrix."""
    drawn, grids = [], []
    for group in groups:
        place = place_of(group, groups)
        rows: dict[tuple[str, str], dict[str, float]] = {}
        for field in NOISE:
            for row in charts.lines_with(group.lines, field):
                rows.setdefault((row["method"], row["kind"]), {})[field] = row[field]
        noisy = [
            {"method": method, "kind": kind} | values
            for (method, kind), values in rows.items()
            if "noise_over_weight" in values
        ]
        if not noisy:
            continue
        for field in ("accumulated", "noise_over_weight", "noise_over_update"):
            usable = [row for row in noisy if field in row]
            if usable:
                drawn.append(charts.noise(usable, field, NOISE[field], labels, f"{place}: {NOISE[field]}"))
        cells = tuple(
            (str(row["method"]), str(row["kind"]), *(short(row.get(field)) for field in NOISE))  # type: ignore[arg-type]
            for row in noisy
        )
        heads = ("method", "matrix", *NOISE.values())
        grids.append(Grid(f"{place}: noise of the run and of its last step", heads, cells))
    if not drawn:
        return None
    text = (
        "The noise of all steps together, and root mean squares at the last step, of a kind of matrix, mean "
        "over layers and seeds: against the "
        "optimizer's own update of the same step, and against the spread of the weights. Noise is drawn for "
        "a share p of the entries; of these, entries whose intensity is zero get none. The learning rate has "
        "fallen by the last step, and with it the update, but not noise of a constant scale."
    )
    return Section("noise", "How much noise was added", text, tuple(grids), tuple(drawn), shown=0)


def sensitivities(groups: Sequence[Group], measured: Mapping[str, Any] | None) -> Section | None:
    """Fig. 2: the distributions that ``pats sensitivity`` measured, else what optimizers held at the end."""
    if measured is not None:
        return paper_figures.sensitivity(measured)
    rows = []
    for group in groups:
        for line in group.lines:
            summaries = [r.sensitivity for r in line.cell.results.values() if r.sensitivity]
            if summaries:
                means = {
                    key: float(np.mean([s[key] for s in summaries]))
                    for key in ("mean", "cv", "gini", "insensitive")
                }
                texts = (short(means["mean"]), number(means["cv"], digits=2), number(means["gini"], digits=3))
                share = f"{100 * means['insensitive']:.1f} %"
                rows.append((place_of(group, groups), line.cell.label, *texts, share))
    if not rows:
        return None
    heads = ("task", "method", "mean", "CV", "Gini", "below 5e-8")
    text = (
        "The moving averages of the sensitivity at the last step, as the optimizer of these methods holds "
        "them; mean over seeds. Methods without such averages have no row: pats sensitivity measures any "
        "trained model, and this section then shows its figure."
    )
    return Section("sensitivity", "Sensitivities", text, (Grid("Concentration", heads, tuple(rows)),))


def costs(groups: Sequence[Group]) -> Section | None:
    """Time and memory, each method beside plain fine-tuning."""
    rows = []
    for group in groups:
        plain = group.plain
        base = _seconds(plain) if plain is not None else {}
        for line in group.lines:
            own = _seconds(line)
            if not own:
                continue
            ratios = [own[seed] / base[seed] for seed in own if base.get(seed)]
            results = list(line.cell.results.values())
            rows.append(
                (
                    place_of(group, groups),
                    line.cell.label,
                    number(float(np.median(list(own.values())))),
                    "" if line is plain or not ratios else f"{float(np.median(ratios)):.2f}",
                    number(_median(results, "examples_per_second")),
                    duration(sum(own.values())),
                    number(_memory(results), digits=0),
                )
            )
    if not rows:
        return None
    heads = (
        *("task", "method", "training, s a run", "ratio to plain", "examples / s", "training, all seeds"),
        "peak memory, MB",
    )
    text = (
        "Medians over seeds; the ratio is of runs with the same seed. Runs of a study share their machine "
        "with others, and these times with them: they show what the study cost, not how fast a method is."
    )
    return Section("cost", "Cost", text, (Grid("Time and memory", heads, tuple(rows)),))


def _seconds(line: Line) -> dict[int, float]:
    seconds_by_seed = {seed: result.timings.get("train", 0.0) for seed, result in line.cell.results.items()}
    return {seed: seconds for seed, seconds in seconds_by_seed.items() if seconds}


def _median(results: Sequence[Result], key: str) -> float | None:
    values = [result.timings[key] for result in results if key in result.timings]
    return float(np.median(values)) if values else None


def _memory(results: Sequence[Result]) -> float | None:
    peaks = [result.environment.get("peak_memory_mb") or {} for result in results]
    values = [max(peak.values()) for peak in peaks if peak]
    return float(np.median(values)) if values else None


def troubles(groups: Sequence[Group]) -> Section:
    """Runs that failed, are missing, or predict one constant."""
    rows = []
    for group in groups:
        for line in group.lines:
            for outcome in line.cell.outcomes:
                result = outcome.result
                if outcome.failure is not None:
                    if outcome.missing:
                        continue
                    what, why = "failed", outcome.failure
                elif result is not None and result.degenerate and line.degenerate:
                    what, why = (
                        "one constant",
                        f"score {100 * (result.best or 0):.1f}; counted in, never dropped",
                    )
                else:
                    continue
                place = (group.task, name_of(group.model), line.cell.label, str(outcome.seed))
                rows.append((*place, what, why))
    if not rows:
        text = "None: no run failed, and no run's best epoch predicts one constant."
        return Section("troubles", "Degenerate and failed runs", text)
    kinds = [row[4] for row in rows]
    kinds_in_words = listed([f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)])
    heads = ("task", "model", "method", "seed", "what", "why")
    grid = Grid(f"Of all runs: {kinds_in_words}", heads, tuple(rows[:500]))
    more = "" if len(rows) <= 500 else f" The first 500 of {len(rows)} are listed; runs.csv has all."
    text = "Runs that predict one constant are counted into every mean; failed runs have no score." + more
    return Section("troubles", "Degenerate and failed runs", text, (grid,), shown=len(rows) <= 20)


def finished(groups: Sequence[Group]) -> str | None:
    """When the last run ended, in ISO format; None if no run reports it."""
    times = [str(result.environment["time"]) for result in _all(groups) if "time" in result.environment]
    return max(times, default=None)


def _all(groups: Sequence[Group]) -> list[Result]:
    return [result for group in groups for line in group.lines for result in line.cell.results.values()]


def provenance(groups: Sequence[Group], command: str, settings: Mapping[str, Any], folder: str) -> Section:
    """The exact command, what all runs share, versions and hardware."""
    shared: list[tuple[str, str]] = [("command", command)]
    if folder:
        shared.append(("folder", folder))
    runs = [result.run for result in _all(groups)]
    skip = (
        "task",
        "model",
        "method",
        "options",
        "init_seed",
        "data_seed",
        "noise_seed",
        "fingerprint",
        "weights",
        "data",
        *([] if any(run.task is None for run in runs) else ["split_seed"]),
    )
    for key in (field.name for field in fields(Run)):
        values = {repr(getattr(run, key)) for run in runs} if key not in skip else set()
        if values and values != {"None"} and values != {"{}"}:
            shared.append((key.replace("_", " "), _several([value.strip("'") for value in values])))
    if "seeds" in settings:
        shared.append(("seeds", str(settings["seeds"])))
    made = []
    environments = [result.environment for result in _all(groups) if result.environment]
    for key in (
        "packages",
        "python",
        "system",
        "cpu",
        "cores",
        "threads",
        "processes",
        "device",
        "accelerator",
        "precision",
    ):
        texts = [_plain(environment[key]) for environment in environments if environment.get(key) is not None]
        if texts:
            made.append((key, _several(sorted(set(texts)))))
    commits = [_commit(environment["git"]) for environment in environments if environment.get("git")]
    if commits:
        made.append(("git commit", _several(sorted(set(commits)))))
    times = sorted(str(environment["time"]) for environment in environments if "time" in environment)
    if times:
        made.append(("runs ended", f"{times[0]} to {times[-1]}"))
    grids = [Grid("Command and settings", ("setting", "value"), tuple(shared))]
    if made:
        grids.append(Grid("Versions and hardware", ("what", "value"), tuple(made)))
    text = (
        "The command makes the study again, or goes on with it: runs that are done are not made twice. "
        "The tables of results list the learning rates."
    )
    return Section("made", "How this was made", text, tuple(grids))


def _several(texts: Sequence[str]) -> str:
    ordered = sorted(texts)
    more = f" and {count(len(ordered) - 6, 'other')}" if len(ordered) > 6 else ""
    return "; ".join(ordered[:6]) + more


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return str(value)


def _commit(state: Mapping[str, Any]) -> str:
    return str(state.get("commit", ""))[:12] + (" with changes" if state.get("dirty") else "")
