"""What the verdict says first: whether anything beats one answer for all, and a simple model."""

from collections.abc import Sequence
from statistics import fmean

from pats.page.content.names import always, metric_of, tables_named
from pats.page.content.words import CURE, count, number
from pats.page.numbers.reading import Readings
from pats.page.numbers.tables import CONSTANT, Group, Line
from pats.results import Doubt, preferred

EPSILON = 1e-9


def useless(groups: Sequence[Group], read: Readings) -> list[str]:
    """Tables on which no method is better than one answer for all."""
    beaten = []
    for group in groups:
        score = majority(group, read)
        lines = [line for line in group.lines if line.cell.method != CONSTANT]
        means = [line.mean for line in lines if line.mean is not None]
        if score is None or not means or not any(map(learned, lines)):
            continue
        if max(group.sign * mean for mean in means) <= group.sign * score + EPSILON:
            beaten.append((group, score))
    if not beaten:
        return []
    where = "" if len(groups) == 1 else f" on {tables_named([group for group, _ in beaten])}"
    scored = f" ({number(beaten[0][1])})" if len(beaten) == 1 else ""
    return [f"No method beats always answering {always(beaten[0][0])}{scored}{where}: {CURE}."]


def simpler(groups: Sequence[Group], read: Readings) -> list[str]:
    """Tables on which no fine-tuned model is better than a baseline that is no fine-tuning."""
    sentences = []
    for group in groups:
        simple, constant = best_simple(group), majority(group, read)
        tuned = [line for line in group.tuned if line.scores]
        if simple is None or not tuned:
            continue
        best = max(tuned, key=lambda line: group.sign * _score(line))
        if group.sign * (_score(best) - _score(simple)) > EPSILON:
            continue
        where = "" if len(groups) == 1 else f"On {tables_named([group])}: "
        beyond = "" if constant is None else f"; always answering {always(group)} scores {number(constant)}"
        seeds = "" if len(best.scores) == 1 else f", a mean over {count(len(best.scores), 'seed')}"
        able = [line.cell for line in (*tuned, simple)]
        ahead = preferred(able, doubt_of(read))
        use, chosen = "Use the simple model", ""
        if ahead is not None and not ahead.simple:
            use = "Fine-tuning did not pay beside the simple model"
            chosen = f"; on dev, which chooses, {ahead.label} was ahead"
        sentences.append(
            f"{where}{use} {simple.cell.label}: it scores {number(simple.mean)} ({metric_of(group)} × 100) "
            f"without fine-tuning, and no fine-tuned model beats it (the best, {best.cell.label}: "
            f"{number(best.mean)}{seeds}){beyond}{chosen}."
        )
    return sentences


def best_simple(group: Group) -> Line | None:
    """Of the baselines that beat one answer for all, the best on dev, as is exported; None without any."""
    constant = group.majority
    able = [line for line in group.lines if line.cell.simple and line.cell.method != CONSTANT and line.scores]
    able = [one for one in able if constant is None or group.sign * (_score(one) - constant) > EPSILON]
    return max(able, key=lambda line: group.sign * _on_dev(line), default=None)


def majority(group: Group, read: Readings) -> float | None:
    """The score × 100 of one answer for all: of the baseline of that name, else from the runs' labels."""
    if group.majority is not None:
        return group.majority
    reading = read.get((group.task, group.model))
    return None if reading is None else reading.majority


def doubt_of(read: Readings) -> Doubt | None:
    """What the dev rows leave open between two rows; None where nothing was read."""
    return next((reading.doubt for reading in read.values()), None)


def learned(line: Line | None) -> bool:
    """Whether a run of the row predicts more than one constant."""
    return line is not None and line.degenerate < len(line.cell.results)


def _on_dev(line: Line) -> float:
    return fmean(line.cell.dev.values())


def _score(line: Line) -> float:
    assert line.mean is not None
    return line.mean
