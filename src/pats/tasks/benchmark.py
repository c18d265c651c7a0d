"""GLUE's nine tasks by name, from the official files or from the hub."""

from collections.abc import Sequence

from pats.tasks import glue_files, hub
from pats.tasks._data import TaskData
from pats.tasks._task import Asked, Task
from pats.tasks.glue import GLUE, GlueTask


class Glue(Task):
    """One of them.

    Args:
        official: What is known of it.
    """

    sources = ("folder", "hub")

    def __init__(self, official: GlueTask) -> None:
        self.official = official
        self.name, self.labels, self.metrics = official.name, official.labels, official.metrics

    @classmethod
    def every(cls) -> Sequence[Task]:
        """All nine."""
        return [cls(official) for official in GLUE.values()]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"GLUE task {self.name}"

    def folder(self, asked: Asked) -> TaskData:
        """The official files."""
        assert asked.data is not None
        return glue_files.load(self.official, asked.data, asked.need)

    def hub(self, asked: Asked) -> TaskData:
        """The data set on the hub."""
        return hub.load(self.official, asked.need)
