"""Texts that give their label away."""

import pytest

from pats.tasks.audit.finding import Row
from pats.tasks.audit.leaks import named_labels


def found(texts, classes):
    pairs = zip(texts, classes, strict=True)
    rows = [Row((text,), name, name, f"line {i}", None) for i, (text, name) in enumerate(pairs, 2)]
    return [one.counts["rows"] for one in named_labels(rows, classes)]


AB = ["Positive", "negative"] * 30


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("[{}] it was so", 60),
        ("it was so __{}__", 60),
        ("it was so", None),
        ("positive, and negative, too: {}", None),  # both are in every text
        ("it was {}ly so", None),  # another word
    ],
)
def test_the_name_of_the_label_in_the_text(form, told):
    assert found([form.format(name.upper()) for name in AB], AB) == ([] if told is None else [told])


def test_a_tenth_may_lack_it_and_no_more():
    assert found([name if i >= 6 else "x" for i, name in enumerate(AB)], AB) == [54]
    assert found([name if i >= 7 else "x" for i, name in enumerate(AB)], AB) == []


@pytest.mark.parametrize("classes", [["0", "1"], ["a", "b"], ["good"]])
def test_numbers_letters_and_a_single_class_tell_nothing(classes):
    names = classes * 20
    assert found([f"it is {name}" for name in names], names) == []


def test_a_label_within_another_one_is_not_named_by_it():
    names = ["toxic", "not toxic"] * 20
    assert found([f"{name}: you are so" for name in names], names) == [40]


def test_scripts_without_blanks_are_searched_as_they_are():
    names = ["良い", "悪い"] * 20
    assert found([f"これは{name}映画です" for name in names], names) == [40]
    assert found(["これは映画です" for _ in names], names) == []


def test_labels_of_several_words_are_found_whole():
    names = ["card lost", "card_stopped"] * 20
    assert found([f"{name}: what now?" for name in names], names) == [40]
    assert found([f"card, not lost: {name[:4]}" for name in names], names) == []


def test_many_rows_are_looked_at_in_part():
    names = ["spam", "ham"] * 5000
    assert found([f"{name} it is" for name in names], names) == [2000]
