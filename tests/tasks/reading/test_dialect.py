import pytest

from pats._errors import InputError
from pats.tasks.reading import open_table

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
