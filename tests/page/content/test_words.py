import pytest

from pats.page.content.words import duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (11_100, "3 h 05 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text
