from dataclasses import replace

from pats.page.formats.markdown import markdown
from support.made_results import BETTER, PLAIN, make_cell, summarised


def test_markdown_is_one_table_a_grid():
    text = markdown(summarised([make_cell("vanilla", PLAIN), make_cell("a|b", BETTER, method="pats")]))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {10}
    assert len(lines) == 4


def test_same_results_print_the_same_page():
    cells = [make_cell("vanilla", PLAIN), make_cell("pats", BETTER)]
    assert markdown(summarised(cells)) == markdown(summarised([replace(one) for one in cells]))
