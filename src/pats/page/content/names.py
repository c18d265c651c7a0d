"""What sentences and tables call a table, its metric, and a model that gives one answer alone."""

from collections.abc import Sequence

from pats.page.content.words import METRICS, listed, name_of
from pats.page.numbers.tables import Group
from pats.tasks import multilabel

MOST_NAMED = 5  # classes, and tables, that a sentence names before it counts the rest


def metric_name(group: Group) -> str:
    """The name of a table's metric; empty while no run has a score."""
    return next((line.cell.metric for line in group.lines if line.cell.metric), "")


def metric_of(group: Group) -> str:
    """The name of a table's metric in words."""
    name = metric_name(group)
    return METRICS.get(name, name) if name else "score"


def always(group: Group) -> str:
    """What is answered by a model that gives one answer alone."""
    results = [result for line in group.lines for result in line.cell.results.values()]
    if any(result.run.kind == multilabel.KIND for result in results):
        return "the most frequent labels"
    labels = any(result.labels for result in results)
    return "the mean or median" if group.majority is not None and not labels else "the most frequent class"


def tables_named(groups: Sequence[Group]) -> str:
    """Some tables by task, and by model where there are several."""
    models = {group.model for group in groups}
    names = [
        group.task if len(models) == 1 else f"{group.task} with {name_of(group.model)}" for group in groups
    ]
    return shortened(names, "table")


def shortened(names: Sequence[str], noun: str) -> str:
    """The names, of which the last are counted where there are many."""
    more = len(names) - MOST_NAMED
    if more < 2:
        return listed(list(names))
    return listed([*names[:MOST_NAMED], f"{more} more {noun}{'es' if noun.endswith('s') else 's'}"])
