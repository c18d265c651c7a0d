import bz2
import gzip
import io
import json
import lzma
import os
import re
import sys
import zipfile
from functools import reduce

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pats._errors import InputError
from pats.tasks.reading import SUFFIXES, open_table, stem, stream
from pats.tasks.reading.delimited import SAMPLE
from support.workbooks import write_workbook

ROWS = [(f"text {i}, with 'marks' é", ("yes", "no")[i % 2]) for i in range(12)]
RECORDS = [dict(zip(("text", "label"), row, strict=True)) for row in ROWS]
FRAME = {"columns": ["text", "label"], "index": list(range(12)), "data": list(map(list, ROWS))}


def delimited(separator, rows=ROWS, end="\n", first=""):
    quoted = [[f'"{text}"' if separator in text else text, label] for text, label in rows]
    return first + end.join(separator.join(row) for row in [["text", "label"], *quoted]) + end


def parquet(rows=RECORDS):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return file.getvalue()


def feather(stream=False, rows=RECORDS):
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def zstd(content):
    return pa.compress(content, "zstd", asbytes=True)


def indexed(values):
    return {str(i): value for i, value in enumerate(values)}


CSV = delimited(",")
LINES = "".join(json.dumps(row) + "\n" for row in RECORDS)
FASTTEXT = "".join(f"__label__{label} {text}\n" for text, label in ROWS)
BEHIND = "".join(f"{text} __label__{label}\n" for text, label in ROWS)
COLUMNS = {"text": [row[0] for row in ROWS], "label": [row[1] for row in ROWS]}

