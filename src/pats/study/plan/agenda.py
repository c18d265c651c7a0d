"""What a comparison has to run as far as it is known, in the order in which to start it.

The order is one rule. Runs come seed by seed, so that a comparison that is cut short is balanced. Within a
seed, what costs seconds comes first, then plain fine-tuning, then the other methods, then controls. A row's
trials come before its first seed. So there is a first answer early, and every further run makes it surer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pats.baselines import is_simple
from pats.results.cell import PLAIN
from pats.run.spec import Run
from pats.study.plan.grid import Fingerprints, Rate, Study
from pats.study.plan.planned import Place, PlannedCell

# Of runs that have ended, from best to worst on dev, those without a score left out; None while one has not.
Ranking = Callable[[Sequence[Run]], Sequence[Run] | None]


@dataclass(frozen=True)
class Agenda:
    """What is known of a comparison's runs.

    Args:
        cells: The cells whose learning rate is known.
        trials: The tuning runs so far, a cell a row.
        runs: The runs of both, in the order in which to start them.
        coming: Runs that follow once trials have ended.
        rates: The learning rates that were found; of folds, one a fold.
    """

    cells: tuple[PlannedCell, ...] = ()
    trials: tuple[PlannedCell, ...] = ()
    runs: tuple[Run, ...] = ()
    coming: int = 0
    rates: Mapping[Place, Rate] = field(default_factory=dict)


def agenda(study: Study, fingerprints: Fingerprints, ranking: Ranking) -> Agenda:
    """What there is to run, given what has ended; the same results give the same agenda."""
    methods = dict(study.rows)
    trials: dict[Place, tuple[Run, ...]] = {}
    rates: dict[Place, Rate] = {}
    coming = 0
    for place in study.tuning(fingerprints):
        # In each fold by itself: no fold's test rows have a say in the rate that it is trained with.
        by_fold = [
            _tune(study, place, methods[place[2]], fingerprints, ranking, fold) for fold in study.folds
        ]
        trials[place] = tuple(run for tried, _, _ in by_fold for run in tried)
        found = tuple(rate for _, rate, _ in by_fold if rate is not None)
        if len(found) < len(by_fold):
            coming += sum(more for _, _, more in by_fold) + len(study.seed_list) * len(study.folds)
        else:
            rates[place] = found if len(found) > 1 else found[0]
    cells = study.cells(fingerprints, rates)
    # A tuned row without a rate has no cell yet: its trials keep its place in the first round.
    first = [(rank(cell.label, cell.method, cell.control), cell.place, cell.rounds[0]) for cell in cells]
    known = {cell.place for cell in cells}
    first += [(rank(p[2], methods[p[2]]), p, ()) for p in trials if p not in known]
    runs = [
        run
        for _, place, seeds in sorted(first, key=lambda entry: entry[0])
        for run in (*trials.get(place, ()), *seeds)
    ]
    runs += in_rounds(cells, 1)
    shown = [
        PlannedCell(task, model, tuning_of(label), methods[label], 0.0, tried)
        for (task, model, label), tried in trials.items()
    ]
    return Agenda(tuple(cells), tuple(shown), tuple({run.id: run for run in runs}.values()), coming, rates)


def first_answer(study: Study, now: Agenda, fingerprints: Fingerprints) -> list[Run]:
    """The runs before a first answer: the baselines, and one seed of the first fine-tuned row."""
    runs = [run for cell in now.cells if is_simple(cell.method) for run in cell.runs]
    tuned = [(label, method) for label, method in study.rows if not is_simple(method)]
    label, method = min(tuned, key=lambda row: rank(*row), default=("", ""))
    if not label:
        return runs
    place = (study.task_list[0], study.model_list[0], label)
    runs += [run for cell in now.trials if cell.place == (*place[:2], tuning_of(label)) for run in cell.runs]
    known = next((cell.rounds[0] for cell in now.cells if cell.place == place), None)
    rate, seed = max(study.lr_grid, default=study.run.lr), study.seed_list[0]
    whole = [study.make(place, method, rate, seed, fingerprints, fold=fold) for fold in study.folds]
    return [*runs, *(known or whole)]


def in_rounds(cells: Sequence[PlannedCell], start: int = 0) -> list[Run]:
    """The runs of cells seed by seed, from one on."""
    ordered = sorted(cells, key=lambda cell: rank(cell.label, cell.method, cell.control))
    by_cell = [cell.rounds for cell in ordered]
    last = max(map(len, by_cell), default=0)
    # Of folds, a cell has all of a seed's before the next cell begins: a part of them has no score.
    return [run for i in range(start, last) for rounds in by_cell for own in rounds[i : i + 1] for run in own]


def rank(label: str, method: str, control: bool = False) -> int:
    """When a row's run comes within its round."""
    if control:
        return 3
    return 0 if is_simple(method) else 1 if label == PLAIN else 2


def tuning_of(label: str) -> str:
    """What the trials of a row are called."""
    return f"{label} (tuning)"


def _tune(
    study: Study,
    place: Place,
    method: str,
    fingerprints: Fingerprints,
    ranking: Ranking,
    fold: int | None,
) -> tuple[tuple[Run, ...], float | None, int]:
    """Trials so far; the rate, None while it is not known; and trials that are still to come.

    Every rung has the rates that are left, each for the same share of a run's steps, and keeps the best of
    them. Where every rate fails, the smallest one is run, and its failures are shown.
    """
    left: Sequence[float] = sorted(study.lr_grid)
    trials: list[Run] = []
    rungs = study.rungs
    for number, (share, keep) in enumerate(rungs):
        runs = study.trials(place, method, left, fingerprints, share, fold)
        trials += runs
        ranked = ranking(runs)
        if ranked is None:
            return tuple(trials), None, sum(kept for _, kept in rungs[number:-1])
        left = sorted(run.lr for run in ranked[:keep]) or left[:1]
    return tuple(trials), left[0], 0
