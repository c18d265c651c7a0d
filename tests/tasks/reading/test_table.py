"""The names of a table's columns: what is left out, and two rows of names."""

import pytest

from pats import InputError
from pats.tasks.reading import open_table, stream


def lines(spilt, rows=100):
    """A table with two columns and three more without a name, into which some rows spill."""
    held = [f"a,text {i},,," if i >= spilt else f"a,text {i}, and more,," for i in range(rows)]
    return "\n".join(["v1,v2,,,", *held])


@pytest.mark.parametrize("door", [open_table, lambda path: next(stream(path))])
@pytest.mark.parametrize(
    ("spilt", "said"), [(0, None), (7, "3 columns without a name are not read, into which 7 of 100 rows")]
)
def test_columns_without_a_name_are_left_out_with_what_spills_over(tmp_path, door, spilt, said):
    (tmp_path / "a.csv").write_text(lines(spilt))
    table = door(tmp_path / "a.csv")
    assert (table.columns, len(table)) == (["v1", "v2"], 100)
    assert [said in note for note in table.notes] == ([True] if said else [])


@pytest.mark.parametrize("door", [open_table, lambda path: next(stream(path))])
def test_columns_without_a_name_that_are_filled_are_refused(tmp_path, door):
    (tmp_path / "a.csv").write_text(lines(40))
    with pytest.raises(
        InputError, match=r"3 columns without a name \(3, 4, 5\): rename or remove all but one$"
    ):
        door(tmp_path / "a.csv")


def test_two_rows_of_names_are_named(tmp_path):
    rows = ["input,input,output", "text,lang,label", *(f"text {i},en,a" for i in range(9))]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    with pytest.raises(
        InputError, match=r"2 columns named 'input' .*; or keep one row of names, if there are two"
    ):
        open_table(tmp_path / "a.csv")
