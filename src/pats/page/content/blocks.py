"""What a page is made of: tables of texts, and sections with a heading, tables and charts."""

from dataclasses import dataclass

from pats.page.content.charts import Chart


@dataclass(frozen=True)
class Grid:
    """One table of texts: a title, column heads, and rows of as many texts."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Args:
        id: Its anchor.
        title: Its heading.
        text: A sentence or two under the heading.
        grids: Tables.
        charts: Charts, after the tables that are shown.
        items: Sentences of a list, before the tables.
        shown: How many of the tables are shown; the rest is behind a fold, as the charts say the same.
    """

    id: str
    title: str
    text: str
    grids: tuple[Grid, ...] = ()
    charts: tuple[Chart, ...] = ()
    shown: int = 1000
    items: tuple[str, ...] = ()
