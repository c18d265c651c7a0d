import pytest

from pats.tasks.table import examine
from support.tables import write_table

AB = ["a", "b"]


def ids(i):
    return {"message": f"m{i}", "utterance": f"a text of number {i}"}


def marks(i):
    return {"text": f"t {i}", "joy": i % 2, "fear": ("", 0, 1)[i % 3]}


def splits(i):
    return {"text": f"t {i}", "label": AB[i % 2], "tvt": ("train", "test", "")[i % 3]}


# What a row is, the code of a finding, and a part of its message; None where nothing is found.
CASES = {
    "ids are read": (lambda i: ids(i) | {"label": AB[i % 2]}, "one-word-texts", "--text utterance reads"),
    "words beside words": (
        lambda i: {"message": f"m{i}", "id": i, "label": AB[i % 2]},
        "one-word-texts",
        None,
    ),
    "a script without blanks": (
        lambda i: ids(i) | {"message": f"很好{i}", "label": AB[i % 2]},
        "one-word-texts",
        None,
    ),
    "blanks beside 0": (marks, "blank-marks", "Column 'fear' has 20 blank cells beside 0 and 1: they count"),
    "blanks beside 1 alone": (lambda i: marks(i) | {"fear": ("", 1)[i % 2]}, "blank-marks", None),
    "splits of another name": (splits, "splits", "Column 'tvt' seems to tell which rows are for test"),
    "no splits": (lambda i: splits(i) | {"tvt": ("train", "plane", "bus")[i % 3]}, "splits", None),
}


@pytest.mark.parametrize("case", CASES)
def test_columns_that_may_mislead(tmp_path, case):
    row, code, part = CASES[case]
    found = examine(write_table(tmp_path / "a.csv", [row(i) for i in range(60)])).findings
    messages = [one.message for one in found if one.code == code and one.severity == "warning"]
    assert [part in message for message in messages] == ([] if part is None else [True])


def test_a_text_that_is_named_may_be_ids(tmp_path):
    path = write_table(tmp_path / "a.csv", [ids(i) | {"label": AB[i % 2]} for i in range(60)])
    assert "one-word-texts" not in [one.code for one in examine(path, text="message").findings]
