"""A comparison before its end: how long it takes, what can be compared, what more time would bring."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pats.baselines import is_simple
from pats.page.content.words import count, duration, listed
from pats.page.numbers import statistics
from pats.results import Cell
from pats.study.limit import Limit
from pats.study.plan.agenda import Agenda
from pats.study.plan.grid import Study


def comparable(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The rows that have begun, each with the seeds that all of them have ended on its task and model."""
    kept = []
    for cell in cells:
        own = [one for one in cells if (one.task, one.model) == (cell.task, cell.model)]
        seeds = _common(own)
        every = cell.simple or not seeds  # what is fitted once has no seeds
        outcomes = [o for o in cell.outcomes if not o.missing and (o.seed in seeds or every)]
        if outcomes:
            kept.append(replace(cell, outcomes=tuple(outcomes)))
    return tuple(kept)


def _common(cells: Sequence[Cell]) -> set[int]:
    tested = [cell for cell in cells if not cell.control and not cell.simple]
    begun = [cell for cell in tested if any(not outcome.missing for outcome in cell.outcomes)]
    waited_for = {o.seed for cell in begun for o in cell.outcomes if o.missing}
    return {o.seed for cell in begun for o in cell.outcomes if not o.missing} - waited_for


def forecast(
    study: Study,
    agenda: Agenda,
    waiting: int,
    seconds: float | None,
    limit: Limit,
    early: bool = False,
    first: float | None = None,
) -> str:
    """What will be run, how long that takes, and what it can show: one line before the first run.

    Args:
        study: The study.
        agenda: Its runs.
        waiting: Known runs that have not ended.
        seconds: What all of them take; None where nobody knows.
        limit: The time that there is.
        early: It ends where more seeds cannot change what to use.
        first: Seconds to a first answer; None where nobody knows.
    """
    simple = sum(is_simple(method) for _, method in study.rows)
    rows, seeds = len(study.rows) - simple, len(study.seed_list)
    text = f"{count(rows, 'method')} × {count(seeds, 'seed')}"
    text += f" and {count(simple, 'baseline')}" if simple else ""
    text += (
        f" on {listed(study.task_list)}" if len(study.task_list) <= 3 else f" on {len(study.task_list)} tasks"
    )
    tried = sum(len(cell.runs) for cell in agenda.trials)
    text += f", after {count(tried, 'trial')} of learning rates" if tried else ""
    text += f": {count(waiting + agenda.coming, 'run')}"
    text += ", how long is known after the first one" if seconds is None else f", about {duration(seconds)}"
    if math.isfinite(limit.seconds):
        given = f"the time limit of {duration(limit.seconds)}"
        if seconds is None:
            text += f", at most {given}"
        else:
            text += (
                f", within {given}" if seconds < limit.left - limit.reserve else f"; {given} ends it before"
            )
    text += f"; a first answer after about {duration(first)}" if first is not None else ""
    text += "; it ends sooner where more seeds cannot change what to use" if early else ""
    reach = _reach(study, seeds)
    text += f"; {count(seeds, 'seed')} can show a difference of {reach}" if reach else ""
    return f"{text}."


def ended(
    study: Study,
    cells: Sequence[Cell],
    missing: int,
    seconds: float | None,
    limit: Limit,
    cut: bool = False,
) -> str:
    """That the time limit ended a comparison, and what more time would bring.

    Args:
        study: The study.
        cells: Its rows, with the outcomes so far.
        missing: Runs that were not made.
        seconds: What they take; None where nobody knows.
        limit: The time that there was.
        cut: The search for learning rates was left out for it, and perhaps steps.
    """
    shown = comparable(cells)
    tested = [cell for cell in shown if not cell.control and not cell.simple]
    many = max((len(cell.outcomes) for cell in tested), default=0)
    seeds, begun = len(study.seed_list), {cell.label for cell in shown}
    absent = [label for label, _ in study.rows if label not in begun]
    text = f"The time limit of {duration(limit.seconds)} ended the comparison "
    text += f"with {many} of {count(seeds, 'seed')}" if many else "before a method had its first seed"
    text += f", and without {listed(absent)}" if absent and many else ""
    if cut:
        text += ", and no search for learning rates; the same command with a longer --time-limit makes "
        text += "that search, and whole runs"
    else:
        text += (
            f"; the other {count(missing, 'run')} need " if many else f"; its {count(missing, 'run')} need "
        )
        text += "more time" if seconds is None else f"about {duration(seconds)} more"
        text += ", with the same command and a longer --time-limit"
    full, now = _reach(study, seeds), _reach(study, many)
    if full:
        text += f": {count(seeds, 'seed')} can show a difference of {full}"
        text += f", {many} {'one of ' + now if now else 'can show none'}" if many < seeds and many else ""
    return f"{text}."


def _reach(study: Study, seeds: int) -> str | None:
    """The smallest difference that so many seeds show in four of five studies, in words; None if none."""
    if not study.family or not statistics.can_be_significant(seeds, study.family):
        return None
    size = statistics.detectable(1.0, seeds, statistics.ALPHA / study.family)
    return None if size is None else f"{size:.1f} times its spread over seeds"