# Name and content, and a word of the note that says what was done; None where there is nothing to say.
FORMATS = {
    "comma": ("a.csv", CSV, None),
    "semicolon": ("a.csv", delimited(";"), "semicolon"),
    "tab in a csv": ("a.csv", delimited("\t"), "tab"),
    "bar": ("a.csv", delimited("|"), "vertical bar"),
    "comma in a tsv": ("a.tsv", CSV, "comma"),
    "txt": ("a.txt", delimited("\t"), None),
    "txt with commas": ("a.txt", CSV, "comma"),
    "sep=": ("a.csv", delimited(";", first="sep=;\r\n"), "as its first line says"),
    "sep= of the usual comma": ("a.csv", delimited(",", first="sep=,\n"), None),
    "bom and sep=": ("a.csv", ("\ufeff" + delimited("|", first="SEP=|\n")).encode(), "vertical bar"),
    "windows line ends": ("a.csv", delimited(",", end="\r\n"), None),
    "line ends of an old Mac": ("a.csv", delimited(",", end="\r"), None),
    "utf-16": ("a.csv", CSV.encode("utf-16"), "UTF-16"),
    "utf-16 big": ("a.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), "UTF-16"),
    "utf-16 without a mark": ("a.tsv", delimited("\t").encode("utf-16-le"), "without a byte order mark"),
    "utf-16 big without a mark": ("a.csv", CSV.encode("utf-16-be"), "without a byte order mark"),
    "utf-32": ("a.csv", CSV.encode("utf-32"), "UTF-32"),
    "windows-1252": ("a.csv", CSV.encode("cp1252"), "Windows-1252"),
    "blanks after commas": ("a.csv", re.sub('",(.*)', r'", "\1"', CSV), "Blanks"),
    "separators at the end": ("a.csv", CSV.replace("\n", ",,\n").replace("label,,", "label"), None),
    "jsonl": ("a.jsonl", LINES, None),
    "ndjson": ("a.ndjson", LINES, None),
    "json a line": ("a.json", LINES, None),
    "indented records": ("a.json", "\n".join(json.dumps(row, indent=1) for row in RECORDS), None),
    "array": ("a.json", json.dumps(RECORDS), None),
    "indented array": ("a.json", json.dumps(RECORDS, indent=2), None),
    "array in a jsonl": ("a.jsonl", json.dumps(RECORDS), None),
    "columns": ("a.json", json.dumps(COLUMNS), "object of columns"),
    "columns by index": (
        "a.json", json.dumps({name: indexed(cells) for name, cells in COLUMNS.items()}), "object of columns"),
    "records by index": ("a.json", json.dumps(indexed(RECORDS)), "object of records"),
    "split": ("a.json", json.dumps(FRAME, indent=1), "split orientation"),
    "wrapped": ("a.json", json.dumps({"version": 2, "data": RECORDS}), "under the key 'data'"),
    "a viewer's answer": (
        "a.json", json.dumps({"features": ["text"], "rows": [{"row_idx": 3, "row": one} for one in RECORDS]}),
        "a viewer of data sets"),
    "list of lists": ("a.json", json.dumps([["text", "label"], *ROWS]), "list of lists"),
    "parquet": ("a.parquet", parquet(), None),
    "feather": ("a.feather", feather(), None),
    "a stream of Arrow": ("a.arrow", feather(stream=True), None),
    "feather with another name": ("a.csv", feather(), None),
    "feather in gzip": ("a.arrow.gz", gzip.compress(feather(stream=True)), None),
    "parquet with another name": ("a.csv", parquet(), None),
    "gzip": ("a.csv.gz", gzip.compress(CSV.encode()), None),
    "gzip without a name": ("a.csv", gzip.compress(CSV.encode()), None),
    "gzip of parquet": ("a.parquet.gz", gzip.compress(parquet()), None),
    "gzip of an array": ("a.json.gz", gzip.compress(json.dumps(RECORDS).encode()), None),
    "zip": ("a.zip", zipped(reviews__csv=delimited(";"), __MACOSX=b"x"), "'reviews.csv'"),
    "zip of parquet": ("a.zip", zipped(a__parquet=parquet()), "'a.parquet'"),
    "zip in gzip": ("a.zip.gz", gzip.compress(zipped(a__csv=CSV)), "'a.csv'"),
    "zstd": ("a.tsv.zst", zstd(delimited("\t").encode()), None),
    "bzip2": ("a.csv.bz2", bz2.compress(CSV.encode()), None),
    "xz": ("a.jsonl.xz", lzma.compress(LINES.encode()), None),
    "xz without a name": ("a.csv", lzma.compress(CSV.encode()), None),
    "fastText": ("a.txt", FASTTEXT, "as fastText writes them"),
    "fastText called a table": ("a.csv", FASTTEXT.replace("\n", "\r\n"), "as fastText writes them"),
    "fastText in bzip2": ("train.ft.txt.bz2", bz2.compress(FASTTEXT.encode()), "as fastText writes them"),
    "fastText in windows-1252": ("a.txt", FASTTEXT.encode("cp1252"), "Windows-1252"),
    "text called Arrow": ("a.arrow", CSV, "spite of its name"),
    "JSON called Feather": ("a.feather", LINES, "spite of its name"),
    "fastText as it names its files": ("cooking.train", FASTTEXT, "as fastText writes them"),
    "fastText in UTF-16": ("a.txt", FASTTEXT.encode("utf-16"), "UTF-16"),
    "fastText of an old Mac": ("a.txt", FASTTEXT.replace("\n", "\r"), "as fastText writes them"),
    "fastText with labels behind": ("a.txt", BEHIND, "as fastText writes them"),
    "text called a workbook": ("a.xls", delimited("\t"), "spite of its name"),
}  # fmt: skip


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_rows_whole_and_streamed(tmp_path, kind):
    name, content, said = FORMATS[kind]
    path = write(tmp_path / name, content)
    table = open_table(path)
    assert table.columns == ["text", "label"]
    assert list(table.rows()) == RECORDS
    notes = " ".join(table.notes)
    assert (said in notes) if said else (notes == ""), notes
    batches = list(stream(path, rows=5))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert [row for batch in batches for row in batch.rows()] == RECORDS
    assert [place for batch in batches for place in batch.places] == list(table.places)
    assert [batch.columns for batch in batches] == [table.columns] * 3
    assert (batches[0].notes, batches[1].notes) == (table.notes, [])


@pytest.mark.parametrize(
    "kind", ["comma", "semicolon", "utf-16", "jsonl", "array", "parquet", "gzip", "zip", "zstd"]
)
def test_standard_input_is_told_by_its_content(monkeypatch, kind):
    _, content, _ = FORMATS[kind]
    raw = content if isinstance(content, bytes) else content.encode()

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation

    for read in (open_table, lambda path: next(iter(stream(path, rows=100)))):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(raw)))
        table = read("-")
        assert list(table.rows()) == RECORDS
        assert table.line(0).endswith(" of standard input")


IN_PYTHON = {
    "pandas": pandas.DataFrame(COLUMNS),
    "pandas with categories": pandas.DataFrame(COLUMNS).astype({"label": "category"}),
    "arrow": pa.table(COLUMNS),
    "records": RECORDS,
    "columns": COLUMNS,
}


