"""GLUE's nine tasks: what holds wherever the data come from."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pats._errors import InputError
from pats.tasks._data import Split, TaskData


@dataclass(frozen=True)
class GlueTask:
    """One GLUE task: its files, columns, classes, official row counts and metrics.

    Args:
        name: Canonical name, such as ``"stsb"``.
        folder: Folder in the official layout, such as ``"STS-B"``.
        labels: Names of the classes in the hub's order; empty for regression.
        values: How the official TSV writes each class, parallel to ``labels``.
        tsv: Columns of the official TSV: first text, second text or None, label.
        hub: Text columns on the hub: first, second or None. The label is always ``label``.
        rows: Official number of rows of every split that has labels.
        metrics: Metrics to report, the one that decides first (Table 1 of the paper).
        header: Column names where the official TSV has no header line, else None.
        ragged: What to do with an official row whose columns are not those of the header:
            ``"refuse"`` it, ``"skip"`` it, or take the ``"last"`` column as its label.
    """

    name: str
    folder: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    tsv: tuple[str, str | None, str]
    hub: tuple[str, str | None]
    rows: Mapping[str, int]
    metrics: tuple[str, ...]
    header: tuple[str, ...] | None = None
    ragged: str = "refuse"

    def split_names(self, need: Sequence[str]) -> list[str]:
        """The splits that ``need`` (of ``"train"`` and ``"dev"``) asks for; MNLI has two devs."""
        return [name for name in self.rows if name.partition("_")[0] in need]


_SENTENCES = ("sentence1", "sentence2")
_QUESTIONS = ("question1", "question2")
_ENTAILMENT = ("entailment", "not_entailment")
_NLI = ("entailment", "neutral", "contradiction")

GLUE: Mapping[str, GlueTask] = {
    task.name: task
    for task in (
        GlueTask(
            name="cola",
            folder="CoLA",
            labels=("unacceptable", "acceptable"),
            values=("0", "1"),
            tsv=("sentence", None, "label"),
            hub=("sentence", None),
            rows={"train": 8551, "dev": 1043},
            metrics=("matthews",),
            header=("source", "label", "mark", "sentence"),
        ),
        GlueTask(
            name="mrpc",
            folder="MRPC",
            labels=("not_equivalent", "equivalent"),
            values=("0", "1"),
            tsv=("#1 String", "#2 String", "Quality"),
            hub=_SENTENCES,
            rows={"train": 3668, "dev": 408},
            metrics=("f1", "accuracy"),
        ),
        GlueTask(
            name="rte",
            folder="RTE",
            labels=_ENTAILMENT,
            values=_ENTAILMENT,
            tsv=(*_SENTENCES, "label"),
            hub=_SENTENCES,
            rows={"train": 2490, "dev": 277},
            metrics=("accuracy",),
        ),
        GlueTask(
            name="stsb",
            folder="STS-B",
            labels=(),
            values=(),
            tsv=(*_SENTENCES, "score"),
            hub=_SENTENCES,
            rows={"train": 5749, "dev": 1500},
            metrics=("pearson", "spearman"),
        ),
        GlueTask(
            name="qqp",
            folder="QQP",
            labels=("not_duplicate", "duplicate"),
            values=("0", "1"),
            tsv=(*_QUESTIONS, "is_duplicate"),
            hub=_QUESTIONS,
            rows={"train": 363846, "dev": 40430},
            metrics=("f1", "accuracy"),
            ragged="skip",  # a few questions of the official train.tsv hold line breaks
        ),
        GlueTask(
            name="qnli",
            folder="QNLI",
            labels=_ENTAILMENT,
            values=_ENTAILMENT,
            tsv=("question", "sentence", "label"),
            hub=("question", "sentence"),
            rows={"train": 104743, "dev": 5463},
            metrics=("accuracy",),
        ),
        GlueTask(
            name="mnli",
            folder="MNLI",
            labels=_NLI,
            values=_NLI,
            tsv=(*_SENTENCES, "gold_label"),
            hub=("premise", "hypothesis"),
            rows={"train": 392702, "dev_matched": 9815, "dev_mismatched": 9832},
            metrics=("accuracy",),
            ragged="last",  # the number of annotators, one column each, differs between rows
        ),
        GlueTask(
            name="sst2",
            folder="SST-2",
            labels=("negative", "positive"),
            values=("0", "1"),
            tsv=("sentence", None, "label"),
            hub=("sentence", None),
            rows={"train": 67349, "dev": 872},
            metrics=("accuracy",),
        ),
        GlueTask(
            name="wnli",
            folder="WNLI",
            labels=("not_entailment", "entailment"),
            values=("0", "1"),
            tsv=(*_SENTENCES, "label"),
            hub=_SENTENCES,
            rows={"train": 635, "dev": 71},
            metrics=("accuracy",),
        ),
    )
}


def canonical(name: str) -> str:
    """The canonical ``"stsb"`` of any usual spelling of a name (``"STS-B"``, ``"sts_b"``)."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def check_need(need: Sequence[str]) -> None:
    """Refuse a ``need`` that names anything but ``"train"`` and ``"dev"``.

    Raises:
        InputError: GLUE's test splits have no labels, and other splits do not exist.
    """
    for name in need:
        if name not in ("train", "dev"):
            raise InputError(f"GLUE has no labelled split {name!r}: what is needed must be of train and dev")


def assemble(task: GlueTask, splits: Mapping[str, Split], source: str, notes: Sequence[str] = ()) -> TaskData:
    """Build the task from its splits, and warn where a count is not the official one.

    Args:
        task: The task.
        splits: The splits that were read, by name.
        source: ``"folder"`` or ``"hub"``.
        notes: What the source has to say; sentences about counts are added.

    Returns:
        The task. A difference in row counts is a ``UserWarning`` and a note, both numbers named.
    """
    said = list(notes)
    for name, split in splits.items():
        if len(split) != task.rows[name]:
            note = (
                f"{task.folder} {name} has {len(split)} rows here, but {task.rows[name]} "
                "officially: scores are not comparable with published ones."
            )
            warnings.warn(note, UserWarning, stacklevel=2)
            said.append(note)
    return TaskData(
        name=task.name,
        labels=task.labels,
        splits=dict(splits),
        metric=task.metrics[0],
        metrics=task.metrics,
        source=source,
        notes=tuple(said),
    )
