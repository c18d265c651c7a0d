"""What a page of a table leaves out because it says nothing."""

from dataclasses import replace

from pats.page.content.blocks import Grid, Section

EXAMPLES = ("row", "text")  # heads of a first column that shows rows of the data
ALWAYS = ("made",)  # sections that are always shown, whatever is in them


def pruned(section: Section | None) -> Section | None:
    """A section without charts of one point and without tables of equal rows; None where nothing is left."""
    if section is None or section.id in ALWAYS:
        return section
    grids = tuple(grid for grid in section.grids if not _equal(grid))
    charts = tuple(chart for chart in section.charts if chart.points > 1)
    if not grids and not charts and not section.items:
        return None
    before = sum(not _equal(grid) for grid in section.grids[: section.shown])
    return replace(section, grids=grids, charts=charts, shown=before if grids else section.shown)


def _equal(grid: Grid) -> bool:
    """Whether a table has no rows, or several that differ in their name alone; examples are no names."""
    if not grid.rows or grid.heads[0] in EXAMPLES:
        return not grid.rows
    return len(grid.rows) > 1 and len({row[1:] for row in grid.rows}) == 1
