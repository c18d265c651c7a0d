"""What a page of a table leaves out."""

import pytest

from pats.page.content.blocks import Grid, Section
from pats.page.content.charts import Chart
from pats.page.content.worth import pruned

TELLS = Grid("tells", ("method", "score"), (("a", "1"), ("b", "2")))
EQUAL = Grid("equal", ("method", "score"), (("a", "1"), ("b", "1")))
ONE = Grid("one row", ("what", "value"), (("a", "1"),))
TEXTS = Grid("texts", ("text", "label"), (("a", "yes"), ("b", "yes")))
EMPTY = Grid("no rows", ("what", "value"), ())
POINT, POINTS = Chart("point", "", {}, 1), Chart("points", "", {}, 2)


@pytest.mark.parametrize(
    ("grids", "charts", "kept"),
    [
        ((TELLS, EQUAL), (POINT, POINTS), ("tells", "points")),
        ((ONE, EMPTY), (), ("one row",)),
        ((EQUAL,), (POINT,), None),
        ((TEXTS,), (), ("texts",)),
        ((), (), None),
        ((EQUAL,), (POINTS,), ("points",)),
    ],
)
def test_tables_of_equal_rows_and_charts_of_one_point(grids, charts, kept):
    section = pruned(Section("cost", "Cost", "words", grids, charts))
    names = section and tuple(one.title for one in (*section.grids, *section.charts))
    assert names == kept


def test_what_was_shown_stays_shown():
    section = pruned(Section("a", "A", "", (EQUAL, TELLS, ONE), shown=2))
    assert (section.grids, section.shown) == ((TELLS, ONE), 1)


def test_sections_that_stay():
    made = Section("made", "How this was made", "", (EMPTY,))
    assert pruned(made) is made
    assert pruned(None) is None
    listed = Section("next", "Next", "", items=("do",))
    assert pruned(listed) == listed
