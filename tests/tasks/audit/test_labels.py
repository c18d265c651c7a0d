import pytest

from pats._errors import InputError
from pats.tasks import load
from pats.tasks.audit import labels
from pats.tasks.audit.finding import Row
from pats.tasks.table import examine
from support.tables import labelled_rows, write_table


@pytest.mark.parametrize(
    ("classes", "apart"),
    [
        (["True", "False", "1"], 3),
        (["yes", "No", "true"], 3),
        (["TRUE", "FALSE", "WAHR", "FALSCH"], 4),
        (["oui", "non"], None),
        (["ar", "de", "ja", "no", "si"], None),  # languages
        (["0", "1", "False", "TRUE"], 4),
        (["True", "False"], None),
        (["0", "1"], None),
        (["yes", "true"], None),
        (["0", "1", "2"], None),
        (["True", "true", "False"], None),  # a spelling, which has a finding of its own
    ],
)
def test_true_and_false_in_several_ways(classes, apart):
    found = labels.mixed_truth(classes)
    assert [one.counts["classes"] for one in found] == ([] if apart is None else [apart])


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (["01-May", "02-May"], True),
        (["May-01", "Jun-02"], True),
        (["2024-05-01 00:00:00", "2024-05-02 00:00:00"], True),
        (["1/5/2024", "2/5/24"], True),
        (["1.5.2024", "2.5.2024"], True),
        (["02-Jan", "05-Mar", "10+"], True),
        (["01-May", "good"], True),
        (["2024-05-01", "good"], False),
        (["2024-05-01", "2024-01-05", "6-10", "11 - 15", "16+"], True),
        (["10.1.12", "10.2.10"], False),  # versions
        (["1/5", "2/5"], False),
        (["01-May"], False),
        (["may 1a", "jun 2b"], False),
    ],
)
def test_labels_that_a_spreadsheet_made_dates_of(classes, found):
    assert [one.code for one in labels.dates(classes)] == ["date-labels"] * found


@pytest.mark.parametrize(
    ("word", "named", "dropped"),
    [
        ("NULL", True, True),
        ("n/a", True, True),
        ("None", True, False),
        ("na", True, False),
        ("nil?", False, False),
    ],
)
def test_labels_that_read_as_missing(tmp_path, word, named, dropped):
    path = write_table(tmp_path / "a.csv", labelled_rows(["a", "b", word] * 20))
    data = load(data=path)
    assert len(data.labels) == 3
    assert any("perhaps a missing label" in note for note in data.notes) is named
    assert len(load(data=path, drop_unlabelled=True).labels) == 3 - dropped


def test_nan_is_a_lost_value_wherever_it_stands(tmp_path):
    path = write_table(tmp_path / "a.csv", labelled_rows([*["1", "0"] * 20, "nan", ""]))
    with pytest.raises(InputError, match=r"line 42 .* 'nan'"):
        load(data=path)
    data = load(data=path, drop_unlabelled=True)
    assert data.labels == ("0", "1")
    assert "Warning: 2 rows have no label, and are left out." in data.notes


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ({"ham": 98, "spam": 2}, "98 %"),
        ({"a": 80, "b": 20}, "80 %"),
        ({"a": 79, "b": 21}, None),
        ({"a": 9}, None),
    ],
)
def test_a_class_that_has_most_rows(rows, share):
    found = labels.uneven([name for name, count in rows.items() for _ in range(count)])
    assert [share in one.message for one in found] == ([] if share is None else [True])


@pytest.mark.parametrize("cells", [["3,5", "4", "2,25"], ["0,1", "0,2", "0,35"]])
def test_decimal_commas_are_a_question(tmp_path, cells):
    path = write_table(
        tmp_path / "a.tsv", labelled_rows([f"{cell}{i % 9}" for i, cell in enumerate(cells * 20)])
    )
    with pytest.raises(InputError, match=r"--kind regression"):
        load(data=path)
    data = load(data=path, kind="regression")
    assert data.regression
    assert max(score for split in data.splits.values() for score in split.label) < 50
    assert any("decimal commas" in note for note in data.notes)


def test_codes_that_differ_in_leading_zeros_stay_and_are_named(tmp_path):
    data = load(data=write_table(tmp_path / "a.csv", labelled_rows(["007", "7", "0012", "abc"] * 20)))
    assert data.labels == ("0012", "007", "7", "abc")
    assert any("'007' (20 rows), '7' (20 rows) stay 2 classes" in note for note in data.notes)


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (["Agree, strongly", "Agree, somewhat", "Disagree, strongly", "Disagree, somewhat", "Neutral"], True),
        (["a, b", "b, c", "c, a", "b"], False),  # a part has two places
        (["a, b", "a", "b", "c, d", "c, b"], False),  # parts are alone, too
    ],
)
def test_names_with_a_comma_are_asked_about(tmp_path, names, asked):
    found = examine(write_table(tmp_path / "a.csv", labelled_rows(names * 15)))
    errors = [one.message for one in found.findings if one.severity == "error"]
    assert ["parts with ','" in one for one in errors] == [True] * asked
    assert found.labels.kind == ("classification" if asked else "multilabel")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("4/5", "4 / 5", True),
        ("50%", "50 %", True),
        ("A 1", "A_1", True),
        ("A-1", "a 1", True),
        ("e-mail", "Email", True),
        ("not_spam", "notspam", True),
        ("R&amp;D", "R & D", True),
        ("café", "cafe", True),
        ("\u0625\u064a\u062c\u0627\u0628\u064a", "\u0627\u064a\u062c\u0627\u0628\u064a", True),
        ("\U0001f44d", "\U0001f44d\U0001f3fd", True),
        ("\u0130stanbul", "Istanbul", True),
        ("1-2", "12", False),
        ("grade -1", "grade 1", False),
        ("\u304b", "\u304c", False),  # other letters in Japanese, and the next ones in Russian
        ("\u043c\u043e\u0439", "\u043c\u043e\u0438", False),
        ("a", "b", False),
    ],
)
def test_labels_that_a_reader_takes_for_the_same(one, other, same):
    assert (labels.alike(one) == labels.alike(other)) is same


def test_digits_of_another_script_look_alike():
    rows = [Row(("t",), cell, cell, "line 2", None) for cell in ("3", "٣", "4")]
    (found,) = labels.spellings(rows, [row.label for row in rows])
    assert found.counts == {"groups": 1, "apart": 1}


@pytest.mark.parametrize(
    ("classes", "missing"),
    [(["+", "-", "0"], []), (["a", "-"], ["'-'"]), (["a", r"\N"], [r"'\\N'"]), (["a", "TODO"], ["'TODO'"])],
)
def test_signs_are_no_missing_labels(classes, missing):
    found = labels.missing_words(classes)
    assert [part in found[0].message for part in missing] == [True] * len(found)
