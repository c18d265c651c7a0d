"""Sections on single answers: whether probabilities can be trusted, and which rows nobody gets right."""

from collections.abc import Mapping, Sequence

import numpy as np

from pats.page.content.blocks import Grid, Section
from pats.page.content.names import metric_name, metric_of
from pats.page.content.sections import place_of
from pats.page.content.words import count, number
from pats.page.numbers import calibration, judged
from pats.page.numbers.examples import Answers
from pats.page.numbers.reading import Reading, Readings
from pats.page.numbers.rows import Rows
from pats.page.numbers.tables import CONSTANT, Group

MOST_ROWS = 25  # hard rows that are listed


def trust(groups: Sequence[Group], read: Readings) -> Section | None:
    """Calibration error and reliability curve of every row's first run; None without probabilities."""
    grids = []
    for group in groups:
        reading = read.get((group.task, group.model), Reading())
        for label, answers in reading.answers.items():
            shares = [one.shares for one in answers if one.shares is not None]
            if len(shares) < len(answers) or _constant(group, label):
                continue
            table = np.concatenate(shares)
            true = np.concatenate([one.true for one in answers])
            rows = tuple(
                (
                    f"{100 * one.low:.0f} to {100 * one.high:.0f} %",
                    f"{one.count:,}",
                    number(100 * one.confidence),
                    number(100 * one.accuracy),
                )
                for one in calibration.reliability(table, true)
            )
            error = number(100 * calibration.ece(table, true))
            where = f"{place_of(group, groups)}: {label}, on {group.where}"
            title = f"{where}, expected calibration error {error}"
            grids.append(Grid(title, ("probability", "examples", "mean, %", "right, %"), rows))
    if not grids:
        return None
    text = (
        "How often an answer is right that the first run of a row gives with this probability, before any "
        "correction. The expected calibration error is the mean gap of the two, in points. An exported model "
        "keeps the temperature that fits its dev set in pats.json."
    )
    return Section("calibration", "Can the probabilities be trusted?", text, tuple(grids), shown=2)


def doubts(groups: Sequence[Group], read: Readings, rows: Mapping[str, Mapping[str, Rows]]) -> Section | None:
    """Rows that all methods get wrong, and scores by length and group; None where nothing is to be shown."""
    hard, parts, many = [], [], 0
    for group in groups:
        reading = read.get((group.task, group.model), Reading())
        said = reading.answers or reading.several
        able = {label: one for label, one in said.items() if not _constant(group, label)}
        for split, by_row in _by_split(able).items():
            known = rows.get(group.task, {}).get(split)
            if known is not None and any(len(known.texts) != len(one.true) for one in by_row.values()):
                known = None  # of other data than the predictions
            if reading.labels and reading.answers:  # of several labels, hardly a row is right in all
                found = judged.missed_by_all(by_row)
                many += len(found)
                hard += _hard(found, reading.labels, known, f"{place_of(group, groups)}, {split}")
            parts += _parts(group, by_row, known, f"{place_of(group, groups)}, {split}")
    if not hard and not parts:
        return None
    text = (
        f"{count(many, 'row')} that every method gets wrong may have a wrong label: look at them first. They "
        "are of the first run of each method; the baseline of one answer is left out."
        if hard
        else "Of the first run of each method."
    )
    return Section("doubts", "Where the models are wrong", text, (*hard, *parts), shown=4)


def _by_split(able: Mapping[str, Sequence[Answers]]) -> dict[str, dict[str, Answers]]:
    """Answers by split and row, of rows that answer the same examples as the first one."""
    found: dict[str, dict[str, Answers]] = {}
    for label, answers in able.items():
        for one in answers:
            own = found.setdefault(one.split, {})
            if all(np.array_equal(one.true, other.true) for other in own.values()):
                own[label] = one
    return found


def _hard(
    found: Sequence[tuple[int, float, float, int]], labels: Sequence[str], known: Rows | None, where: str
) -> list[Grid]:
    if not found:
        return []
    cells = tuple(
        (
            str(place + 1) if known is None else known.shown(place),
            labels[int(true)],
            f"{labels[int(predicted)]} ({agree})",
        )
        for place, true, predicted, agree in found[:MOST_ROWS]
    )
    heads = ("row" if known is None else "text", "label", "predicted (methods that agree)")
    return [Grid(f"{where}: rows that all methods get wrong ({len(found)})", heads, cells)]


def _parts(group: Group, by_row: Mapping[str, Answers], known: Rows | None, where: str) -> list[Grid]:
    """Scores by length of the text and by group."""
    if known is None or not by_row:
        return []
    grids = []
    for what, names in (("length", judged.length_parts(known.words)), ("group", list(known.groups))):
        if len(set(names)) < 2:
            continue
        columns = [judged.by_part(one, names, metric_name(group)) for one in by_row.values()]
        order = sorted(
            columns[0], key=lambda name: (int(name.split()[0]), name) if what == "length" else (0, name)
        )
        cells = tuple(
            (name, f"{columns[0][name][0]:,}", *(number(column[name][1]) for column in columns))
            for name in order
        )
        if cells:
            title = f"{where}: {metric_of(group)} × 100 by {what}"
            grids.append(Grid(title, (what, "rows", *by_row), cells))
    return grids


def _constant(group: Group, label: str) -> bool:
    return any(line.cell.label == label and line.cell.method == CONSTANT for line in group.lines)
