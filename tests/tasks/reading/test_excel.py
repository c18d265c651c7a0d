from datetime import date

import pytest

from pats._errors import InputError
from pats.tasks.reading import open_table
from support.workbooks import write_workbook


def test_cells_of_a_sheet_are_texts_and_plain_numbers(tmp_path):
    rows = [
        ["text", "label", "when", "share", "ok", "code"],
        ["one", 1, date(2024, 2, 29), 0.5, True, "007"],
        [],
        ["two <&>", 2, None, 3.0, False, " padded "],
        [None, None],
    ]
    table = open_table(write_workbook(tmp_path / "a.xlsx", {"s": rows})).without_blank_rows()
    assert list(table.rows()) == [
        {"text": "one", "label": 1, "when": "2024-02-29", "share": 0.5, "ok": True, "code": "007"},
        {"text": "two <&>", "label": 2, "when": None, "share": 3, "ok": False, "code": " padded "},
    ]
    assert table.line(1) == f"row 4 of {tmp_path / 'a.xlsx'}"
    assert table.texts("label") == ["1", "2"]


SHEETS = {"empty": [], "remark": [["read me"]], "first": [["text"], ["a"]], "second": [["text"], ["b"]]}


@pytest.mark.parametrize(("sheet", "text"), [(None, "a"), ("first", "a"), ("second", "b")])
def test_a_sheet_is_chosen_and_said(tmp_path, sheet, text):
    table = open_table(write_workbook(tmp_path / "a.xlsx", SHEETS), sheet=sheet)
    assert table.cells["text"] == [text]
    assert bool(table.notes) is (sheet is None)
    assert sheet or "'first' is read, and not 'second'" in table.notes[0]


@pytest.mark.parametrize(
    ("hidden", "text", "said"),
    [
        (("first",), "b", "Hidden sheets are not read: 'first'; --sheet names one."),
        (("second",), "a", "Hidden sheets are not read: 'second'; --sheet names one."),
        (("empty", "remark", "first", "second"), "a", "Warning: The sheet 'first' is read, and not 'second'"),
    ],
)
def test_hidden_sheets_are_read_only_where_all_are(tmp_path, hidden, text, said):
    path = write_workbook(tmp_path / "a.xlsx", SHEETS, hidden=hidden)
    table = open_table(path)
    assert table.cells["text"] == [text]
    assert any(note.startswith(said) for note in table.notes)
    assert open_table(path, sheet=hidden[-1]).cells["text"] == [{"first": "a", "second": "b"}[hidden[-1]]]


def test_a_sheet_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no sheet 'third': its sheets are empty, remark, first, second"):
        open_table(write_workbook(tmp_path / "a.xlsx", SHEETS), sheet="third")


def test_a_table_below_blank_rows_has_the_rows_of_the_sheet(tmp_path):
    table = open_table(write_workbook(tmp_path / "a.xlsx", {"s": [[], [], ["text", "label"], ["a", "x"]]}))
    assert (table.columns, table.places[0]) == (["text", "label"], 4)


def test_titles_above_the_header_are_skipped_and_said(tmp_path):
    rows = [["A survey"], ["of 2024"], [], ["text", "label"], ["a", "x"]]
    table = open_table(write_workbook(tmp_path / "a.xlsx", {"s": rows}))
    assert (table.columns, list(table.places)) == (["text", "label"], [5])
    assert table.notes == ["The names of the columns are in row 4: what is above is a title."]


def test_numbers_that_a_workbook_rounds_are_told(tmp_path):
    ids = [1234567890123456789, 9999999990123456789]
    path = write_workbook(tmp_path / "a.xlsx", {"s": [["id", "text"], *([one, "t"] for one in ids)]})
    table = open_table(path)
    (note,) = table.notes
    assert "Column 'id' holds numbers of more than 15 digits" in note
    assert [f"{float(cell):.6g}" for cell in table.column("id")] == ["1.23457e+18", "1e+19"]
    for name, ids, notes in (
        ("b", [123456789012345, 1234567890123456, 1700000000000001], 0),
        ("c", [1234567890123450, 1234567890123460], 1),  # as Excel keeps ...456 and ...461
    ):
        path = write_workbook(
            tmp_path / f"{name}.xlsx", {"s": [["id", "text"], *([one, "t"] for one in ids)]}
        )
        table = open_table(path)
        assert (len(table.notes), table.column("id")) == (notes, ids)
