import pytest

from pats._errors import InputError
from pats.tasks.reading import open_table, stream

HEAD = {",": "text,label\n", "\t": "text\tlabel\n"}
MORE = {separator: "".join(f"text {i}{separator}x\n" for i in range(20)) for separator in HEAD}

# Separator, lines, the cells that they are (texts), and a word of the note.
QUOTES = {
    "doubled": (",", '"she said ""hi"", so",x\n', ['she said "hi", so'], None),
    "backslash": (",", r'"she said \"hi\", so",x' + "\n", ['she said "hi", so'], "backslash"),
    "a backslash that is none": (",", "c:\\temp\\new,x\n", ["c:\\temp\\new"], None),
    "embedded line end": (",", '"two\nlines",x\n', ["two\nlines"], None),
    "embedded windows line end": (",", '"two\r\nlines",x\n', ["two\r\nlines"], None),
    "within a cell": (",", 'a 5" disk,x\n', ['a 5" disk'], None),
    "plain in a tsv": ("\t", '"Never, she said\tx\n', ['"Never, she said'], "plain characters"),
    "plain twice in a tsv": (
        "\t",
        '"open\tx\nother\tx\nclosed"\tx\n',
        ['"open', "other", 'closed"'],
        "plain",
    ),
    "plain before more": ("\t", '"Never" she said\tx\n', ['"Never" she said'], "plain characters"),
    "around a cell of a tsv": ("\t", '"a\tb"\tx\n', ["a\tb"], None),
    "spaced": (",", 'plain, "x"\n"a, b", "x"\n', ["plain", "a, b"], "Blanks"),
}


def written(tmp_path, separator, lines):
    path = tmp_path / ("a.csv" if separator == "," else "a.tsv")
    path.write_bytes((HEAD[separator] + MORE[separator] + lines).encode())
    return path


@pytest.mark.parametrize("kind", QUOTES)
def test_quotes_are_what_the_file_makes_of_them(tmp_path, kind):
    separator, lines, texts, said = QUOTES[kind]
    table = open_table(written(tmp_path, separator, lines))
    assert table.cells["text"][20:] == texts
    assert set(table.cells["label"]) == {"x"}
    assert bool(table.notes) is (said is not None)
    assert said is None or said in table.notes[0]


@pytest.mark.parametrize(
    ("quoting", "line", "text"),
    [
        ("double", '"a ""b"" c",x\n', 'a "b" c'),
        ("backslash", r'"a \"b\" c",x' + "\n", 'a "b" c'),
        ("none", '"a ""b"" c",x\n', '"a ""b"" c"'),
    ],
)
def test_quoting_can_be_asked_for(tmp_path, quoting, line, text):
    table = open_table(written(tmp_path, ",", line), quoting=quoting)
    assert table.cells["text"][-1] == text
    assert table.notes == []


@pytest.mark.parametrize(
    ("separator", "lines", "line"),
    [
        (",", '"open,x\n' + "more,x\n" * 5, 22),
        (",", 'a,x\n"so" it,x\n', 23),
        ("\t", '"a"\t"x"\n' * 60 + '"open\tx\n', 82),
    ],
)
def test_a_missing_quote_is_told_with_its_line(tmp_path, separator, lines, line):
    with pytest.raises(InputError, match=f"line {line} of .* quotes"):
        open_table(written(tmp_path, separator, lines))


def test_rows_that_a_quote_may_have_swallowed_are_said(tmp_path):
    table = open_table(written(tmp_path, ",", '"open,x\nmore,x\nclosed",x\n'))
    assert len(table) == 21
    assert "lines 22 to 24" in table.notes[0]
    assert "--quoting none" in table.notes[0]


def test_an_unknown_quoting_is_refused(tmp_path):
    with pytest.raises(InputError, match="quoting is 'single'"):
        open_table(written(tmp_path, ",", ""), quoting="single")


def test_one_column_is_a_table_too(tmp_path):
    (tmp_path / "a.csv").write_text("text\nnew; or old\nother\n")
    table = open_table(tmp_path / "a.csv")
    assert (table.columns, table.cells["text"]) == (["text"], ["new; or old", "other"])


def test_line_ends_in_many_cells_are_no_fault(tmp_path):
    assert open_table(written(tmp_path, ",", '"first, part\nsecond",x\n' * 20)).notes == []


TITLED = {
    "a line above": ("Report\ntext,label\nhi,a\nho,b\n", 2),
    "with a blank line": ('Report\n\ntext;label\n"hi;x";a\nho, he;b\n', 3),
    "with separators": ("Report,,\n,,\ntext,label,id\nhi,a,1\nho,b,2\n", 3),
    "with a comma": ('"Report, 2024"\ntext,label\nhi,a\nho,b\n', 2),
    "of two columns": ("Reviews 2024,\ntext,label\nhi,a\nho,b\n", 2),
    "of merged cells": (",Review,,Coding\nid,text,label,by\n1,hi,a,x\n2,ho,b,y\n", 2),
    "remarks": ("# made by, a tool, v2\ntext,label\nhi,a\nho,b\n", 2),
    "seven remarks": ("# one\n" * 7 + "text,label\nhi,a\nho,b\n", 8),
    "remarks like a row": ("# made, by\ntext,label\nhi,a\nho,b\n", 2),
    "under Excel's line": ("sep=;\nReport\ntext;label\nhi;a\nho;b\n", 3),
}


@pytest.mark.parametrize("kind", TITLED)
@pytest.mark.parametrize("read", [open_table, lambda path: next(stream(path))])
def test_a_title_above_the_header_is_skipped_and_said(tmp_path, kind, read):
    text, line = TITLED[kind]
    (tmp_path / "t.csv").write_text(text)
    table = read(tmp_path / "t.csv")
    assert {"text", "label"} <= {*table.columns}
    assert table.column("label") == ["a", "b"]
    assert table.places == [line + 1, line + 2]
    assert f"Warning: The names of the columns are in line {line}: what is above is a title." in table.notes


@pytest.mark.parametrize(
    "text",
    [
        "text\nhello, you\nbye\n",  # a column of texts, one of which has a comma
        "a\nb\nc\nd\ne\nf\ntext,label\nhi,a\n",  # too far below
        "Report\ntext,label\nhi,a\nho\n",  # a damaged row
        "text,,\nhi,a,note\nho,a,other\n",  # a header without two of its names: what is below recurs
    ],
)
def test_what_may_be_no_title_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match="columns"):
        open_table(tmp_path / "t.csv")


@pytest.mark.parametrize("read", [open_table, lambda path: next(stream(path))])
@pytest.mark.parametrize("text", ["text,,\nhi,,\n", ",text\n0,hi\n"])
def test_names_beside_blanks_are_no_title(tmp_path, text, read):
    (tmp_path / "t.csv").write_text(text)
    assert read(tmp_path / "t.csv").column("text") == ["hi"]


def test_a_backslash_before_anything_but_a_quote_stays(tmp_path):
    text = 'text,label\n"say \\"hi\\" in C:\\new\\next",\\N\n"a\\\\b",x\n'
    (tmp_path / "a.csv").write_text(text)
    rows = list(open_table(tmp_path / "a.csv").rows())
    assert rows == [{"text": 'say "hi" in C:\\new\\next', "label": "\\N"}, {"text": "a\\b", "label": "x"}]
