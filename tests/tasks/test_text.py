import pytest

from pats.tasks._text import key, shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The film", "the FILM"),
        ("the film", " the \t film\n"),
        ("the film", "the\u00a0film"),
        ("caf\u00e9", "cafe\u0301"),
        ("CAFE\u0301", "café"),
        ("film", "fi\u00adlm"),
        ("film", "\ufefffilm\u200b"),
        ("film", "\uff26ilm"),
        ("of\ufb01ce", "office"),
        ("stra\u00dfe", "STRASSE"),
        ("\u2764\ufe0f", "\u2764"),
        ("a\u3164b", "ab"),
        ("a\u0000b", "ab"),
    ],
)
def test_what_looks_alike_has_one_key(one, other):
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("film 1", "film 2"),
        ("film 1", "film"),
        ("a b", "ab"),
        ("good.", "good"),
        ("café", "cafe"),
        ("😀", "😡"),
        ("+1", "-1"),
    ],
)
def test_what_differs_has_two_keys(one, other):
    assert key(one) != key(other)


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufeff\u00ad \u3000"])
def test_what_cannot_be_seen_has_the_empty_key(text):
    assert key(text) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("neg ", "'neg '"),
        ("neg\t", r"'neg\t'"),
        ("caf\u00e9", "'café'"),
        ("cafe\u0301", r"'cafe\u0301'"),
        ("a\u200bb\u00a0c", r"'a\u200bb\xa0c'"),
        ("back\\slash", r"'back\\slash'"),
        ("\u202eabc", r"'\u202eabc'"),
        ("a" * 61, f"'{'a' * 59}…'"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text, told):
    assert shown(text) == told
