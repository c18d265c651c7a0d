"""Tables of every format: odd encodings, NUL, large cells, ragged rows, and what was cut on its way."""

import csv
import gzip
import io
import json
import zipfile
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from pats.cli import main
from support.fuzzing.damage import HOSTILE, TEXTS, WORDS, bytes_of, cut, json_of, values
from support.fuzzing.door import Fault, fuzzed, restored
from support.workbooks import write_workbook

DOOR = "tables"

ENCODINGS = (
    *(
        "utf-8",
        "utf-8",
        "utf-8",
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "latin-1",
        "cp1252",
    ),
    *("cp1255", "cp1256", "shift_jis", "gb18030", "euc-kr", "koi8-r", "utf-7", "cp037"),
)
SUFFIXES = (
    ".csv",
    ".csv",
    ".tsv",
    ".txt",
    ".jsonl",
    ".json",
    ".parquet",
    ".xlsx",
    ".ods",
    ".gz",
    ".zip",
    ".zst",
    "",
)
NAMES = (
    "text",
    "label",
    "sentence1",
    "sentence2",
    "split",
    "id",
    "score",
    "date",
    "Text",
    " text",
    "",
    "prediction",
)
ROWS = [{"text": f"a text {i}, of {i % 7} words", "label": "ab"[i % 2], "score": i / 3} for i in range(24)]
PACKED = (".gz", ".zip", ".parquet", ".xlsx", ".csv.zst")
LARGE = (10_000, 200_000, 10_000_000)


