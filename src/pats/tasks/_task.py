"""What a task is: its name, how it is scored, and the places that its examples come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pats._errors import InputError, did_you_mean
from pats.tasks._data import Split, TaskData

COLUMNS = (
    *("text", "text_pair", "label", "kind", "quoting", "sheet", "drop_rare", "drop_unlabelled"),
    *("group", "time", "folds", "fold", "dev", "test"),
)

# Where examples come from, and what a user may say of it.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "folder": ("data",),
    "table": ("data", *COLUMNS),
    "hub": (),
    "embedded": (),
}


@dataclass(frozen=True)
class Asked:
    """What a user specifies of a task's data; None and empty for what is not specified.

    Args:
        data: A folder or a table.
        text: Column of the first text of a table, or several whose cells are joined.
        text_pair: Column of its second text.
        label: Column of its label, or several of 0 and 1, one for each label.
        kind: One of ``pats.tasks.labels.KINDS``, of a table.
        quoting: What quotes mean in a CSV or TSV, one of ``pats.tasks.reading.QUOTINGS``.
        sheet: The sheet of a workbook.
        drop_rare: Leave out classes that are too rare to be in every split.
        drop_unlabelled: Leave out rows without a label.
        group: Column of what a row belongs to; a split that is made divides no group.
        time: Column of when a row was written; a split that is made has the oldest rows in train.
        folds: Parts of a table, each of which is test once.
        fold: Which of them is test, from 1; None is none: train and dev are all rows.
        dev: The table of the dev split, where ``data`` is that of train.
        test: The table of the test split, beside that of train.
        seed: Seed of the split of a table that brings none.
        options: Options of the task.
        need: Which of ``"train"`` and ``"dev"`` are needed; a task may bring more.
    """

    data: Any = None
    text: str | tuple[str, ...] | None = None
    text_pair: str | None = None
    label: str | tuple[str, ...] | None = None
    kind: str | None = None
    seed: int = 0
    options: Mapping[str, int] = field(default_factory=dict)
    need: Sequence[str] = ("train", "dev")
    quoting: str | None = None
    sheet: str | None = None
    drop_rare: bool = False
    drop_unlabelled: bool = False
    group: str | None = None
    time: str | None = None
    folds: int | None = None
    fold: int | None = None
    dev: Any = None
    test: Any = None


class Task:
    """A task by name. A subclass in a module of ``pats.tasks`` is found by itself.

    One of your own is named ``my_module:MyTask``. A subclass overrides the reader of each of its ``sources``:

    - ``"folder"``: ``folder`` reads the files in ``asked.data``.
    - ``"hub"``: ``hub`` downloads them.
    - ``"embedded"``: ``embedded`` makes the examples on the spot, from ``asked.options``.
    - ``"table"``: ``table`` reads a table whose columns the user may name.

    Attributes:
        name: Its canonical name, of lower-case letters and digits; empty for tables, which have none.
        aliases: Other names, in the same spelling.
        labels: Names of the classes in the order of their indices; empty for regression.
        metrics: Names in ``pats.tasks.metrics``, the one that decides first.
        sources: Where examples come from, some of ``SOURCES``.
        options: Options of an embedded task with their defaults.
    """

    name: str = ""
    aliases: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("embedded",)
    options: Mapping[str, int] = MappingProxyType({})

    @classmethod
    def every(cls) -> Sequence["Task"]:
        """The tasks that the class defines: one, unless it is made for several."""
        return (cls(),)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"the task {self.name!r}"

    @property
    def takes_data(self) -> bool:
        """Whether ``--data`` may say where its examples are."""
        return any("data" in SOURCES[source] for source in self.sources)

    def load(self, asked: Asked) -> TaskData:
        """The examples, from where the user says that they are.

        Raises:
            InputError: The user specifies what this task does not take, or the data are missing or damaged.
        """
        self._check(asked)
        fits = [one for one in self.sources if ("data" in SOURCES[one]) == (asked.data is not None)]
        if not fits:
            raise InputError(f"{self.title} brings no examples of its own: say where they are with --data")
        readers = {"folder": self.folder, "table": self.table, "hub": self.hub, "embedded": self.embedded}
        return readers[fits[0]](asked)

    def _check(self, asked: Asked) -> None:
        taken = {name for source in self.sources for name in SOURCES[source]}
        given = {name: getattr(asked, name) for name in ("data", *COLUMNS) if name not in taken}
        if not self.options:
            given |= {f"option {name}": value for name, value in asked.options.items()}
        for name, value in given.items():
            if value is not None and value is not False:
                raise InputError(f"{self.title} takes no {name}, but {value!r:.80} was given: leave it out")
        for name, value in asked.options.items() if self.options else ():
            if name not in self.options:
                perhaps = did_you_mean(name, self.options)
                raise InputError(
                    f"{self.title} has no option {name!r}{perhaps}, but {', '.join(self.options)}"
                )
            if not isinstance(value, int):
                raise InputError(f"option {name} of {self.title} is {value!r}: give a whole number")

    def folder(self, asked: Asked) -> TaskData:
        """Read the files in a folder."""
        raise NotImplementedError

    def hub(self, asked: Asked) -> TaskData:
        """Download from the Hugging Face hub."""
        raise NotImplementedError

    def table(self, asked: Asked) -> TaskData:
        """Read a table."""
        raise NotImplementedError

    def embedded(self, asked: Asked) -> TaskData:
        """Make the examples."""
        raise NotImplementedError

    def made(self, splits: Mapping[str, Split], source: str, notes: Sequence[str] = ()) -> TaskData:
        """The task with these splits.

        Args:
            splits: ``"train"``, ``"dev"`` and perhaps ``"test"``.
            source: Where they come from, one of ``SOURCES``.
            notes: What the user should know of them, in sentences.
        """
        return TaskData(
            self.name, self.labels, dict(splits), self.metrics[0], self.metrics, source, tuple(notes)
        )
