import csv
import gzip
import random

import numpy as np
import pytest

from pats._errors import InputError
from pats.run.outcome import write_predictions
from pats.tasks import load
from support.tables import labelled_rows, write_table


def given(tmp_path, labels, suffix=".csv", **options):
    return load(data=write_table(tmp_path / f"a{suffix}", labelled_rows(labels)), **options)


def named(data):
    """The class that each text ended with."""
    return {
        text: data.labels[int(label)]
        for split in data.splits.values()
        for text, label in zip(split.text, split.label, strict=True)
    }


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["007", "7"], ("007", "7")),
        (["007", "7", "012"], ("007", "012", "7")),
        (["0", "00", "01"], ("0", "00", "01")),
        (["-01", "1"], ("-01", "1")),
        (["01.5", "1.5"], ("01.5", "1.5")),
        (["12345678901234567890", "12345678901234567891"], ("12345678901234567890", "12345678901234567891")),
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
        (["1e3", "2E3"], ("1e3", "2E3")),
        (["\uff17", "7"], ("7", "\uff17")),
        (["1_0", "10"], ("10", "1_0")),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_codes_are_text(tmp_path, labels, classes, suffix):
    data = given(tmp_path, labels * 20, suffix)
    assert data.labels == classes
    assert named(data) == {f"text {i}": label for i, label in enumerate(labels * 20)}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["007", "7"], "'007' is a code"),
        (["-01", "1"], "'-01' is a code"),
        (["9007199254740993", "9007199254740992"], "'9007199254740993' has more digits than a number keeps"),
    ],
)
def test_it_is_said_why_digits_are_names(tmp_path, labels, said):
    assert any(said in note for note in given(tmp_path, labels * 20).notes)


def test_a_text_007_and_a_number_7_of_json_are_two_classes(tmp_path):
    data = given(tmp_path, ["007", 7] * 20, ".jsonl")
    assert data.labels == ("007", "7")


def test_a_code_is_no_score(tmp_path):
    with pytest.raises(InputError, match=r"line 2 .*'007': write a number without leading zeros"):
        given(tmp_path, ["007", "1.5"] * 20, kind="regression")


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([i % 77 for i in range(231)], "classification"),  # ids from 0 without a gap, three rows each
        ([i % 150 + 1 for i in range(600)], "classification"),
        ([i % 5 + 1 for i in range(100)], "classification"),
        ([10 * (i % 9) for i in range(90)], "classification"),
        ([i % 2 for i in range(20)], "classification"),
        ([i % 101 for i in range(2020)], None),  # ids, or per cent
        ([i % 100 + 1 for i in range(2000)], None),
        ([18 + i % 60 for i in range(600)], None),  # ages, or ids
        ([7 * (i % 40) for i in range(400)], None),
        ([i % 10 for i in range(20)], "classification"),  # ids, twice each
        ([3 * (i % 10) for i in range(20)], None),
        (list(range(40)), "regression"),
        ([i * i for i in range(200)], "regression"),
        ([i % 150 for i in range(200)], "regression"),
        ([i / 2 for i in range(40)], "regression"),
        ([0.5, 1.0, 2.0] * 20, "regression"),
    ],
)
def test_whole_numbers_that_recur_are_classes(tmp_path, labels, kind):
    labels = random.Random(0).sample(labels, len(labels))
    if kind is None:
        with pytest.raises(InputError, match="--kind classification or --kind regression"):
            given(tmp_path, labels)
    elif kind == "classification" and len(labels) < 3 * len(set(labels)):
        with pytest.raises(InputError, match="too few to be in train"):  # as classes, that is
            given(tmp_path, labels)
    else:
        data = given(tmp_path, labels)
        assert data.regression is (kind == "regression")
        assert sum(f"this is {kind}" in note for note in data.notes) == 1
    assert given(tmp_path, labels, kind="regression").regression


def test_predictions_bear_the_codes(tmp_path):
    data = given(tmp_path, ["007", "7", "012"] * 20)
    outputs = np.tile(np.array([1, 0, 0], np.float32), (len(data.splits["dev"]), 1))
    write_predictions(tmp_path / "p.csv.gz", data, {"dev": outputs})
    with gzip.open(tmp_path / "p.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert {row["prediction"] for row in rows} == {"007"}
    assert {row["label"] for row in rows} == {"007", "7", "012"}
    assert set(rows[0]) >= {"p_007", "p_7", "p_012"}


@pytest.mark.parametrize(
    ("labels", "noted"),
    [([1, 2, 3, 4, 5], True), (["1", "2", "3"], True), ([0, 1], False), (["good", "bad", "poor"], False)],
)
def test_steps_of_a_scale_are_classes_and_a_note_tells_of_regression(tmp_path, labels, noted):
    data = given(tmp_path, labels * 20)
    assert data.labels == tuple(sorted(map(str, labels)))
    told = [note for note in data.notes if "steps of a scale" in note]
    assert len(told) == noted
    assert all("--kind regression learns their order" in note for note in told)
    assert all("Warning" not in note for note in told)


@pytest.mark.parametrize(("classes", "warned"), [(200, False), (201, True)])
@pytest.mark.parametrize("named", ["c{:03}", "{}"])
def test_more_classes_than_were_tried_are_taken_with_a_warning(tmp_path, classes, warned, named):
    data = given(tmp_path, [named.format(i % classes) for i in range(4 * classes)])
    assert len(data.labels) == classes
    told = [note for note in data.notes if "PATS is tried with up to 200" in note]
    assert len(told) == warned
    assert all(note.startswith(f"Warning: There are {classes} classes") for note in told)