@cache
def sound():
    """The same table in every format, by ending."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROWS[0]))
    writer.writeheader()
    writer.writerows(ROWS)
    plain = text.getvalue().encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("reviews.csv", plain)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    rows = [list(ROWS[0]), *([*row.values()] for row in ROWS)]
    book = io.BytesIO()
    write_workbook(book, {"one": rows})
    zstd = pa.BufferOutputStream()
    with pa.CompressedOutputStream(zstd, "zstd") as stream:
        stream.write(plain)
    return {
        ".csv": plain,
        ".tsv": plain.replace(b",", b"\t"),
        ".jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
        ".json": json.dumps(ROWS).encode(),
        ".parquet": sink.getvalue().to_pybytes(),
        ".xlsx": book.getvalue(),
        ".gz": gzip.compress(plain),
        ".zip": packed.getvalue(),
        ".csv.zst": zstd.getvalue().to_pybytes(),
    }


@st.composite
def delimited(draw):
    """A text table in any encoding, with rows of any length."""
    header = draw(st.lists(st.one_of(st.sampled_from(NAMES), TEXTS), min_size=1, max_size=5))
    cell = st.one_of(WORDS, WORDS, TEXTS, st.integers(-5, 5).map(str), st.floats().map(str))
    same = [[draw(WORDS), draw(st.sampled_from("ab"))] for _ in range(draw(st.integers(0, 3)))]
    rows = draw(st.lists(st.lists(cell, max_size=6), max_size=8))
    fill = draw(st.integers(0, 30))
    width = len(header)
    rows += [[f"words {i}", "ab"[i % 2], str(i), *(["x"] * width)][:width] for i in range(fill)] + same
    if draw(st.integers(0, 30)) == 0:
        large = draw(st.sampled_from(LARGE if draw(st.integers(0, 9)) == 0 else LARGE[:2]))
        rows.append(["x" * large] * min(width, 2))
    delimiter = draw(st.sampled_from((",", ",", "\t", ";", "|")))
    end = draw(st.sampled_from(("\n", "\n", "\r\n", "\r", "\n\n")))
    if draw(st.booleans()):
        text = io.StringIO()
        quoting = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
        csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([header, *rows])
        whole = text.getvalue()
    else:
        whole = end.join(delimiter.join(row) for row in [header, *rows])
    content = whole.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")
    return draw(st.sampled_from(SUFFIXES)), content, False


@st.composite
def records(draw):
    """Records of JSON whose keys and values differ."""
    key = st.one_of(st.sampled_from(NAMES), TEXTS)
    record = st.dictionaries(key, st.one_of(WORDS, values()), max_size=4)
    rows = draw(st.lists(st.one_of(st.just(ROWS[0]), record, values()), max_size=12))
    if draw(st.booleans()):
        text = "\n".join(json.dumps(row) for row in rows)
    else:
        text = json.dumps(
            draw(st.sampled_from((rows, {"data": rows}, {str(i): row for i, row in enumerate(rows)})))
        )
    return draw(st.sampled_from((".jsonl", ".json", ".txt", ".csv"))), text.encode(), False


@st.composite
def columns(draw):
    """Parquet with columns of types that hold no text."""
    count = draw(st.integers(0, 12))
    kinds = {
        "text": st.one_of(st.none(), TEXTS),
        "number": st.one_of(st.none(), st.floats()),
        "whole": st.integers(-(2**63), 2**63 - 1),
        "bytes": st.binary(max_size=5),
        "list": st.lists(st.integers(0, 9), max_size=2),
        "truth": st.booleans(),
        "record": st.fixed_dictionaries({"a": st.integers(0, 9)}),
        "nothing": st.none(),
    }
    names = draw(st.lists(st.one_of(st.sampled_from(NAMES), TEXTS), min_size=1, max_size=4))
    arrays = [
        pa.array(draw(st.lists(kinds[draw(st.sampled_from([*kinds]))], min_size=count, max_size=count)))
        for _ in names
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, names=names), sink)
    return ".parquet", sink.getvalue().to_pybytes(), False


def flags():
    """Options of the verbs, which name columns that may be there."""
    name = st.one_of(st.sampled_from(NAMES), st.sampled_from(HOSTILE))
    named = [
        st.tuples(st.just(flag), name) for flag in ("--text", "--label", "--text-pair", "--group", "--time")
    ]
    kinds = st.tuples(st.just("--kind"), st.sampled_from(("classification", "regression", "multilabel")))
    quoting = st.tuples(st.just("--quoting"), st.sampled_from(("double", "backslash", "none")))
    folds = st.tuples(st.just("--folds"), st.integers(-1, 30).map(str))
    alone = st.sampled_from((("--drop-rare",), ("--drop-unlabelled",), ("--json",)))
    return st.lists(st.one_of(*named, kinds, quoting, folds, alone), max_size=2)


@st.composite
def inputs(draw):
    """An ending, a content, and whether that is the beginning of what cannot be whole without its end."""
    kind = draw(st.sampled_from(("text", "text", "text", "records", "columns", "damage", "cut", "json")))
    if kind == "text":
        return draw(delimited())
    if kind == "records":
        return draw(records())
    if kind == "columns":
        return draw(columns())
    if kind == "json":
        return ".json", draw(json_of(ROWS[:6])), False
    if kind == "cut":
        ending = draw(st.sampled_from(PACKED))
        return ending, draw(cut(sound()[ending])), True
    ending = draw(st.sampled_from([*sound()]))
    return draw(st.sampled_from((ending, *SUFFIXES))), draw(bytes_of(sound()[ending])), False


@pytest.fixture(scope="module")
def model(door):
    """A simple model, which answers at once."""
    (door.root / "train.csv").write_bytes(sound()[".csv"])
    argv = ["run", "--data", str(door.root / "train.csv"), "--text", "text", "--label", "label", "--quiet"]
    assert main([*argv, "--method", "tfidf", "--out", str(door.root / "fitted")]) == 0
    return door.root / "fitted" / "model"


@fuzzed(st.tuples(inputs(), flags(), st.sampled_from(("inspect", "inspect", "predict"))))
def test_a_table_is_read_or_refused(door, model, tried):
    (ending, content, incomplete), options, verb = tried
    path = door.root / f"table{ending}"
    path.write_bytes(content)
    try:
        if verb == "inspect":
            argv = ["inspect", str(path), *(word for option in options for word in option)]
            code = door.command(argv)
        else:
            out = door.root / "answers" / "answers.csv"
            out.parent.mkdir(exist_ok=True)
            named = [word for option in options if option[0] in ("--text", "--text-pair") for word in option]
            code = door.command(
                ["predict", str(model), str(path), "--quiet", "--out", str(out), *named], [out.parent]
            )
            if out.exists() != (code == 0):
                raise Fault("a refused table left a file of answers" if code else "there are no answers")
            restored(out, None)
        if incomplete and code == 0:
            raise Fault(f"a part of a {ending} file was taken for the whole")
    finally:
        restored(path, None)