@pytest.mark.parametrize("kind", IN_PYTHON)
def test_tables_of_python(kind):
    table = open_table(IN_PYTHON[kind])
    assert list(table.rows()) == RECORDS
    assert table.line(6) in ("row 7 of the table", "record 7 of the table")


def test_cells_of_pandas_are_plain_and_missing_ones_none():
    frame = pandas.DataFrame({"a": [1, 2], "b": [1.5, float("nan")], "c": ["x", None], 4: [True, "x"]})
    table = open_table(frame)
    assert table.columns == ["a", "b", "c", "4"]
    assert [table.cells[name] for name in table.columns] == [[1, 2], [1.5, None], ["x", None], [True, "x"]]
    assert all(type(cell) is int for cell in table.cells["a"])


def test_cells_stay_as_they_are_written(tmp_path):
    cells = [
        "007",
        " padded ",
        "1e5",
        "NULL",
        "nan",
        "9" * 40,
        "\u202b\u05e9\u202c",
        "👍🏽",
        "a\x00b",
        "=1+1",
        "TRUE",
        "",
    ]
    lines = "text,label\n" + "".join(f"{cell},x\n" for cell in cells)
    assert list(open_table(write(tmp_path / "a.csv", lines)).cells["text"]) == cells


def test_parquet_keeps_what_it_holds(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", None, "c"]),
            "label": pa.array(["x", "y", "x"]).dictionary_encode(),
            "tags": pa.array([["u"], [], None]),
            "n": pa.array([2**60, 1, 0], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    read = open_table(tmp_path / "a.parquet")
    assert read.cells["text"] == ["a", None, "c"]
    assert read.cells["label"] == ["x", "y", "x"]
    assert read.cells["tags"] == [["u"], [], None]
    assert read.texts("n") == [str(2**60), "1", "0"]


def test_several_columns_are_one_text(tmp_path):
    table = open_table([{"title": "a", "body": "b", "n": 1}, {"title": " ", "body": "c", "n": None}])
    assert table.texts(("title", "body", "n")) == ["a\nb\n1", "c"]


def test_blank_rows_and_columns(tmp_path):
    text = "text,label,,\nx,a,,\n,,,\n   \n\ny,b,,\n,,,\n"
    table = open_table(write(tmp_path / "a.csv", text))
    assert table.columns == ["text", "label"]
    kept = table.without_blank_rows()
    assert list(kept.rows()) == [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}]
    assert list(kept.places) == [2, 6]
    assert len(table) - len(kept) == 3


REFUSED = {
    "missing": ("a.csv", None, ["does not exist"]),
    "unknown": ("a.doc", CSV, ["no table", ".csv"]),
    "empty": ("a.csv", "", ["no rows"]),
    "header only": ("a.csv", "text,label\n", ["no rows"]),
    "two in a zip": ("a.zip", zipped(a__csv=CSV, b__csv=CSV), ["2 files", "a.csv, b.csv"]),
    "none in a zip": ("a.zip", zipped(), ["holds no file"]),
    "cut gzip": ("a.csv.gz", gzip.compress(CSV.encode())[:-20], ["unpacked", "cut"]),
    "cut zip": ("a.zip", zipped(a__csv=CSV)[:-30], ["unpacked", "cut"]),
    "bad bzip2": ("a.csv.bz2", b"BZh91AY&SYno stream", ["a.csv.bz2", "damaged"]),
    "nothing in bzip2": ("a.csv.bz2", bz2.compress(b""), ["a.csv.bz2"]),
    "feather of version 1": ("a.feather", b"FEA1" + bytes(60), ["a.feather", "version 1"]),
    "cut bzip2": ("a.csv.bz2", bz2.compress(CSV.encode())[:-20], ["a.csv.bz2", "cut"]),
    "damaged xz": ("a.csv.xz", lzma.compress(CSV.encode())[:40] + bytes(60), ["a.csv.xz", "damaged"]),
    "cut feather": ("a.feather", feather()[:-20], ["a.feather", "as Arrow", "cut"]),
    "cut stream of Arrow": ("a.arrow", feather(stream=True)[:60], ["a.arrow", "as Arrow", "cut"]),
    "no stream of Arrow": ("a.arrow", bytes(range(256)), ["a.arrow", "as Arrow"]),
    "cut zstd": ("a.csv.zst", zstd(CSV.encode() * 9)[:-9], ["a.csv.zst"]),
    "packed for ever": ("a.gz", reduce(lambda raw, _: gzip.compress(raw), range(4), b"x"), ["packed"]),
    "html": ("a.xls", "<html><table><tr><td>x", ["HTML", "CSV"]),
    "pdf": ("a.csv", "%PDF-1.7 " + CSV, ["no table"]),
    "picture": ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(200), ["no table"]),
    "bytes": ("a.csv", bytes(range(256)) * 9, ["no text"]),
    "no workbook": ("a.xlsx", b"PK\x03\x04" + bytes(90), ["unpacked", "a.xlsx"]),
    "no parquet": ("a.parquet", b"PAR1 and more", ["Parquet", "cut"]),
    "a name twice": ("a.csv", CSV.replace("text,", "label,"), ["2 columns named 'label' (1, 2)"]),
    "a cut row": ("a.csv", CSV + "more", ["line 14", "1 columns", "2"]),
    "a long row": ("a.csv", CSV + "a,b,c\n", ["line 14", "3 columns", "2"]),
    "an open quote": ("a.csv", CSV + '"more,yes\nand,no\n', ["line 14", "quotes", "cut", "--quoting none"]),
    "semicolons, a cut row": ("a.csv", delimited(";") + "more", ["line 14", "1 columns", "2"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("read", [open_table, lambda path: list(stream(path, rows=4))])
def test_what_cannot_be_read_gets_one_sentence(tmp_path, kind, read):
    name, content, parts = REFUSED[kind]
    path = tmp_path / name
    if content is not None:
        write(path, content)
    with pytest.raises(InputError) as error:
        read(path)
    message = str(error.value)
    assert all(any(one in message for one in part.split("|")) for part in parts), message
    assert "\n" not in message
    assert name in message


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("https://example.org/a.csv", "URL"),
        ("s3://bucket/a.parquet", "URL"),
        ("/dev/null", "device"),
        (".", "folder"),
        ("a\x00.csv", "does not exist"),
        ("a" * 300 + ".csv", "cannot be read"),
    ],
)
def test_places_that_are_no_files(path, said):
    with pytest.raises(InputError, match=said):
        open_table(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InputError, match="pipe"):
        open_table(tmp_path / "a.csv")


def test_a_workbook_streams_too(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"s": [["text", "label"], *ROWS]})
    assert [row for batch in stream(path, rows=5) for row in batch.rows()] == RECORDS
    packed = write(tmp_path / "b.xlsx.gz", gzip.compress(path.read_bytes()))
    assert list(open_table(packed).rows()) == RECORDS


