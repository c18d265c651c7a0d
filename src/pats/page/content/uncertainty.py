"""The section on uncertainty: over seeds, and over examples."""

from collections.abc import Sequence

import numpy as np

from pats.page.content.blocks import Grid, Section
from pats.page.content.sections import place_of
from pats.page.content.simpler import majority
from pats.page.content.words import between, number, signed
from pats.page.numbers import statistics
from pats.page.numbers.judged import paired_over_examples
from pats.page.numbers.reading import Reading, Readings
from pats.page.numbers.tables import Group, Line


def uncertainty(groups: Sequence[Group], read: Readings) -> Section:
    """How sure the numbers are: over seeds, and over examples."""
    heads: tuple[str, ...] = (
        *("method", "seeds", "mean", "median", "IQM", "lowest", "highest", "mean over seeds [95 %]"),
        *(
            "one seed's score over examples [95 %]",
            "vs vanilla over examples [95 %]",
            "P(better)",
            "could show",
            "no better than a constant",
        ),
    )
    ordered = any(_ordered(line, group.plain) for group in groups for line in group.lines)
    heads += ("ε_min",) if ordered else ()
    grids = []
    for group in groups:
        plain = group.plain
        rows = []
        for line in group.lines:
            values = list(line.scores.values())
            examples = read[group.task, group.model].first.get(line.cell.label)
            chance = None
            tuned = line is not plain and not line.cell.simple
            if plain is not None and tuned and values and plain.scores:
                chance = _improvement(values, list(plain.scores.values()), group.sign)
            useless = None
            always = majority(group, read)
            if examples is not None and always is not None:
                constant = group.sign * always + 1e-9
                useless = sum(group.sign * value <= constant for value in values)
            rows.append(
                (
                    line.cell.label,
                    "one fit" if line.cell.simple else str(len(values)),
                    number(line.mean),
                    number(float(np.median(values)) if values else None),
                    number(statistics.iqm(values) if values else None),
                    number(min(values, default=None)),
                    number(max(values, default=None)),
                    between(statistics.interval(values, limits=line.limits)) if values else "-",
                    between(examples.interval) if examples else "-",
                    _over_examples(read[group.task, group.model], line, plain),
                    number(chance, digits=2),
                    _least(line),
                    str(line.degenerate) if useless is None else str(useless),
                    *([_order(line, plain)] if ordered else []),
                )
            )
        grids.append(Grid(f"{place_of(group, groups)}: scores × 100 on {group.where}", heads, tuple(rows)))
    text = (
        "Two different doubts. Over seeds: would another head and another order of the data give the same? "
        "Over examples: would other examples of the same kind? The second is of the first seed's "
        "predictions, resampled, for a difference the same rows of both; it says nothing about seeds. "
        "P(better): probability that a run beats one of "
        "plain fine-tuning. 'Could show': the smallest true difference that this number of seeds would have "
        "shown in 80 % of studies ('-': so many seeds can show none whatever the scores, or the differences "
        "are all equal; 'none': not even the largest that the metric's scale allows). 'No better than a "
        "constant': runs at or below the score of always "
        "answering the most frequent class (without predictions: runs that did answer one class)."
    )
    if ordered:
        text += (
            " ε_min: how far almost stochastic order over plain fine-tuning is violated (0 never, below 0.5 "
            "almost better, below 0.2 strictly so); shown from ten seeds a side on."
        )
    return Section("uncertainty", "How sure is that?", text, tuple(grids))


def _improvement(ours: list[float], theirs: list[float], sign: int) -> float:
    """The probability that a run is better than one of plain fine-tuning."""
    return statistics.probability_of_improvement([sign * a for a in ours], [sign * b for b in theirs])


def _over_examples(reading: Reading, line: Line, plain: Line | None) -> str:
    """The difference of first runs to plain fine-tuning with its interval over examples."""
    own = reading.answers.get(line.cell.label)
    other = None if plain is None or plain is line else reading.answers.get(plain.cell.label)
    if own is None or other is None or line.cell.metric is None:
        return "-"
    found = paired_over_examples(own, other, line.cell.metric)
    return "-" if found is None else f"{signed(found[0])} {between(found[1], sign=True)}"


def _ordered(line: Line, plain: Line | None) -> bool:
    """Whether both have seeds enough for almost stochastic order."""
    if plain is None or line is plain or line.cell.simple:
        return False
    return min(len(line.scores), len(plain.scores)) >= statistics.ASO_FROM


def _order(line: Line, plain: Line | None) -> str:
    if plain is None or not _ordered(line, plain):
        return "-"
    ours, theirs = list(line.scores.values()), list(plain.scores.values())
    return number(statistics.almost_stochastic_order(ours, theirs), digits=2)


def _least(line: Line) -> str:
    difference = line.difference
    return (
        "none"
        if difference is not None and difference.beyond
        else number(difference.detectable if difference else None)
    )
