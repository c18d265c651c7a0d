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
