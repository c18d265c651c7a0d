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
    "titles are read": (
        lambda i: {"title": f"film {i}", "plot": f"a long story of {i} " * 3, "label": AB[i % 2]},
        "other-texts",
        "--text plot reads that one, --text title plot both",
    ),
    "a question recurs": (
        lambda i: {"question": f"what is {i % 3}", "reply": f"it may be {i}", "label": AB[i % 2]},
        "other-texts",
        "in 3 different cells, and column 'reply' holds 4 in 60",
    ),
    "a reason for each": (
        lambda i: {"sentence": f"film {i}", "explanation": f"since it is {i} " * 9, "label": AB[i % 2]},
        "other-texts",
        None,
    ),
    "texts of like length": (
        lambda i: {"text": f"it may be {i}", "title": f"it is so {i}", "label": AB[i % 2]},
        "other-texts",
        None,
    ),
    "a split of fastai": (
        lambda i: {"text": f"t {i}", "label": AB[i % 2], "is_valid": str(i % 5 == 0)},
        "splits",
        "Column 'is_valid' seems to tell",
    ),
    "usage of Kaggle": (
        lambda i: {"text": f"t {i}", "label": AB[i % 2], "Usage": ("Training", "PublicTest")[i % 5 == 0]},
        "splits",
        "Column 'Usage' seems to tell",
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


@pytest.mark.parametrize(
    ("name", "different", "given", "found"),
    [
        ("user", 12, {}, True),
        ("Conversation ID", 12, {}, True),
        ("author_id", 12, {}, True),
        ("patient", 12, {"group": "patient"}, False),
        ("user", 60, {}, False),  # every row has its own
        ("user", 3, {}, False),  # too few to divide
        ("user-id", 12, {}, True),
        ("mood", 12, {}, False),
        ("age_group", 12, {}, False),
        ("use_case", 12, {}, False),
        ("n_users", 12, {}, False),
        ("num_user", 12, {}, False),
        ("groups", 12, {}, False),
    ],
)
def test_a_column_that_rows_may_be_divided_by(tmp_path, name, different, given, found):
    rows = [{"text": f"t {i}", "label": AB[i % 2], name: f"u{i % different}"} for i in range(60)]
    messages = [
        one.message
        for one in examine(write_table(tmp_path / "a.csv", rows), **given).findings
        if one.code == "may-group"
    ]
    assert len(messages) == found
    assert all(f"{name!r} has 12 different cells" in one for one in messages)


def test_texts_that_recur_are_no_groups(tmp_path):
    rows = [{"text": f"t {i}", "label": AB[i % 2], "subject": f"Re: your mail of {i % 9}"} for i in range(60)]
    assert "may-group" not in [one.code for one in examine(write_table(tmp_path / "a.csv", rows)).findings]


def test_a_table_that_is_divided_already_is_not_to_be_divided_by_a_column(tmp_path):
    rows = [{"text": f"t {i}", "label": AB[i % 2], "user": f"u{i % 9}", "split": "train"} for i in range(60)]
    assert "may-group" not in [one.code for one in examine(write_table(tmp_path / "a.csv", rows)).findings]


def test_a_text_that_is_named_may_be_ids(tmp_path):
    path = write_table(tmp_path / "a.csv", [ids(i) | {"label": AB[i % 2]} for i in range(60)])
    assert "one-word-texts" not in [one.code for one in examine(path, text="message").findings]
