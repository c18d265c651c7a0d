"""fastText's format, beyond the rows that every format has (``test_reading.py``)."""

import pytest

from pats._errors import InputError
from pats.tasks.reading import open_table, stream


def written(folder, text):
    path = folder / "a.txt"
    path.write_text(text)
    return path


def test_labels_are_found_anywhere_and_a_line_may_have_several_or_none(tmp_path):
    path = written(tmp_path, "__label__a __label__b one  two\n\nthree __label__c\nfour __label\n")
    table = open_table(path)
    assert table.cells == {"text": ["one  two", "three", "four __label"], "label": [["a", "b"], ["c"], []]}
    assert [table.line(row) for row in range(3)] == [f"line {n} of {path}" for n in (1, 3, 4)]
    (batch,) = stream(path)
    assert batch.cells == {"text": table.cells["text"], "label": ["a b", "c", ""]}


def test_the_first_line_may_lack_a_label(tmp_path):
    path = written(tmp_path, "a first, text\n" + "__label__a one\n" * 9)
    assert open_table(path).cells["label"] == [None, *"a" * 9]


def test_a_line_without_a_label_has_none(tmp_path):
    path = written(tmp_path, "__label__a one\ntwo\n")
    assert open_table(path).cells["label"] == ["a", None]


@pytest.mark.parametrize(
    "text", ["__label__a,text\nx,y\n", "text\t__label__\n__label__a b\tc\n", "__label__\nx\n"]
)
def test_what_only_looks_so_is_another_table(tmp_path, text):
    assert open_table(written(tmp_path, text)).columns != ["text", "label"]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"__label__a one\n" * 9000 + b"__label__b \xff\xfe\xc3 two\n")
    with pytest.raises(InputError, match="line 9001"):
        list(stream(path))
