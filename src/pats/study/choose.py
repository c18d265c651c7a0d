"""The one model that a study keeps for a task: chosen on dev, exported whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pats.results import Cell, Doubt, preferred
from pats.run.folder.files import remove
from pats.run.model.exported import read_mark
from pats.study.store.files import link_tree
from pats.study.store.results import Store
from pats.tasks.metrics import sign


@dataclass(frozen=True)
class Chosen:
    """The model of a task.

    Args:
        task: Name of the task.
        model: Name of the pretrained model.
        label: Row of the table.
        seed: The seed that was best on dev.
        run_id: Its run.
        dev: Its dev score × 100.
        test: Its test score × 100; None without a test split.
        constant: It predicts one constant, as every other run does.
        ahead: The fine-tuned row that was ahead on dev by less than one standard error; None without one.
    """

    task: str
    model: str
    label: str
    seed: int
    run_id: str
    dev: float
    test: float | None
    constant: bool = False
    ahead: str | None = None


def choose(
    cells: Sequence[Cell], task: str, whole: Sequence[Cell] = (), doubt: Doubt | None = None
) -> Chosen | None:
    """The best row by mean dev score over seeds, and of it the first best seed; None without scores.

    Where the cells hold a part of the seeds, ``whole`` has all: its weights are those that were kept. A run
    that predicts one constant is chosen only where all do, and a fine-tuned row only where it is clearly
    ahead of the simple ones; see ``pats.results.preferred``. A control row is never chosen.
    """
    rows = [cell for cell in cells if cell.task == task and not cell.control]
    best, ahead = preferred(rows, doubt), preferred(rows)
    if best is None or ahead is None:
        return None
    places = (best.task, best.model, best.label)
    cell = next((c for c in whole if (c.task, c.model, c.label) == places), best)
    way = sign(str(cell.metric))
    seed = max(cell.learned or cell.dev, key=lambda seed: way * cell.dev[seed])
    run_id = next(outcome.run_id for outcome in cell.outcomes if outcome.seed == seed)
    constant = cell.results[seed].degenerate
    passed = None if ahead is best else ahead.label
    return Chosen(
        task, cell.model, cell.label, seed, run_id, cell.dev[seed], cell.test.get(seed), constant, passed
    )


def best(store: Store, run_ids: Sequence[str]) -> str | None:
    """Of a cell's runs the first one that is best on dev so far; None without scores."""
    return next(iter(ranked(store, run_ids)), None)


def ranked(store: Store, run_ids: Sequence[str]) -> list[str]:
    """The runs with a score, from best to worst on dev; those that predict a constant come last."""
    results = [(run_id, store.result(run_id)) for run_id in run_ids]
    scores = {
        i: (not r.degenerate, sign(r.metric) * r.best)
        for i, r in results
        if r is not None and r.best is not None
    }
    return sorted(scores, key=lambda run_id: scores[run_id], reverse=True)  # equal ones stay in their order


def exported(target: Path, run_id: str) -> bool:
    """Whether a folder holds a run's model."""
    mark = read_mark(target)
    return mark is not None and mark.get("run_id") == run_id


def export(source: Path, target: Path) -> None:
    """Put a model's files at ``target``, in one move; hard links where the file system has them."""
    temporary = target.with_name(f".{target.name}.new")
    remove(temporary)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    link_tree(source, temporary)
    remove(target)
    temporary.rename(target)
