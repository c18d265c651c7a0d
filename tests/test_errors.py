import pytest

from pats._errors import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("colla", ("cola", "rte"), "cola"),
        ("Methds", ("models", "methods"), "methods"),
        ("text", ("Text", "label"), "Text"),
        ("fly", ("run", "compare", "check"), None),
        ("", ("run",), None),
        ("x", (), None),
    ],
)
def test_did_you_mean(name, known, meant):
    assert did_you_mean(name, known) == (f" (did you mean {meant!r}?)" if meant else "")
