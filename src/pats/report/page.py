"""The page that a study prints: a verdict in three sentences, then the tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from pats.report import paper, statistics, table1
from pats.report.table1 import Group, Line, Overall
from pats.report.words import between, count, listed, name_of, number

METRICS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}


OVERALL = ("Avg", "IQM [95 %]", "P(better)", "vs vanilla, mean over tasks [95 %]", "p over tasks")


@dataclass(frozen=True)
class Grid:
    """One table of texts: a title, column heads, and rows of as many texts."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Page:
    """What a study has to say: ``verdict`` in words, then ``grids``, then ``notes`` below them."""

    verdict: tuple[str, ...]
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]


def page(groups: Sequence[Group], notes: Sequence[str] = ()) -> Page:
    """The page of a study.

    Args:
        groups: Its tables (``table1.groups``), at least one.
        notes: Sentences about the data or the choice of a model, put before the page's own notes.
    """
    over = table1.overall(groups)
    grids = [_grid(group) for group in groups]
    grids += [grid for grid in map(_parts, groups) if grid is not None]
    if len(groups) > 1:
        grids.insert(0, _summary(groups, over))
    return Page(_verdict(groups, over), tuple(grids), (*notes, *_notes(groups, over)))


def _metric(group: Group) -> str:
    name = next((line.cell.metric for line in group.lines if line.cell.metric), None)
    return METRICS.get(name, name) if name else "score"


def _mean(line: Line) -> str:
    return number(line.mean) + ("" if line.std is None else f" ± {line.std:.1f}")


# ------------------------------------------------------------------------------------------- tables


def _grid(group: Group) -> Grid:
    extra = group.split == "test"
    printed = any(line.paper is not None for line in group.lines)
    heads = ["method", "lr", "seeds", f"{group.split} mean ± std", "every seed"]
    heads += ["dev"] if extra else []
    heads += ["last epoch", "vs vanilla [95 %]", "p"]
    heads += ["paper"] if printed else []
    rows = []
    for line in group.lines:
        gap = "" if line.difference is None else _gap(line.difference)
        row = [
            line.cell.label,
            f"{line.cell.lr:g}",
            str(len(line.scores)) + _flags(line),
            _mean(line),
            " ".join(number(line.scores.get(o.seed)) for o in line.cell.outcomes),
        ]
        row += [_average(line.cell.dev)] if extra else []
        row += [_average(line.cell.last), gap, _p(line)]
        row += [number(line.paper, digits=2)] if printed else []
        rows.append(tuple(row))
    title = f"{group.task} · {name_of(group.model)} · {_metric(group)} × 100 on {group.split}"
    return Grid(title, tuple(heads), tuple(rows))


def _parts(group: Group) -> Grid | None:
    """The deciding metric on every part of dev: each split of MNLI, each phenomenon of the embedded task."""
    columns: list[dict[str, list[float]]] = []
    for line in group.lines:
        found: dict[str, list[float]] = {}
        for result in line.cell.results.values():
            assert result.best_epoch is not None
            for name, value in result.epochs[result.best_epoch].metrics.items():
                part, slash, metric = name.rpartition("/")
                if slash and metric == result.metric:
                    found.setdefault(part, []).append(100 * value)
        columns.append(found)
    parts = list(dict.fromkeys(part for column in columns for part in column))
    if not parts:
        return None
    rows = [
        (part, *(number(sum(c[part]) / len(c[part])) if part in c else "-" for c in columns))
        for part in parts
    ]
    title = (
        f"{group.task} · {name_of(group.model)} · {_metric(group)} × 100 on each part of dev, mean over seeds"
    )
    return Grid(title, ("part of dev", *(line.cell.label for line in group.lines)), tuple(rows))


def _average(scores: dict[int, float]) -> str:
    return number(sum(scores.values()) / len(scores) if scores else None)


def _flags(line: Line) -> str:
    missing = sum(outcome.missing for outcome in line.failures)
    failed = len(line.failures) - missing
    flags = [f"{failed} failed"] if failed else []
    flags += [f"{missing} to come"] if missing else []
    flags += [f"{line.degenerate} constant"] if line.degenerate else []
    return f" ({', '.join(flags)})" if flags else ""


