import pytest

from pats.tasks.audit import texts
from pats.tasks.audit.finding import Row


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        ("schÃ¶n", True),
        ("theyâ€™re", True),
        ("sch\ufffdn", True),
        ("schön", False),
        ("São Paulo, Übermaß, naïve café", False),
        ("это хорошо", False),
        ("“quoted” — dash…", False),
    ],
)
def test_damaged_characters_are_found(text, damaged):
    found = texts.damaged([Row((f"it was {text}",), "a", "a", "line 2", None)])
    assert [one.code for one in found] == ["damaged-texts"] * damaged


def rows_of(*written):
    return [Row((text,), "a", "a", f"line {i}", None) for i, text in enumerate(written, 2)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"one\nTwo", 10),
        (r"one\ntwo", 10),
        (r"one\n\n", 10),
        (r"caf\u00e9", 10),
        (r"caf\xe9", 10),
        (r"in C:\new\things", 0),
        (r"\\server\x12", 0),
        (r"\frac{a}{b}\nI", 0),
        (r"\textbf{so}", 0),
        ("one\ntwo", 0),
        (r"a \user", 0),
    ],
)
def test_escapes_are_found_that_nobody_undid(text, found):
    findings = texts.escapes(rows_of(*[text] * 10, *["plain"] * 90))
    assert [one.counts["rows"] for one in findings] == [found] * bool(found)


def test_a_few_escapes_are_not_worth_a_word():
    assert texts.escapes(rows_of(r"one\n", *["plain"] * 90)) == []
    assert texts.escapes([]) == []


def long(length, i, blank=" "):
    return f"{i}{blank}".ljust(length, "x")


MIXED = [long(length, length) for length in range(60, 150)]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ([*MIXED, *(long(255, i) for i in range(10))], 10),
        ([long(255, i) for i in range(50)], 50),
        ([*MIXED, *(long(255, i) for i in range(4))], None),  # may be chance
        ([*MIXED, long(256, 0), *(long(255, i) for i in range(10))], None),  # a longer one
        ([*MIXED, *[long(255, 0)] * 10], None),  # one text, again and again
        ([long(200, i, "") for i in range(50)], None),  # codes without words
        ([long(60, i) for i in range(50)], None),  # shorter than any limit
    ],
)
def test_texts_that_a_limit_cut(written, found):
    assert [one.counts["rows"] for one in texts.cut(rows_of(*written))] == ([] if found is None else [found])
    assert texts.cut([]) == []
