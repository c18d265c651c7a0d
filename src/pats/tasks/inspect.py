"""A table before anything is trained on it: what it is taken for, and what is wrong with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pats._errors import InputError
from pats.tasks import audit, judging
from pats.tasks._task import Asked
from pats.tasks.audit import Finding, tokens
from pats.tasks.columns import SPLIT_COLUMNS, Columns, names_of, usual
from pats.tasks.folds import proposal
from pats.tasks.reading import Table, blank
from pats.tasks.rows import reading_note, split_columns, tables_of
from pats.tasks.splits import check
from pats.tasks.table import MIN_ROWS, Examined, called, choose_columns, division, examine_tables

_LEFT_OUT = "left out"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: Its name.
        role: What it was taken for: ``"text"``, ``"second text"``, ``"label"``, ``"group"``, ``"time"``,
            ``"split"``, ``"left out"``, or ``"unknown"`` where the columns could not be chosen.
        why: The reason, in words.
        filled: Rows with something in it.
        different: Different cells.
    """

    name: str
    role: str
    why: str
    filled: int
    different: int


@dataclass(frozen=True)
class Inspection:
    """What is known of a table.

    Args:
        name: What messages call it.
        rows: Its rows, those without anything in them excepted.
        columns: Its columns.
        kind: One of ``pats.tasks.labels.KINDS``; None where it is open.
        metric: The metric that would decide.
        classes: Rows of every class or label, the largest first.
        scores: Smallest, mean and largest score, of regression.
        splits: Rows of every split that would be used.
        tokens: Tokens of all texts, as a model would read them.
        findings: What was found, in order of weight.
        labelled: Rows with a label.
    """

    name: str
    rows: int
    columns: tuple[Column, ...]
    kind: str | None = None
    metric: str | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    scores: tuple[float, float, float] | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0
    findings: tuple[Finding, ...] = ()
    labelled: int = 0

    @property
    def usable(self) -> bool:
        """Whether it can be learnt as it is."""
        return not any(finding.severity == audit.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "rows": self.rows,
            "usable": self.usable,
            "columns": [vars(column) for column in self.columns],
            "kind": self.kind,
            "metric": self.metric,
            "classes": [
                {"name": name, "rows": rows, "share": rows / self.labelled}
                for name, rows in self.classes.items()
            ],
            "scores": self.scores and dict(zip(("smallest", "mean", "largest"), self.scores, strict=True)),
            "splits": dict(self.splits),
            "tokens": self.tokens,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def inspect(asked: Asked, limit: int = 128, counter: tokens.Counter | None = None) -> Inspection:
    """Inspect a table as it would be read.

    Args:
        asked: What the user says of it.
        limit: Tokens that the model reads.
        counter: Counts tokens as the model's tokenizer does; None estimates them.

    Raises:
        InputError: Nothing could be read. What else is wrong is an error among the findings.
    """
    tables = tables_of(asked)
    first = next(iter(tables.values()))
    size = sum(len(table.without_blank_rows()) for table in tables.values())
    name = called(asked.data)
    try:
        columns, why = choose_columns(first, asked)
    except InputError as error:
        found = (_error("columns", error), *audit.by_weight(map(reading_note, first.notes)))
        return Inspection(name, size, _columns(first, None, [], asked), findings=found)
    described = _columns(first, columns, why, asked)
    try:
        examined = examine_tables(tables, asked)
    except InputError as error:
        return Inspection(name, size, described, findings=(_error("labels", error),))
    return _inspected(examined, asked, name, size, described, limit, counter)


def _inspected(
    examined: Examined,
    asked: Asked,
    name: str,
    size: int,
    described: tuple[Column, ...],
    limit: int,
    counter: tokens.Counter | None,
) -> Inspection:
    _, rows, labels, findings = examined
    classes, values, sets = labels
    findings = list(findings)
    parts: Mapping[str, Sequence[int]] = {}
    undecided = any(one.severity == audit.ERROR and one.code in _UNDECIDED for one in findings)
    if len(rows) < MIN_ROWS:
        message = f"{name} has {len(rows)} labelled rows: add some, {MIN_ROWS} are needed"
        findings.append(Finding("too-few", message, {"rows": len(rows)}, audit.ERROR))
    elif not undecided:
        try:
            parts, divided, _ = division(rows, labels, asked, name)
            findings += divided
            check(parts, labels, name)
            if asked.folds is None and asked.time is None and not any(row.split for row in rows):
                findings += proposal(rows, labels, len(parts["test"]), asked.seed, name)
        except InputError as error:
            findings.append(_error("splits", error))
    metrics, said = judging.chosen(classes, values, bool(sets))
    findings += [] if undecided else said
    read = tokens.measure([row.texts for row in rows], counter)
    findings += tokens.lengths(read, limit, exact=counter is not None)
    counts = Counter(label for i in range(len(rows)) for label in labels.names(i))
    return Inspection(
        name,
        size,
        described,
        None if undecided else labels.kind,
        None if undecided else metrics[0],
        dict(counts.most_common()),
        None if classes else (min(values), sum(values) / len(values), max(values)),
        {part: len(members) for part, members in parts.items()},
        sum(read.totals),
        tuple(audit.by_weight(findings)),
        len(rows),
    )


_UNDECIDED = (
    "kind",
    "decimal-comma",
    "marked-numbers",
    "stray-labels",
    "row-numbers",
)  # what leaves open whether labels are classes


def _error(code: str, error: InputError) -> Finding:
    return Finding(code, str(error), severity=audit.ERROR)


def _columns(
    table: Table, columns: Columns | None, why: Sequence[Finding], asked: Asked
) -> tuple[Column, ...]:
    """The columns of a table, each with what it was taken for."""
    roles: dict[str, str] = {}
    if columns is not None:
        roles = dict.fromkeys(columns.parts, "text")
        named = {"second text": columns.text_pair, "group": asked.group, "time": asked.time}
        roles |= {name: role for role, name in named.items() if name}
        roles |= dict.fromkeys(names_of(columns.label), "label")
    reasons = {name: one.message for one in why for name in roles if repr(name) in one.message}
    described, splits = [], split_columns(table)
    for name, cells in table.cells.items():
        filled = [str(cell) for cell in cells if not blank(cell)]
        role = roles.get(name, _LEFT_OUT if columns else "unknown")
        reason = reasons.get(name, "").rpartition(", ")[2].rstrip(".")
        if role == _LEFT_OUT and name in splits:
            role, reason = "split", "by its name" if usual(name) in SPLIT_COLUMNS else "by its content"
        described.append(Column(name, role, reason, len(filled), len(set(filled))))
    return tuple(described)