def _p(line: Line) -> str:
    if line.cell.control:
        return "control"
    return _stars(line.p, line.significant)


def _stars(p: float | None, significant: bool) -> str:
    return "" if p is None else f"{p:.3f}" + (" *" if significant else "")


def _gap(difference: statistics.Paired) -> str:
    told = number(difference.mean, sign=True)
    return told if difference.interval is None else f"{told} {between(difference.interval, sign=True)}"


def _summary(groups: Sequence[Group], overall: Sequence[Overall]) -> Grid:
    tasks = tuple(dict.fromkeys(group.task for group in groups))
    over = {(row.model, row.label): row for row in overall}
    heads = ("model", "method", *tasks, *(OVERALL if over else ()))
    lines = {(g.model, line.cell.label, g.task): line for g in groups for line in g.lines}
    rows = []
    for model, label in dict.fromkeys((model, label) for model, label, _ in lines):
        row = [name_of(model), label]
        for task in tasks:
            line = lines.get((model, label, task))
            row.append("-" if line is None else _beside(line.mean, line.paper))
        whole = over.get((model, label))
        if whole is not None:
            spread = "-"
            if whole.iqm is not None:
                spread = f"{whole.iqm[0]:.2f} [{whole.iqm[1][0]:.2f}, {whole.iqm[1][1]:.2f}]"
            row.append(_beside(whole.average, whole.paper))
            row += [spread, number(whole.improvement, digits=2)]
            gap = whole.difference
            row += ["", ""] if gap is None else [_gap(gap), _stars(whole.p, whole.significant)]
        row += [""] * (len(heads) - len(row))
        rows.append(tuple(row))
    return Grid("All tasks: mean score × 100 (in brackets the paper's)", heads, tuple(rows))


def _beside(ours: float | None, theirs: float | None) -> str:
    return number(ours) + ("" if theirs is None else f" ({theirs:.2f})")


# -------------------------------------------------------------------------------------------- words


def _verdict(groups: Sequence[Group], over: Sequence[Overall]) -> tuple[str, str, str]:
    return _what(groups), _outcome(groups), _shown(groups, over)


def _what(groups: Sequence[Group]) -> str:
    tasks = list(dict.fromkeys(group.task for group in groups))
    models = list(dict.fromkeys(name_of(group.model) for group in groups))
    methods = dict.fromkeys(line.cell.label for g in groups for line in g.lines if not line.cell.control)
    seeds = max(len(line.cell.outcomes) for group in groups for line in group.lines)
    splits = {group.split for group in groups}
    where = "the test set" if splits == {"test"} else "the dev set"
    if len(splits) > 1:
        where = "the test set where there is one, else the dev set"
    how = f"{_metric(groups[0])} × 100" if len(groups) == 1 else "each task's metric × 100"
    return (
        f"{count(len(methods), 'method')} fine-tuned {listed(models)} on {listed(tasks)} with "
        f"{count(seeds, 'seed')} each; a score is {how} on {where}, at the epoch that was best on "
        "dev."
    )


def _outcome(groups: Sequence[Group]) -> str:
    if len(groups) == 1:
        plain = groups[0].baseline
        told = [
            f"{line.cell.label} {number(line.mean)}"
            + (f" ({line.difference.mean:+.1f})" if line.difference else "")
            for line in groups[0].lines
            if line is not plain and not line.cell.control
        ]
        start = f"Plain fine-tuning scored {number(plain.mean)}" if plain else "Scores are"
        rest = (", " if plain else " ") + ", ".join(told) if told else ""
        return f"{start}{rest}."
    gaps: dict[str, list[float]] = {}
    for group in groups:
        for line in group.tested:
            assert line.difference is not None
            gaps.setdefault(line.cell.label, []).append(line.difference.mean)
    if not gaps:
        return "Nothing was compared with plain fine-tuning."
    told = [
        f"{label} by {sum(values) / len(values):+.1f} on average, above it on "
        f"{sum(value > 0 for value in values)} of {len(values)} tables"
        for label, values in gaps.items()
    ]
    return f"Against plain fine-tuning the scores differ: {'; '.join(told)}."


