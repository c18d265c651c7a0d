"""The section on what the recommended model gets wrong: three examples of each common confusion."""

from collections.abc import Sequence

import numpy as np

from pats.page.content.advice import Known, confused
from pats.page.content.blocks import Grid, Section
from pats.page.content.picked import Pick
from pats.page.content.several import slips
from pats.page.content.words import number
from pats.page.numbers.examples import Answers, Array
from pats.page.numbers.rows import Rows

EXAMPLES = 3


def mistakes(chosen: Pick, known: Known) -> Section | None:
    """Examples of its common confusions, or of its largest errors; None where there are none to show."""
    several = chosen.several
    if chosen.useless or not (chosen.answers or several):
        return None
    parts = [(one, _rows(chosen, one, known)) for one in chosen.answers or several]
    if several:
        grids = _of_labels(chosen, parts)
    else:
        grids = _of_classes(chosen, parts) if chosen.reading.labels else _of_scores(parts)
    if not grids:
        return None
    of = "" if len(chosen.line.scores) == 1 else ", of its first seed"
    told = f"{chosen.group.row}s that {chosen.line.cell.label} gets wrong{of}"
    text = f"Some {told}, the surest mistakes first."
    return Section("wrong", "What it gets wrong", text, tuple(grids))


def _rows(chosen: Pick, answers: Answers, known: Known) -> Rows | None:
    """The texts of a split; None where nobody kept them, or they are of other data."""
    rows = known.get(chosen.group.task, {}).get(answers.split)
    return rows if rows is not None and len(rows.texts) == len(answers.true) else None


def _of_classes(chosen: Pick, parts: list[tuple[Answers, Rows | None]]) -> list[Grid]:
    number_of = {label: float(place) for place, label in enumerate(chosen.reading.labels)}
    grids = []
    for label, predicted, many in confused(chosen):
        found = []
        for one, rows in parts:
            for place in np.flatnonzero(
                (one.true == number_of[label]) & (one.predicted == number_of[predicted])
            ):
                share = None if one.shares is None else float(one.shares[place, int(number_of[predicted])])
                found.append((_told(rows, int(place)), share))
        found.sort(key=lambda row: -(row[1] or 0.0))
        cells = tuple(
            (text, "-" if share is None else f"{100 * share:.0f} %") for text, share in found[:EXAMPLES]
        )
        title = f"{label!r} taken for {predicted!r}: {many} of {_all(parts, number_of[label])}"
        grids.append(Grid(title, ("text", "how sure"), cells))
    return grids


def _of_labels(chosen: Pick, parts: list[tuple[Answers, Rows | None]]) -> list[Grid]:
    """Of the labels that are most often missed or wrongly given, rows; the surest mistakes first."""
    names, grids = chosen.reading.labels, []
    for slip in slips(names, chosen.several):
        place_of, found = names.index(slip.label), []
        for one, rows in parts:
            gaps = one.true[:, place_of] - one.predicted[:, place_of]
            for place in np.flatnonzero(gaps == (1 if slip.missed else -1)):
                share = None if one.shares is None else float(one.shares[place, place_of])
                found.append((_told(rows, int(place)), _named(names, one.true[place]), share))
        found.sort(key=lambda row: (row[2] or 0.0) * (1 if slip.missed else -1))
        cells = tuple(
            (text, held, "-" if share is None else f"{100 * share:.0f} %")
            for text, held, share in found[:EXAMPLES]
        )
        heads = ("text", "its labels", f"how likely {slip.label}")
        grids.append(Grid(f"{slip.what}: {slip.many} of {slip.of}", heads, cells))
    return grids


def _named(names: Sequence[str], marks: Array) -> str:
    return ", ".join(name for name, mark in zip(names, marks, strict=True) if mark) or "none"


def _of_scores(parts: list[tuple[Answers, Rows | None]]) -> list[Grid]:
    found = [
        (float(abs(one.true[place] - one.predicted[place])), _told(rows, place), one, place)
        for one, rows in parts
        for place in range(one.true.size)
    ]
    found.sort(key=lambda row: -row[0])
    cells = tuple(
        (text, number(float(one.true[place]), digits=2), number(float(one.predicted[place]), digits=2))
        for gap, text, one, place in found[:EXAMPLES]
        if gap > 0
    )
    return [Grid("The largest errors", ("text", "score", "predicted"), cells)] if cells else []


def _all(parts: list[tuple[Answers, Rows | None]], label: float) -> int:
    return sum(int((one.true == label).sum()) for one, _ in parts)


def _told(rows: Rows | None, place: int) -> str:
    return f"row {place + 1}" if rows is None else rows.shown(place)
