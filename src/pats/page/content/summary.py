"""The summary of a study: the verdict, then the tables, then the notes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pats import paper
from pats.page.content import advice, classes, simpler
from pats.page.content.blocks import Grid
from pats.page.content.names import always, metric_of
from pats.page.content.picked import on_a_table
from pats.page.content.verdict import gap, verdict
from pats.page.content.words import count, listed, name_of, number
from pats.page.numbers import statistics, tables
from pats.page.numbers.reading import Readings
from pats.page.numbers.tables import Group, Line, Overall

_NOTHING: Readings = MappingProxyType({})
CLASSES = 20  # of a table, up to which the summary lists them
OVERALL = ("Avg", "IQM [95 %]", "P(better)", "vs vanilla, mean over tasks [95 %]", "p over tasks")


@dataclass(frozen=True)
class Summary:
    """What a study has to say: ``verdict`` in words, then ``grids``, then ``notes`` below them.

    Of one table of the user's own ``answer`` comes first: what to use, how good it is, what to do next.
    """

    verdict: tuple[str, ...]
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]
    answer: tuple[str, ...] = ()

    @property
    def lead(self) -> str:
        """The first sentence of all."""
        return (*self.answer, *self.verdict)[0]

    def ending(self, sentence: str) -> "Summary":
        """The same with a last sentence of the verdict, which is the last one of the answer too."""
        answer = (*self.answer, sentence) if self.answer else ()
        return replace(self, verdict=(*self.verdict, sentence), answer=answer)


def summary_of(groups: Sequence[Group], notes: Sequence[str] = (), read: Readings = _NOTHING) -> Summary:
    """The summary of a study.

    Args:
        groups: Its tables (``tables.groups``), at least one.
        notes: Sentences about the data or the choice of a model, put before the summary's own notes.
        read: What the runs' predictions show (``reading.read``).
    """
    over = tables.overall(groups)
    grids = [_grid(group, simpler.majority(group, read)) for group in groups]
    grids += [grid for grid in map(_parts, groups) if grid is not None]
    if len(groups) == 1 and on_a_table(groups[0]):
        grids += classes.grids(groups, read, most=CLASSES)
    if len(groups) > 1:
        grids.insert(0, _summary(groups, over))
    damaged = (sentence for reading in read.values() for sentence in reading.damaged)
    told = verdict(groups, over, read)
    below = (*notes, *_notes(groups, over), *damaged)
    return Summary(told, tuple(grids), below, advice.lines(groups, read))


def _mean(line: Line) -> str:
    return number(line.mean) + ("" if line.std is None else f" ± {line.std:.1f}")


# ------------------------------------------------------------------------------------------- tables


def _grid(group: Group, majority: float | None) -> Grid:
    extra = group.split == "test"
    printed = any(line.paper is not None for line in group.lines)
    heads = ["method", "lr", "seeds", f"{group.split} mean ± std", "every seed"]
    heads += ["dev"] if extra else []
    heads += ["last epoch", "vs vanilla [95 %]", "p"]
    heads += ["paper"] if printed else []
    rows = []
    for line in group.lines:
        difference = "" if line.difference is None else gap(line.difference)
        row = [
            line.cell.label,
            "" if line.cell.simple else f"{line.cell.lr:g}",
            ("one fit" if line.cell.simple else str(len(line.scores))) + _flags(line),
            _mean(line),
            " ".join(number(line.scores.get(o.seed)) for o in line.cell.outcomes),
        ]
        row += [_average(line.cell.dev)] if extra else []
        row += ["" if line.cell.simple else _average(line.cell.last), difference, _p(line)]
        row += [number(line.paper, digits=2)] if printed else []
        rows.append(tuple(row))
    title = f"{group.task} · {name_of(group.model)} · {metric_of(group)} × 100 on {group.where}"
    if group.sign < 0:
        title += ", lower is better"
    if majority is not None:
        title += f" (always {always(group)}: {number(majority)})"
    return Grid(title, tuple(heads), tuple(rows))


def _parts(group: Group) -> Grid | None:
    """The deciding metric on every part of dev: each split of MNLI, each phenomenon of the embedded task."""
    columns: list[dict[str, list[float]]] = []
    for line in group.lines:
        scores: dict[str, list[float]] = {}
        for result in line.cell.results.values():
            assert result.best_epoch is not None
            for name, value in result.epochs[result.best_epoch].metrics.items():
                part, slash, metric = name.rpartition("/")
                if slash and metric == result.metric:
                    scores.setdefault(part, []).append(100 * value)
        columns.append(scores)
    parts = list(dict.fromkeys(part for column in columns for part in column))
    if not parts:
        return None
    rows = [
        (part, *(number(sum(c[part]) / len(c[part])) if part in c else "-" for c in columns))
        for part in parts
    ]
    where = f"{group.task} · {name_of(group.model)}"
    title = f"{where} · {metric_of(group)} × 100 on each part of dev, mean over seeds"
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
                value, (low, high) = whole.iqm
                spread = f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if low < high else "")
            row.append(_beside(whole.average, whole.paper))
            row += [spread, number(whole.improvement, digits=2)]
            difference = whole.difference
            row += ["", ""] if difference is None else [gap(difference), _stars(whole.p, whole.significant)]
        row += [""] * (len(heads) - len(row))
        rows.append(tuple(row))
    return Grid("All tasks: mean score × 100 (in brackets the paper's)", heads, tuple(rows))


def _beside(ours: float | None, theirs: float | None) -> str:
    return number(ours) + ("" if theirs is None else f" ({theirs:.2f})")


# -------------------------------------------------------------------------------------------- notes


def _notes(groups: Sequence[Group], over: Sequence[Overall]) -> list[str]:
    family = max(group.family for group in groups)
    notes = []
    if family:
        notes.append(
            "vs vanilla: mean difference paired by seed, t interval (BCa from 20 seeds); p: sign-flip "
            f"test, Holm over {count(family, 'method')}; * marks p ≤ 0.05, never with fewer than "
            f"{statistics.seeds_needed(family)} seeds. Intervals are over seeds, not over examples."
        )
    folds = next((group.folds for group in groups), None)
    if folds is not None:
        notes.append(
            f"A score is of all rows together, each predicted by the model of the one of {folds} folds that "
            "tests it; a score on dev is the mean over folds. Where learning rates were tried out, each fold "
            "chose on its own dev rows, never on its test rows, and lr is the median over folds."
        )
    if any(group.split == "dev" for group in groups):
        notes.append(
            "Scores on dev at an epoch chosen on dev (the paper's protocol) are optimistic, for all "
            "methods alike; the column 'last epoch' is without that choice."
        )
    favoured = dict.fromkeys(
        line.cell.label for g in groups if g.split == "dev" for line in g.lines if line.cell.favoured
    )
    if favoured:
        verb = "chooses its" if len(favoured) == 1 else "choose their"
        notes.append(
            f"{listed([*favoured])} {verb} weights on dev, so a dev score below plain fine-tuning's is not "
            "possible, and is not tested: compare test scores."
        )
    if any(line.cell.simple for group in groups for line in group.lines):
        notes.append(
            "A row with 'one fit' is no fine-tuning and has no seeds: its score is one number, beside the "
            "mean of plain fine-tuning, without an interval over seeds and without a test."
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
