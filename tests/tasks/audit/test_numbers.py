import random

import pytest

from pats import InputError
from pats.tasks import Asked, load
from pats.tasks.inspect import inspect
from support.tables import labelled_rows, write_table

DRAW = random.Random(0)
SCORES = [f"{DRAW.uniform(0, 10):.2f}" for _ in range(60)]
TAIL = [f"{DRAW.lognormvariate(0, 1.5):.2f}" for _ in range(200)]

SECTIONS = ["1.1", "1.2", "1.10", "2.1", "2.10"] * 12
STRANGE = [*SCORES[:57], "missing", "n.a.", "-"]
# Labels, the kind that settles the question, and the classes that it makes.
ASKED = {
    "sections": (SECTIONS, "classification", 5),
    "diseases": (["401.9", "428.0", "250.0"] * 20, "classification", 3),
    "versions": (["3.8", "3.9", "3.10", "3.11"] * 15, "classification", 4),
    "versions and a whole one": (["4.9", "4.10", "4.11", "5.0"] * 15, "classification", 4),
    "codes with an e": ([f"{i % 99}E{i % 9}" for i in range(1, 61)], "regression", 0),
    "few, far apart": (["1.1", "1.2", "2.1", "2.2"] * 15, "classification", 4),
    "names with a comma": (["Lee, Ann", "Lee, Bo", "Kay, Ann", "Kay, Bo"] * 15, "classification", 4),
    "row numbers": ([str(i) for i in range(60)], "regression", 0),
    "tickets, the newest first": ([str(90_000 - 17 * i) for i in range(60)], "regression", 0),
    "times": ([str(1_700_000_000 + 610_000 * i) for i in range(60)], "regression", 0),
    "a word among whole numbers": ([*map(str, range(0, 171, 3)), "missing", "?"], None, 0),
    "words among scores": (STRANGE, None, 0),
    "a dash among decimal commas": ([one.replace(".", ",") for one in SCORES[:57]] + ["-"] * 3, None, 0),
}
TAKEN = {
    "half stars": (["1.0", "1.5", "2.0", "2.5", "3.0"] * 12, "regression"),
    "means of three raters": (["1.33", "1.67", "2", "2.33", "2.67", "3"] * 10, "regression"),
    "scores": (SCORES, "regression"),
    "scores of many raters": ([*SCORES, *SCORES, "3", "3.00", "1.50", "1.5"], "regression"),
    "scores in order": (sorted(SCORES, key=float), "regression"),
    "whole numbers in no order": (DRAW.sample([str(i) for i in range(60)], 60), "regression"),
    "stars and a word": (["1", "2", "3", "other"] * 15, "classification"),
    "negative, neutral, positive": (["-1", "0", "1"] * 20, "classification"),
    "shares of raters": (["0", "0.17", "0.2", "0.33", "0.5"] * 12, "regression"),
    "sums with noise": (["1.2", "1.2000000000000002", "2.4", "3.6"] * 15, "regression"),
    "acidities": (["6.5", "7.25", "7.4", "8.1"] * 15, "regression"),
    "sizes of a shoe": (["36.5", "37.0", "37.5", "40.0"] * 15, "regression"),
    "scores of two lengths": (["3.7", "3.50", "4.25", "2.20"] * 15, "regression"),
    "prices": (["3.50", "4.10", "4.99", "5.00"] * 15, "regression"),
    "scores in two spellings": (["1.5", "1.50", "2.0", "3.7"] * 15, "regression"),
    "sizes and a letter": (["7", "7.5", "8", "8.5", "M"] * 12, "classification"),
    "likes with a burst": (DRAW.sample([*map(str, range(40)), "500", "500", "90000"], 43), "regression"),
    "codes": (["007", "12", "13"] * 20, "classification"),
    "labels with a comma": (["a", "b", "a, b"] * 20, "multilabel"),
    "a long tail": (TAIL, "regression"),
}


@pytest.mark.parametrize("name", ASKED)
def test_numbers_that_may_be_something_else_are_asked_about(tmp_path, name):
    labels, kind, classes = ASKED[name]
    path = write_table(tmp_path / "a.csv", labelled_rows(labels))
    with pytest.raises(InputError, match=r"--kind"):
        load(data=path)
    assert not inspect(Asked(path)).usable
    if kind is None:  # there is no number to learn in some rows
        with pytest.raises(InputError, match="write a number"):
            load(data=path, kind="regression")
    else:
        assert len(load(data=path, kind=kind).labels) == classes
    if name == "row numbers":  # a column that somebody names is the label
        assert load(data=path, label="label").regression


@pytest.mark.parametrize("name", TAKEN)
def test_numbers_that_are_plain_are_not_asked_about(tmp_path, name):
    labels, kind = TAKEN[name]
    found = inspect(Asked(write_table(tmp_path / "a.csv", labelled_rows(labels))))
    assert found.usable
    assert found.kind == kind
    assert not {one.code for one in found.findings} & {"far-scores", "missing-marks"}


def test_names_with_a_point_stay_as_they_are_written(tmp_path):
    path = write_table(tmp_path / "a.csv", labelled_rows(SECTIONS))
    assert load(data=path, kind="classification").labels == ("1.1", "1.10", "1.2", "2.1", "2.10")
    path = write_table(tmp_path / "b.csv", labelled_rows(["10", "9", "9.0"] * 20))
    assert load(data=path).labels == ("9", "10")


@pytest.mark.parametrize(
    ("labels", "code", "part"),
    [
        ([*SCORES, *["-99"] * 3], "far-scores", "has the score '-99', far from the others"),
        ([*SCORES, "1e12"], "far-scores", "'1e12'"),
        (["0", "1", "2", "-1"] * 15, "missing-marks", "'-1' (15 rows)"),
        (["1", "2", "3", "99"] * 15, "missing-marks", "'99' (15 rows)"),
    ],
)
def test_marks_for_no_answer_are_warned_of(tmp_path, labels, code, part):
    found = inspect(Asked(write_table(tmp_path / "a.csv", labelled_rows(labels))))
    (one,) = [one for one in found.findings if one.code == code]
    assert one.severity == "warning"
    assert part in one.message


@pytest.mark.parametrize(
    ("labels", "code", "severity", "part"),
    [
        (
            [*"12345" * 20, "3.1"],
            "stray-fractions",
            "error",
            "100 of 101 labels are whole numbers that recur",
        ),
        ([*SCORES, "570.2"], "far-scores", "warning", "Remove the row if it is a total"),
        (["0"] * 95 + ["1.5", "2.5", "3.25", "1.75", "2"], "uneven", "warning", "95 % of the rows have the"),
        ([*"12345" * 20, *["3.5"] * 20], "stray-fractions", None, ""),  # halves are no slips
        (["0"] * 40 + SCORES, "uneven", None, ""),
        ([f"{10**9 + i % 11}.5" for i in range(60)], "offset-scores", "error", "subtract 1000000000"),
        ([f"{10**9 * (i % 11)}.5" for i in range(60)], "offset-scores", None, ""),
    ],
)
def test_slips_among_scores(tmp_path, labels, code, severity, part):
    found = inspect(Asked(write_table(tmp_path / "a.csv", labelled_rows(labels))))
    assert [(one.severity, part in one.message) for one in found.findings if one.code == code] == (
        [] if severity is None else [(severity, True)]
    )
