"""Labels that differ in one letter."""

import pytest

from pats.tasks.audit.labels import MANY
from pats.tasks.audit.slips import slips


@pytest.mark.parametrize(
    ("common", "rare", "found"),
    [
        ("positive", "postive", True),  # a letter too few
        ("positive", "possitive", True),  # a letter too many
        ("positive", "pasitive", True),  # another letter
        ("positive", "poistive", True),  # two change places
        ("very positive", "very postive", True),
        ("account_closed", "acount_closed", True),
        ("bug", "bugs", True),
        ("positive", "negative", False),
        ("positive", "psoitive!x", False),
        ("moral", "amoral", False),  # the first letter makes another word
        ("Positive", "positive", False),  # a spelling, which has a finding of its own
        ("grade a", "grade b", False),
        ("part ii", "part iii", False),
        ("class 11", "class 12", False),
        ("cat", "car", False),
        ("is", "i", False),
        ("lost card", "lost cash", False),
        ("section 30211", "section 30212", False),
        ("81150", "81151", False),
    ],
)
def test_labels_that_differ_in_one_letter(common, rare, found):
    names = [common] * 40 + [rare] * 10 + ["other"] * 20
    said = slips(names)
    assert [one.counts["pairs"] for one in said] == [1] * found
    if found:
        assert f"'{rare}' (10 rows), '{common}' (40 rows)" in said[0].message


def test_common_labels_may_differ_in_one_letter_but_not_in_an_s_alone():
    assert slips(["filter", "falter"] * 20) == []
    assert slips(["question", "questions"] * 20)
    for others, found in ((10, 1), (MANY, 0)):  # of too many, not every pair is looked at
        assert len(slips(["bug", "bugs", *(f"class {i}" for i in range(others))])) == found


def test_singular_and_plural_of_many_rows_each_are_a_note():
    assert [one.severity for one in slips(["new", "news"] * 20)] == ["note"]
    assert [one.severity for one in slips(["new"] * 20 + ["news"] * 4)] == ["warning"]