def test_a_stream_reads_no_further_than_it_must(tmp_path):
    row = f"{'word ' * 400},x\n"
    rows = 2 * SAMPLE // len(row)
    path = write(tmp_path / "a.csv", "text,label\n" + row * rows + "cut")
    batches = stream(path, rows=10)
    assert [len(next(batches)) for _ in range(3)] == [10, 10, 10]
    with pytest.raises(InputError, match=rf"line {rows + 2} .* 1 columns"):
        list(batches)


@pytest.mark.parametrize(("codec", "notes"), [("utf-8", 0), ("cp1252", 1)])
def test_a_long_table_whose_first_accent_comes_late_is_read(tmp_path, codec, notes):
    row = f"{'word ' * 400},x\n"
    rows = 3 * SAMPLE // len(row)
    path = write(tmp_path / "a.csv", f"text,label\n{row * rows}caf\u00e9 noir,y\n".encode(codec))
    batches = list(stream(path, rows=1000))
    assert list(batches[-1].rows())[-1] == {"text": "caf\u00e9 noir", "label": "y"}
    assert [f"(line {rows + 2}), and is read as Windows-1252" in note for note in batches[0].notes] == [
        True
    ] * notes


def test_a_stream_in_another_encoding_fails_at_its_line(tmp_path):
    path = write(tmp_path / "a.csv", ("text,label\n" + f"{'word ' * 400}é,x\n" * 2000).encode() + b"\xe9,x\n")
    with pytest.raises(InputError, match=r"line \d+ .* UTF-8"):
        list(stream(path, rows=100))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/a.csv", "a"),
        ("a.csv.gz", "a"),
        ("a.b.tsv", "a.b"),
        ("a.zip", "a"),
        ("a", "a"),
        ("a.JSON.ZST", "a"),
    ],
)
def test_names_without_endings(path, name):
    assert stem(path) == name


def test_batches_have_rows():
    with pytest.raises(InputError, match="rows is 0"):
        next(stream("a.csv", rows=0))


def test_every_suffix_has_a_reader():
    assert set(SUFFIXES.values()) == {"delimited", "json", "parquet", "arrow", "excel"}
