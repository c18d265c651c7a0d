"""The report of a study: the verdict, then sections of tables and charts, the same for every format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pats.page.content import (
    advice,
    answers,
    classes,
    mistakes,
    paper_figures,
    sections,
    uncertainty,
    worth,
)
from pats.page.content.blocks import Grid, Section
from pats.page.content.picked import Pick, pick
from pats.page.content.summary import Summary, summary_of
from pats.page.content.words import count, listed, name_of, title_of
from pats.page.numbers import reading, rows
from pats.page.numbers.tables import Group
from pats.results import Distribution


@dataclass(frozen=True)
class Source:
    """What a report is made from, beside the groups.

    Args:
        command: The command that makes the study.
        settings: The study's own settings, as ``Study.to_dict``.
        predictions: Files of predictions by run, for classes and the uncertainty over examples.
        sensitivity: What ``pats sensitivity`` wrote; None without.
        data_size: What ``pats data-size`` wrote; None without.
        notes: Sentences about the data.
        folder: Where the study lies, as it is to be shown.
        rows: The rows of tables, by task: files that ``numbers.rows`` reads.
        tables: What was found in tables before training, by task, as ``data.json`` has it.
    """

    command: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: Mapping[str, Path] = field(default_factory=dict)
    sensitivity: Mapping[str, Any] | None = None
    data_size: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    folder: str = ""
    rows: Mapping[str, Path] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """A report.

    Args:
        title: What was studied.
        lead: A line under it.
        verdict: Three sentences; more where models learned nothing or runs failed.
        sections: In order.
        notes: Below everything.
        answer: Of one table of the user's own, what comes before all: what to use, and what to do next.
    """

    title: str
    lead: str
    verdict: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    answer: tuple[str, ...] = ()

    @property
    def grids(self) -> tuple[Grid, ...]:
        """All tables, in order."""
        return tuple(grid for section in self.sections for grid in section.grids)

    @property
    def summary(self) -> Summary:
        """The same for the formats that have no charts."""
        return Summary(self.verdict, self.grids, self.notes, self.answer)


def document(groups: Sequence[Group], source: Source) -> Document:
    """The report of a comparison.

    Args:
        groups: Its tables (``tables.groups``), at least one.
        source: The rest.
    """
    read = reading.read(groups, source.predictions)
    summary = summary_of(groups, source.notes, read)
    known = {task: rows.read(path) for task, path in source.rows.items()}
    models = list(dict.fromkeys(name_of(group.model) for group in groups))
    tasks = list(dict.fromkeys(group.task for group in groups))
    ended = sections.finished(groups)
    outcomes = [outcome for group in groups for line in group.lines for outcome in line.cell.outcomes]
    missing = sum(outcome.missing for outcome in outcomes)
    lead = f"{len(outcomes) - missing} of " if missing else ""
    lead += count(len(outcomes), "run") + (f", the last one finished on {_day(ended)}" if ended else "")
    labels = sections.labels_of(groups)
    of_classes = classes.classes(groups, read)
    elsewhere = of_classes.grids if of_classes else ()
    parts: list[Section | None] = [
        sections.results(groups, [grid for grid in summary.grids if grid not in elsewhere], labels),
        of_classes,
        answers.doubts(groups, read, known),
        answers.trust(groups, read),
        uncertainty.uncertainty(groups, read),
        sections.learning(groups, labels),
        sections.added_noise(groups, labels),
        sections.sensitivities(groups, source.sensitivity),
        None if source.data_size is None else _figure3(source.data_size),
        sections.costs(groups),
        sections.troubles(groups),
        sections.provenance(groups, source.command, source.settings, source.folder),
    ]
    chosen = pick(groups, read)
    if chosen is not None:
        parts = [*_first(chosen, groups, source, known, summary), *map(worth.pruned, parts)]
    return Document(
        f"{listed([title_of(task) for task in tasks])} with {listed([title_of(model) for model in models])}",
        lead,
        summary.verdict,
        tuple(section for section in parts if section is not None),
        summary.notes,
        summary.answer,
    )


def _first(
    chosen: Pick, groups: Sequence[Group], source: Source, known: advice.Known, summary: Summary
) -> list[Section | None]:
    """The first screen of a table of the user's own."""
    findings = source.tables.get(chosen.group.task, {}).get("findings", ())
    return [
        advice.choice(chosen),
        mistakes.mistakes(chosen, known),
        advice.advice(chosen, groups, known, findings),
        advice.data(findings),
        Section("shown", "What the comparison shows", "", items=summary.verdict),
    ]


def _day(time: str) -> str:
    return f"{datetime.fromisoformat(time):%-d %B %Y}"


def sensitivity_document(measured: Mapping[str, Any]) -> Document:
    """The page of ``pats sensitivity``: figure 2 alone."""
    section = paper_figures.sensitivity(measured)
    models = {one["label"]: Distribution.from_dict(one["whole"]) for one in measured["models"]}
    first = measured["models"][0]
    numbers = [
        f"{name} has a coefficient of variation of {dist.cv:.1f}, a Gini coefficient of {dist.gini:.3f}, "
        f"and {100 * dist.insensitive:.1f} % of its parameters below 5e-8"
        for name, dist in models.items()
    ]
    verdict = (
        f"The sensitivities of {count(len(models), 'model')} were measured over "
        f"{count(first['batches'], 'batch').replace('batchs', 'batches')} of {first['batch_size']} examples "
        f"of {first['task']}.",
        f"{'; '.join(numbers)}.",
        "One model a method shows these models, not the methods: pats data-size measures every seed."
        if len(models) > 1
        else "Measure a second model, such as one of plain fine-tuning, to compare it with.",
    )
    title = f"Sensitivities on {title_of(str(first['task']))}"
    return Document(title, listed(list(models)), verdict, (section,), ())


def _figure3(measured: Mapping[str, Any]) -> Section:
    return paper_figures.data_size(measured["points"], measured["labels"], str(measured["task"]))


def data_size_document(
    points: Sequence[Mapping[str, Any]], labels: Sequence[str], task: str, model: str, command: str
) -> Document:
    """The page of ``pats data-size``: figure 3 alone."""
    section = paper_figures.data_size([dict(point) for point in points], labels, task)
    made = Grid("Command", ("setting", "value"), (("command", command),))
    title = f"{title_of(task)} by size of the training data, with {title_of(name_of(model))}"
    sections_ = (section, Section("made", "How this was made", "", (made,)))
    return Document(
        title, f"{count(len(points), 'run')}", paper_figures.sentences(points, labels), sections_, ()
    )
