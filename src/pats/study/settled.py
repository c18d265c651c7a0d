"""Whether more seeds of a comparison can still change which model to use.

Looked at after every round of seeds, from the third on. The row that would be chosen is compared with each
other one, paired by seed, by a t interval of their difference. The other row is

- *behind*, where the interval is all on the leader's side; a simple row behind a fine-tuned one, where all of
  it is beyond the standard error that the choice between them asks for;
- *level*, where all of it is within what these dev rows leave open: 1.96 standard errors, over the dev rows,
  of the difference of the two first runs. More seeds would choose between models that the rows cannot
  tell apart.

Where every row is one of the two, nothing is left to decide. Several looks have several chances to be wrong,
so the 5 % are divided among them. That all rows must agree needs no further correction. Test scores have no
say: they stay clean for the verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from pats.page.content.words import count, duration, listed
from pats.page.numbers.reading import over_dev
from pats.page.numbers.statistics import ALPHA, interval
from pats.results import Cell, Doubt, preferred
from pats.study.cells import predictions, with_results
from pats.study.partial import comparable
from pats.study.plan.agenda import Agenda
from pats.study.plan.grid import Study
from pats.study.store.results import Store
from pats.tasks.metrics import sign

LEAST = 3  # seeds of every row before anything is settled
HALF = NormalDist().inv_cdf(1 - ALPHA / 2)  # standard errors to either side in a 95 % interval


@dataclass(frozen=True)
class Settled:
    """That more seeds change nothing.

    Args:
        leader: The row that would be chosen, by its dev scores.
        behind: Rows that are behind it beyond the chance of seeds.
        level: Rows that differ from it by less than the dev rows can tell.
        seeds: Seeds that every row has.
        planned: Seeds that were to be.
    """

    leader: str
    behind: tuple[str, ...]
    level: tuple[str, ...]
    seeds: int
    planned: int

    def told(self, missing: int, seconds: float | None) -> str:
        """The sentence, with what the rest would take."""
        why = [f"{listed(self.behind)} {_be(self.behind)} behind {self.leader}"] if self.behind else []
        if self.level:
            verb = "differs" if len(self.level) == 1 else "differ"
            it = "it" if self.behind else self.leader
            why.append(f"{listed(self.level)} {verb} from {it} by less than the dev rows can tell")
        rest = "" if seconds is None else f", about {duration(seconds)}"
        return (
            f"Ended after {self.seeds} of {count(self.planned, 'seed')}, as more of them cannot change what "
            f"to use: {' and '.join(why)} (95 %, over all looks); --all-seeds makes the other "
            f"{count(missing, 'run')}{rest}."
        )


def rounds(cells: Sequence[Cell]) -> int:
    """The seeds that every fine-tuned row has ended."""
    tuned = [cell for cell in cells if not cell.simple and not cell.control]
    return min((sum(not outcome.missing for outcome in cell.outcomes) for cell in tuned), default=0)


def settled(cells: Sequence[Cell], planned: int, doubt: Doubt) -> Settled | None:
    """Whether the comparison on one table is settled; None where more seeds may still change it.

    Args:
        cells: All rows, with the outcomes so far.
        planned: Seeds of every row.
        doubt: The standard error of the difference of two rows over the dev rows.
    """
    seeds = rounds(cells)
    looks = planned - LEAST
    if not LEAST <= seeds < planned:
        return None
    able = [cell for cell in comparable(cells) if not cell.control and cell.dev]
    leader = preferred(able, doubt)
    # A row with failed runs is not chosen beside one without; where the leader has some, nothing is settled.
    if leader is None or len(leader.dev) < len(leader.outcomes):
        return None
    behind, level = [], []
    for cell in able:
        if cell is leader or len(cell.dev) < len(cell.outcomes):
            continue
        low, high = _gap(leader, cell, 1 - ALPHA / looks)
        error = doubt(leader, cell)
        if low > (error or 0.0) * (cell.simple and not leader.simple):
            behind.append(cell.label)
            continue
        half = None if error is None else HALF * error
        if half is None or not -half <= low <= high <= half:
            return None
        level.append(cell.label)
    return Settled(leader.label, tuple(behind), tuple(level), seeds, planned) if behind or level else None


@dataclass
class Watch:
    """Looks at a comparison on one table after every round.

    Args:
        store: Where its results are.
        study: The study.
    """

    store: Store
    study: Study
    _looked: int = 0

    def look(self, now: Agenda) -> Settled | None:
        """Whether it is settled; each round is looked at once."""
        if now.coming or not self.study.on_a_table:
            return None
        cells = with_results(self.store, now.cells)
        seeds = rounds(cells)
        if seeds <= self._looked:
            return None
        self._looked = seeds
        return settled(cells, len(self.study.seed_list), over_dev(predictions(self.store, cells)))


def _gap(leader: Cell, other: Cell, confidence: float) -> tuple[float, float]:
    """The interval of how far the leader is ahead on dev; what was fitted once is the same on every seed."""
    ours, theirs = _by_seed(leader, other), _by_seed(other, leader)
    way = sign(str(leader.metric))
    gaps = [way * (ours[seed] - theirs[seed]) for seed in ours if seed in theirs]
    return interval(gaps, confidence) or (fmean(gaps), fmean(gaps))


def _by_seed(cell: Cell, other: Cell) -> dict[int, float]:
    return dict.fromkeys(other.dev, fmean(cell.dev.values())) if cell.simple else cell.dev


def _be(rows: Sequence[str]) -> str:
    return "is" if len(rows) == 1 else "are"
