import pytest

from pats import InputError
from pats.tasks import load
from pats.tasks.audit import notation
from pats.tasks.table import examine
from support.tables import labelled_rows, write_table

# Labels, and the code and severity of what is found in them, with a part of the message.
FOUND = {
    "a point between thousands": (["1.200", "850", "2.400", "12.000"], "thousands", "'1.200' beside '850'"),
    "a comma between thousands": (["766", "3,471", "2,408", "940"], "thousands", "write 3471 for it"),
    "several such points": (["1.200.000", "2.400.000"], "thousands", "a point"),
    "both decimals": (["3,5", "4.5", "3,0", "5.0"], "mixed-decimals", "2 labels have a comma, such as '3,5'"),
    "decimal commas": (["3,5", "4,25", "3"], "decimal-comma", "--kind multilabel"),
    "perhaps thousands": (["45,000", "52,500"], "decimal-comma", "if it stands between thousands"),
    "thousands and decimals": (["1.000,50", "12.300,25", "99,90"], "marked-numbers", "'1.000,50'"),
    "blanks between thousands": (["1\xa0234,5", "12\xa0300,25"], "marked-numbers", "3 labels"),
    "quotes between thousands": (["1'234.50", "12'300.25"], "marked-numbers", "3 labels"),
    "a currency": (["12,50 €", "13,99 €"], "marked-numbers", "3 labels"),
    "a currency in letters": (["CHF 12.50", "EUR 9"], "marked-numbers", "3 labels"),
    "decimals of three digits": (["1.200", "0.850", "2.400"], None, ""),
    "ids": (["INC100", "INC200"], None, ""),
    "whole numbers": (["850", "1200"], None, ""),
    "words": (["a,b", "c.d"], None, ""),
}


@pytest.mark.parametrize("case", FOUND)
def test_numbers_that_may_be_others_than_python_reads(case):
    labels, code, part = FOUND[case]
    labels = labels if len(labels) > 2 else [*labels, labels[0]]
    found = notation.ambiguous_numbers(labels) or notation.marked_numbers(labels)
    assert [one.code for one in found] == ([] if code is None else [code])
    if found:
        assert part in found[0].message
        assert found[0].severity == "error"


def test_marked_numbers_that_recur_are_classes_with_a_warning():
    (found,) = notation.marked_numbers(["10%", "20%", "30%"] * 5)
    assert found.severity == "warning"
    assert "each is the name of a class" in found.message


@pytest.mark.parametrize("kind", [None, "regression"])
def test_thousands_are_refused_whatever_is_said(tmp_path, kind):
    rows = labelled_rows(["1.200", "850", "2.400", "12.000"] * 10)
    with pytest.raises(InputError, match=r"thousands, such as '1\.200' beside '850'"):
        load(data=write_table(tmp_path / "a.csv", rows), kind=kind)


def test_both_decimals_are_no_labels_of_several(tmp_path):
    rows = labelled_rows(["3,5", "4,5", "4.5", "3,0", "5,0", "3.5", "4,0", "5.0"] * 20)
    with pytest.raises(InputError, match="write all numbers with a decimal point"):
        load(data=write_table(tmp_path / "a.csv", rows))


def test_the_minus_sign_is_a_minus(tmp_path):
    rows = labelled_rows([f"{'−' * (i % 2)}{i / 10}" for i in range(1, 41)])
    found = examine(write_table(tmp_path / "a.csv", rows))
    assert found.labels.values == [(-1) ** (i % 2) * i / 10 for i in range(1, 41)]
    assert "minus-sign" in [one.code for one in found.findings]
    words = examine(write_table(tmp_path / "b.csv", labelled_rows(["−", "+", "−x", "x"] * 10)))
    assert words.labels.classes == ("+", "x", "−", "−x")  # signs of nothing stay as they are
