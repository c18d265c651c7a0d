"""The row that a comparison on a table recommends, with what its runs show."""

from collections.abc import Sequence
from dataclasses import dataclass

from pats.page.content.simpler import EPSILON, doubt_of, majority
from pats.page.numbers.examples import Answers, Examples
from pats.page.numbers.reading import Reading, Readings
from pats.page.numbers.tables import CONSTANT, Group, Line
from pats.results import preferred


@dataclass(frozen=True)
class Pick:
    """What a comparison on one table recommends.

    Args:
        group: The table, with the model that the row is of.
        line: The row to use.
        reading: What its predictions show.
        answers: What its first run says of every example; empty where nothing was read.
        constant: The score × 100 of one answer for all.
        ahead: The fine-tuned row that was ahead on dev by less than one standard error; None without one.
    """

    group: Group
    line: Line
    reading: Reading
    answers: Sequence[Answers]
    constant: float | None
    ahead: str | None = None

    @property
    def useless(self) -> bool:
        """It is no better than one answer for all."""
        if self.line.cell.method == CONSTANT or not self.line.cell.learned:
            return True
        mean = self.line.mean
        if self.constant is None or mean is None:
            return False
        return self.group.sign * (mean - self.constant) <= EPSILON

    @property
    def several(self) -> Sequence[Answers]:
        """What its first run says where an example may have several labels; ``answers`` is then empty."""
        return self.reading.several.get(self.line.cell.label, ())

    @property
    def examples(self) -> Examples | None:
        """Doubts over examples of its first run."""
        return self.reading.first.get(self.line.cell.label)


def pick(groups: Sequence[Group], read: Readings) -> Pick | None:
    """The row to use of a study of one table of the user's own; None for others, and without scores."""
    if len({group.task for group in groups}) != 1 or not any(map(on_a_table, groups)):
        return None
    lines = {id(line.cell): (group, line) for group in groups for line in group.lines if line.scores}
    able = [line.cell for _, line in lines.values() if not line.cell.control]
    cell = preferred(able, doubt_of(read))
    first = preferred(able)
    if cell is None or first is None:
        return None
    group, line = lines[id(cell)]
    reading = read.get((group.task, group.model), Reading())
    answers, constant = reading.answers.get(cell.label, ()), majority(group, read)
    return Pick(group, line, reading, answers, constant, None if first is cell else first.label)


def on_a_table(group: Group) -> bool:
    """Whether a group is of a table of the user's own, and of no task with a name."""
    return any(result.run.task is None for line in group.lines for result in line.cell.results.values())
