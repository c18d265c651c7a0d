"""Tables of numbers in the README and the docs: each names its result file, and most are made from it."""

import re

import pytest

from benchmarks import docs, record

PAGES = [docs.README, *sorted(docs.DOCS.glob("*.md"))]
MARK = re.compile(r"<!-- results: ([\w. ]+) -->")
NUMBER = re.compile(r"[-+]?[\d.,]*\d( %)?( [±(\[].*)?")


@pytest.mark.parametrize("page", docs.BLOCKS, ids=lambda page: page.name)
def test_tables_are_made_from_the_results(page):
    """``python -m benchmarks.docs`` makes them."""
    assert docs.written(page) == page.read_text("utf-8")


PAGE = "<!-- a -->\nold\n<!-- end -->\nbetween\n<!-- a -->\nold\n<!-- end -->\n"


@pytest.mark.parametrize("count", [1, 3])
def test_blocks_are_replaced_in_their_order(count):
    made = docs.replaced(PAGE, "a", ["one", "two \\1"], docs.README)
    assert made == "<!-- a -->\none\n<!-- end -->\nbetween\n<!-- a -->\ntwo \\1\n<!-- end -->\n"
    with pytest.raises(SystemExit, match=f"^README.md has 2 blocks marked a, but must have {count}$"):
        docs.replaced(PAGE, "a", ["new"] * count, docs.README)


def sections(page):
    """Text from heading to heading, code left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.split(r"^#+ ", text, flags=re.MULTILINE)


def measured(section):
    """Whether it has a table with cells that are numbers."""
    lines = (line for line in section.splitlines() if line.startswith("|"))
    return any(NUMBER.fullmatch(cell.strip()) for line in lines for cell in line.split("|"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_table_of_numbers_names_its_results(page):
    for section in sections(page):
        assert not measured(section) or MARK.search(section), section.splitlines()[0]
    for names in MARK.findall(page.read_text("utf-8")):
        for name in names.split():
            assert (record.RESULTS / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_results_lead_to_a_file(page):
    for name in re.findall(r"benchmarks/results/([\w.]+)\)", page.read_text("utf-8")):
        assert (record.RESULTS / name).exists(), name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("| a | 0.5 |", True),
        ("| a | -1.4 [-7.2, +4.6] |", True),
        ("| 83.0 ± 1.2 | b |", True),
        ("| 4.7 % |", True),
        ("| `0.5` | a number above 0 | the paper: 1, 3, 5 |", False),
        ("| two | |", False),
        ("1.5", False),
    ],
)
def test_what_a_table_of_numbers_is(line, expected):
    assert measured(line) is expected
