"""Table 1 of a study, as numbers: every cell's scores, and its difference to plain fine-tuning.

Scores are × 100, as in the paper. They are of the best epoch on dev: on the test split where the
task has one with labels, else on dev itself (the paper's protocol on GLUE).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pats import paper
from pats.page.numbers import statistics
from pats.results.cell import PLAIN, Cell, Outcome
from pats.tasks import metrics

CONSTANT = "majority"


def limits_of(metric: str | None) -> tuple[float, float] | None:
    """Lowest and highest score × 100 of a metric; None for one that has no two, or that we do not know."""
    low, high = metrics.ABOUT[metric].limits if metric and metric in metrics.ABOUT else (-np.inf, np.inf)
    return (100 * low, 100 * high) if np.isfinite([low, high]).all() else None


@dataclass(frozen=True)
class Line:
    """One row of a task's table.

    Args:
        cell: The runs.
        scores: Scores × 100 by seed, on the split that the table is about.
        difference: Against plain fine-tuning, paired by seed; of a baseline, which has no seeds, its one
            score against the mean of plain fine-tuning. None for plain fine-tuning itself and where no pair
            has scores.
        p: Holm-adjusted sign-flip p-value; None for controls, below two pairs, and on dev for a method that
            chooses its weights there.
        significant: p ≤ 0.05, and the number of pairs allows it (2/2ⁿ ≤ α/m).
        paper: The paper's score of the same cell.
    """

    cell: Cell
    scores: dict[int, float]
    difference: statistics.Paired | None = None
    p: float | None = None
    significant: bool = False
    paper: float | None = None

    @property
    def mean(self) -> float | None:
        """Mean score × 100; None without scores."""
        return float(np.mean(list(self.scores.values()))) if self.scores else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds (n - 1); None below two scores."""
        return statistics.std(list(self.scores.values())) if self.scores else None

    @property
    def limits(self) -> tuple[float, float] | None:
        """Lowest and highest score × 100 of the metric; None for one that we do not know."""
        return limits_of(self.cell.metric)

    @property
    def degenerate(self) -> int:
        """Runs whose best epoch predicted one constant; none of the baseline that is one."""
        if self.cell.method == CONSTANT:
            return 0
        return sum(result.degenerate for result in self.cell.results.values())

    @property
    def failures(self) -> list[Outcome]:
        """The runs without a score."""
        return [outcome for outcome in self.cell.outcomes if outcome.failure is not None]


@dataclass(frozen=True)
class Group:
    """All methods on one task with one model.

    Args:
        task: Name of the task.
        model: Name of the model.
        split: ``"test"`` or ``"dev"``: what ``Line.scores`` are about.
        family: Number m of methods tested against plain fine-tuning, for Holm.
        lines: The rows, in the study's order.
    """

    task: str
    model: str
    split: str
    family: int
    lines: tuple[Line, ...]

    @property
    def plain(self) -> Line | None:
        """Plain fine-tuning; None where the study has none."""
        return next((line for line in self.lines if line.cell.label == PLAIN), None)

    @property
    def sign(self) -> int:
        """1, or -1 where a lower score is better."""
        return metrics.sign(next((line.cell.metric for line in self.lines if line.cell.metric), ""))

    @property
    def folds(self) -> int | None:
        """The number of folds of which the scores are; None without folds."""
        runs = (result.run for line in self.lines for result in line.cell.results.values())
        return next((run.folds for run in runs), None)

    @property
    def where(self) -> str:
        """The examples that the scores are about, in words."""
        return self.split if self.folds is None else f"all rows in {self.folds} folds"

    @property
    def row(self) -> str:
        """What one of these examples is called."""
        return f"{self.split} row" if self.folds is None else "row"

    @property
    def tuned(self) -> list[Line]:
        """The rows of fine-tuning."""
        return [line for line in self.lines if not line.cell.simple]

    @property
    def majority(self) -> float | None:
        """The score × 100 of the baseline that always gives one answer; None where it has none."""
        return next((line.mean for line in self.lines if line.cell.method == CONSTANT), None)

    @property
    def tested(self) -> list[Line]:
        """The rows that are tested against plain fine-tuning and have at least one pair."""
        lines = [line for line in self.tuned if not (line.cell.control or _favoured(line.cell, self.split))]
        return [line for line in lines if line.difference is not None]


@dataclass(frozen=True)
class Overall:
    """One method over all tasks with one model.

    Args:
        model: Name of the model.
        label: Name of the row.
        average: Mean over the tasks of the mean scores × 100; None where a task has no score.
        iqm: Interquartile mean of the scores, normalised within each task, with its 95 % interval.
        improvement: Probability that a run of it beats one of plain fine-tuning, mean over tasks.
        difference: Mean over tasks of the mean paired difference to plain fine-tuning, with its raw p.
        p: Holm-adjusted p of it, over the methods of the model.
        significant: p ≤ 0.05, and the number of pairs allows it.
        paper: The paper's average of the same eight tasks.
    """

    model: str
    label: str
    average: float | None
    iqm: tuple[float, tuple[float, float]] | None
    improvement: float | None
    paper: float | None
    difference: statistics.Paired | None = None
    p: float | None = None
    significant: bool = False


def groups(cells: Iterable[Cell]) -> list[Group]:
    """The tables of a study, one for every task and model, in the order of the cells."""
    sorted_out: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        sorted_out.setdefault((cell.task, cell.model), []).append(cell)
    return [_group(task, model, members) for (task, model), members in sorted_out.items()]