def _shown(groups: Sequence[Group], over: Sequence[Overall]) -> str:
    tested = [(group, line) for group in groups for line in group.tested]
    if not tested:
        return "There is no difference to judge: no method has scores beside plain fine-tuning's."
    found = [(group, line) for group, line in tested if line.significant]
    whole = [row for row in over if row.significant]
    if found or whole:
        places: dict[str, list[str]] = {}
        for row in whole:
            models = len({group.model for group in groups})
            place = "over all tasks " + (f"with {name_of(row.model)} " if models > 1 else "")
            places.setdefault(place, []).append(_told(row.label, row.difference, row.p))
        for group, line in found:
            place = f"on {group.task} with {name_of(group.model)} " if len(groups) > 1 else ""
            places.setdefault(place, []).append(_told(line.cell.label, line.difference, line.p))
        told = "; ".join(place + listed(differences) for place, differences in places.items())
        single = " on a single task" if len(groups) > 1 else ""
        rest = "" if len(found) == len(tested) else f"; no other difference{single} was shown"
        start = "Shown against plain fine-tuning, at 5 % after Holm's correction, with 95 % intervals"
        return f"{start}: {told}{rest}."
    n = max(line.difference.n for _, line in tested if line.difference)
    family = max(group.family for group in groups)
    needed = statistics.seeds_needed(family)
    least = [
        line.difference.detectable
        for _, line in tested
        if line.difference and line.difference.detectable is not None
    ]
    if n < needed:
        start = (
            f"No difference can be shown with {count(n, 'seed')}, whatever the scores "
            f"({needed} seeds would allow it for {count(family, 'comparison')})"
        )
    else:
        start = f"No difference to plain fine-tuning was shown with {count(n, 'seed')}"
    if not least:
        return f"{start}; one seed says nothing about the spread."
    low, high = number(min(least)), number(max(least))
    size = low if low == high else f"{low} to {high}, depending on the row"
    return f"{start}; the smallest difference this number of seeds could have shown is about {size}."


def _told(label: str, difference: statistics.Paired | None, p: float | None) -> str:
    assert difference is not None
    return f"{label} {_gap(difference)} (p = {p:.3f})"


def _notes(groups: Sequence[Group], over: Sequence[Overall]) -> list[str]:
    family = max(group.family for group in groups)
    notes = []
    if family:
        notes.append(
            "vs vanilla: mean difference paired by seed, t interval (BCa from 20 seeds); p: sign-flip "
            f"test, Holm over {count(family, 'method')}; * marks p ≤ 0.05, never with fewer than "
            f"{statistics.seeds_needed(family)} seeds. Intervals are over seeds, not over examples."
        )
    if any(group.split == "dev" for group in groups):
        notes.append(
            "Scores on dev at an epoch chosen on dev (the paper's protocol) are optimistic, for all "
            "methods alike; the column 'last epoch' is without that choice."
        )
    if any(line.cell.control for group in groups for line in group.lines):
        notes.append(
            "A control row is plain fine-tuning at the learning rate of another method, so that a "
            "gain of the rate is not taken for one of the method."
        )
    if over:
        notes.append(
            "IQM: interquartile mean over all runs, each task scaled from its worst (0) to its best "
            "run (1), bootstrap within tasks; P(better): probability that a run beats a plain one; p over "
            "tasks: signs flipped over all pairs of all tasks, Holm over methods, a family of its own."
        )
    if any(line.paper is not None for group in groups for line in group.lines):
        notes.append(f"The paper's numbers: {paper.SOURCE}.")
    constant = sum(line.degenerate for group in groups for line in group.lines)
    if constant:
        notes.append(f"{count(constant, 'run')} predicted one constant; counted in, never dropped.")
    failures = [(g, line, o) for g in groups for line in g.lines for o in line.failures]
    missing = sum(outcome.missing for _, _, outcome in failures)
    if missing:
        notes.append(f"{count(missing, 'run')} still to come; all numbers are of the runs that have ended.")
    notes += [
        f"Failed: {group.task}, {name_of(group.model)}, {line.cell.label}, seed {outcome.seed}: "
        f"{outcome.failure}"
        for group, line, outcome in failures
        if not outcome.missing
    ]
    return notes