def _group(task: str, model: str, cells: Sequence[Cell]) -> Group:
    scored = [cell for cell in cells if cell.results]
    tested = bool(scored) and all(len(cell.test) == len(cell.results) for cell in scored)
    scores = [cell.test if tested else cell.dev for cell in cells]
    plain = next((s for cell, s in zip(cells, scores, strict=True) if cell.label == PLAIN), {})
    split = "test" if tested else "dev"
    compared = [not (cell.control or cell.simple or _favoured(cell, split)) for cell in cells]
    family = sum(one and cell.label != PLAIN for one, cell in zip(compared, cells, strict=True))
    differences = [
        None
        if cell.label == PLAIN
        else _of_one(own, plain)
        if cell.simple
        else _difference(own, plain, family, limits_of(cell.metric))
        for cell, own in zip(cells, scores, strict=True)
    ]
    raw = {
        index: difference.p
        for index, difference in enumerate(differences)
        if difference is not None and difference.p is not None and compared[index]
    }
    # A method whose runs failed still counts in the family: missing p-values are 1.
    padded = [*raw.values(), *[1.0] * (family - len(raw))]
    adjusted = dict(zip(raw, statistics.holm(padded), strict=False))
    lines = []
    for index, (cell, own, difference) in enumerate(zip(cells, scores, differences, strict=True)):
        p = adjusted.get(index)
        allowed = difference is not None and statistics.can_be_significant(difference.n, family)
        lines.append(
            Line(
                cell,
                own,
                difference,
                p,
                allowed and p is not None and p <= statistics.ALPHA,
                None if tested else paper.score(task, model, cell.in_print),
            )
        )
    return Group(task, model, split, family, tuple(lines))


def _favoured(cell: Cell, split: str) -> bool:
    """Whether a row cannot be below plain fine-tuning on the split that its scores are about."""
    return split == "dev" and cell.favoured


def _difference(
    own: dict[int, float], plain: dict[int, float], family: int, limits: tuple[float, float] | None
) -> statistics.Paired | None:
    seeds = common(own, plain)
    if not seeds:
        return None
    return statistics.paired([own[s] for s in seeds], [plain[s] for s in seeds], family, limits)


def _of_one(own: dict[int, float], plain: dict[int, float]) -> statistics.Paired | None:
    """One score, the same for all seeds, against plain fine-tuning's: no interval and no p over seeds."""
    if not own or not plain:
        return None
    (score,), scores = own.values(), list(plain.values())
    gaps = statistics.differences([score] * len(scores), scores)
    equal: Literal["up to rounding"] | None = None if any(gaps) else "up to rounding"
    return statistics.Paired(len(scores), float(np.mean(gaps)), None, None, None, equal=equal)


def common(own: Mapping[int, float], other: Mapping[int, float]) -> list[int]:
    """The seeds that have a score on both sides."""
    return [seed for seed in own if seed in other]


def overall(tables: Sequence[Group]) -> list[Overall]:
    """Every method over all tasks of its model; empty for fewer than two tasks. Controls are left out."""
    rows_of_all = []
    for model in dict.fromkeys(group.model for group in tables):
        own = [group for group in tables if group.model == model]
        if len(own) < 2:
            continue
        # Times the sign of its metric, the larger score is the better one.
        scores: dict[str, dict[str, list[float]]] = {
            group.task: {
                line.cell.label: [group.sign * score for score in line.scores.values()]
                for line in group.tuned
                if not line.cell.control and line.scores
            }
            for group in own
        }
        filled = {task: methods for task, methods in scores.items() if methods}
        scaled = statistics.normalise(filled) if filled else {}
        labels = {
            line.cell.label: line.cell for group in own for line in group.tuned if not line.cell.control
        }
        rows = []
        for label, cell in labels.items():
            everywhere = all(label in scores[group.task] for group in own)
            plain = everywhere and all(PLAIN in scores[group.task] for group in own)
            chances = [
                statistics.probability_of_improvement(methods[label], methods[PLAIN])
                for methods in (filled.values() if plain and label != PLAIN else ())
            ]
            rows.append(
                Overall(
                    model,
                    label,
                    float(np.mean([g.sign * np.mean(scores[g.task][label]) for g in own]))
                    if everywhere
                    else None,
                    statistics.stratified([scaled[g.task][label] for g in own]) if everywhere else None,
                    float(np.mean(chances)) if chances else None,
                    paper.score("avg", model, cell.in_print)
                    if {group.task for group in own} == set(paper.TASKS)
                    else None,
                    _across(own, label) if plain and label != PLAIN else None,
                )
            )
        rows_of_all += _adjusted(rows)
    return rows_of_all


def _across(tables: Sequence[Group], label: str) -> statistics.Paired | None:
    gaps, favoured = [], False
    for group in tables:
        plain = group.plain
        line = next(line for line in group.lines if line.cell.label == label)
        assert plain is not None
        seeds = common(line.scores, plain.scores)
        if not seeds:
            return None
        gaps.append(statistics.differences([line.scores[s] for s in seeds], [plain.scores[s] for s in seeds]))
        favoured |= _favoured(line.cell, group.split)
    found = statistics.across(gaps)
    return replace(found, p=None) if found is not None and favoured else found


def _adjusted(rows: Sequence[Overall]) -> list[Overall]:
    """The rows with Holm's p over all methods; one without a p-value counts as 1."""
    family = sum(row.label != PLAIN for row in rows)
    raw = [row.difference.p if row.difference and row.difference.p is not None else 1.0 for row in rows]
    others = [p for row, p in zip(rows, raw, strict=True) if row.label != PLAIN]
    adjusted = iter(statistics.holm(others))
    adjusted_rows = []
    for row in rows:
        p = None if row.label == PLAIN else next(adjusted)
        if row.difference is None or row.difference.p is None or p is None:
            adjusted_rows.append(row)
            continue
        allowed = statistics.can_be_significant(row.difference.n, family)
        adjusted_rows.append(replace(row, p=p, significant=allowed and p <= statistics.ALPHA))
    return adjusted_rows
