import csv
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pats import InputError
from pats.tasks import load
from pats.tasks.reading import open_table as read
from support.tables import CSV, labelled_rows, write_table

ROWS = [{"text": f'said "no", {i}\nand\tleft é', "label": ("neg", "pos", "neu")[i % 3]} for i in range(60)]


def examples(data):
    return {
        name: [(text, data.labels[int(label)]) for text, label in zip(split.text, split.label, strict=True)]
        for name, split in data.splits.items()
    }


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet", ".CSV"])
def test_every_format_gives_the_same_task(tmp_path, suffix):
    data = load(
        data=write_table(tmp_path / f"reviews{suffix.lower()}", ROWS).rename(tmp_path / f"reviews{suffix}")
    )
    found = examples(data)
    wanted = sorted((row["text"], row["label"]) for row in ROWS)
    assert sorted(row for rows in found.values() for row in rows) == wanted
    assert {name: len(rows) for name, rows in found.items()} == {"train": 42, "dev": 9, "test": 9}
    assert (data.name, data.source, data.labels) == ("reviews", "table", ("neg", "neu", "pos"))
    assert (data.metric, data.metrics) == ("accuracy", ("accuracy", "macro_f1"))


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path):
    assert list(read(write_table(tmp_path / "a.csv", ROWS, "utf-8-sig")).columns) == ["text", "label"]


def test_class_names_of_datasets_are_used(tmp_path):
    schema = {"info": {"features": {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}}}
    table = pa.Table.from_pylist(labelled_rows([0, 1] * 20))
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(schema)}), tmp_path / "a.parquet")
    assert load(data=tmp_path / "a.parquet").labels == ("bad", "good")


@pytest.mark.parametrize(
    ("labels", "kind", "classes"),
    [
        (["b", "a"] * 20, None, ("a", "b")),
        ([10, 9, 2] * 20, None, ("2", "9", "10")),
        (["1.0", "0", "0.0", "1"] * 10, None, ("0", "1")),
        ([True, False] * 20, None, ("False", "True")),
        (["inf", "word"] * 20, None, ("inf", "word")),
        (list(range(20)) * 3, None, tuple(map(str, range(20)))),
        (list(range(21)) * 3, None, tuple(map(str, range(21)))),
        ([0.5, 1, 2] * 20, None, ()),
        ([1, 2] * 20, "regression", ()),
        ([0.5, 1.5] * 20, "classification", ("0.5", "1.5")),
        (list(range(30)) * 3, "classification", tuple(map(str, range(30)))),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_classes_or_scores(tmp_path, labels, kind, classes, suffix):
    data = load(data=write_table(tmp_path / f"a{suffix}", labelled_rows(labels)), kind=kind)
    assert data.labels == classes
    assert data.regression is (not classes)
    assert data.metric == ("accuracy" if classes else "pearson")
    found = [label for split in data.splits.values() for label in split.label]
    wanted = [float(label) for label in labels] if not classes else None
    assert sorted(found) == sorted(wanted) if wanted else set(found) == set(range(len(classes)))
    assert any("--kind" in note for note in data.notes) is (kind is None)


# As they were before rows were grouped by more than their exact texts.
UNCHANGED = {
    "7fb24a9171b047b187054f00331ed69b": ROWS,
    "050ef0fe5a8fdb9a5097b59d302ba6eb": labelled_rows(["rare"] * 20 + ["often"] * 180),
    "f3a50404242180bb3926d72f317a6cba": labelled_rows([i / 7 + 0.5 for i in range(200)]),
    "5cf292f134cf8a8ec80c996e9f3b0600": [
        {"sentence1": f"a {i % 25}", "sentence2": f"b {i % 5}", "label": "xy"[i % 25 % 2]} for i in range(130)
    ],
    "ac47b9c3d39004d8afb240593780628b": labelled_rows([i % 9 for i in range(90)]),
}


@pytest.mark.parametrize("fingerprint", UNCHANGED)
def test_splits_without_twins_stay_as_they_were(tmp_path, fingerprint):
    assert load(data=write_table(tmp_path / "a.csv", UNCHANGED[fingerprint])).fingerprint == fingerprint


def test_the_split_is_stratified_and_follows_the_seed(tmp_path):
    path = write_table(tmp_path / "a.csv", labelled_rows(["rare"] * 20 + ["often"] * 180))
    first, again, other = (load(data=path, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    for data in (first, other):
        found = {name: Counter(label for _, label in rows) for name, rows in examples(data).items()}
        assert found == {
            "train": {"rare": 14, "often": 126},
            "dev": {"rare": 3, "often": 27},
            "test": {"rare": 3, "often": 27},
        }


def test_scores_are_stratified_by_quantile(tmp_path):
    data = load(data=write_table(tmp_path / "a.csv", labelled_rows([i + 0.5 for i in range(200)])))
    for name, share in (("train", 14), ("dev", 3), ("test", 3)):
        assert Counter(int(score) // 20 for score in data.splits[name].label) == dict.fromkeys(
            range(10), share
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_same_texts_stay_together(tmp_path, seed):
    rows = [
        {"sentence1": f"a {i % 25}", "sentence2": f"b {i % 5}", "label": i % 2 if i < 100 else i % 5}
        for i in range(130)
    ]
    data = load(data=write_table(tmp_path / "a.jsonl", rows), seed=seed, kind="regression")
    texts = [set(zip(split.text, split.text_pair, strict=True)) for split in data.splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 25
    assert all(texts)


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (["train", "dev", "test"], {"train": 40, "dev": 10, "test": 10}),
        (["Training", "validation", "Test"], {"train": 40, "dev": 10, "test": 10}),
        (["train", "val", "valid"], {"train": 40, "dev": 20}),
        (["train", "test", "test"], {"train": 34, "dev": 6, "test": 20}),
        (["train", "train", "train"], {"train": 42, "dev": 9, "test": 9}),
        (["0", "1", "2"], {"train": 42, "dev": 9, "test": 9}),
    ],
)
@pytest.mark.parametrize("column", ["split", "Fold"])
def test_a_split_column_is_kept(tmp_path, column, names, sizes):
    named = [names[0]] * 40 + [names[1]] * 10 + [names[2]] * 10
    rows = labelled_rows(["a", "b"] * 30, **{column: lambda i: named[i]})
    data = load(data=write_table(tmp_path / "a.csv", rows))
    assert {name: len(split) for name, split in data.splits.items()} == sizes
    notes = " ".join(data.notes)
    assert ("no test split" in notes) is ("test" not in sizes)
    assert ("is not used" in notes) is (names[0] == "0")
    if "test" in map(str.lower, names):
        assert data.splits["test"].text == tuple(f"text {i}" for i in range(60) if "est" in named[i])


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        (["train.csv", "validation.jsonl", "test.tsv"], {"train": 60, "dev": 60, "test": 60}),
        (["train.parquet", "dev.csv", "notes.csv", "dev.txt"], {"train": 60, "dev": 60}),
        (["train.csv", "test.csv"], {"train": 51, "dev": 9, "test": 60}),
        (["train.csv"], {"train": 42, "dev": 9, "test": 9}),
        (
            ["train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"],
            {"train": 60, "dev": 60},
        ),
    ],
)
def test_a_folder_of_tables(tmp_path, files, sizes):
    for name in files:
        write_table(tmp_path / name, ROWS)
    data = load(data=tmp_path)
    assert {name: len(split) for name, split in data.splits.items()} == sizes
    assert data.name == tmp_path.name
    leaks = [note for note in data.notes if "same text" in note]
    assert len(leaks) == len([name for name in sizes if sizes[name] == 60]) - (sizes["train"] == 60)


@pytest.mark.parametrize("test", [{"text": "x"}, {"text": "x", "label": ""}])
def test_a_test_split_without_labels_is_left_out(tmp_path, test):
    for name, rows in (("train", ROWS), ("dev", ROWS), ("test", [test])):
        write_table(tmp_path / f"{name}.csv", rows)
    data = load(data=tmp_path)
    assert list(data.splits) == ["train", "dev"]
    assert "The test split has no labels: its 1 rows are left out." in data.notes


def test_missing_texts_are_empty_and_said(tmp_path):
    rows = [{"text": None if i == 3 else i, "label": "ab"[i % 2]} for i in range(40)]
    data = load(data=write_table(tmp_path / "a.jsonl", rows))
    texts = [text for split in data.splits.values() for text in split.text]
    assert sorted(texts) == sorted(["" if i == 3 else str(i) for i in range(40)])
    assert "1 row has no text." in data.notes


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_long_cell_is_read(tmp_path, suffix):
    long = 'said "so" ' * 20_000
    rows = [*labelled_rows(["a", "b"] * 20), {"text": long, "label": "a"}]
    limit = csv.field_size_limit()
    data = load(data=write_table(tmp_path / f"a{suffix}", rows))
    assert any(text == long for split in data.splits.values() for text in split.text)
    assert csv.field_size_limit() == limit


JSONL = "".join(json.dumps(row) + "\n" for row in labelled_rows(["a", "b"] * 20))
WIDE = CSV.replace("\n", ",\n")
SPLIT = WIDE.replace(",\n", ",dev\n").replace("label,dev", "label,split")
QUOTED = CSV.replace("text 39", '"text, 39"')


@pytest.mark.parametrize(
    ("name", "content", "options", "parts"),
    [
        ("a.csv", None, {}, ["does not exist"]),
        ("a.doc", CSV, {}, ["no table", ".csv, .tsv", ".parquet", ".xlsx"]),
        ("a.csv", "", {}, ["no rows"]),
        ("a.csv", "text,label\n", {}, ["no rows"]),
        ("a.csv", "text,label\n,\n , \n", {}, ["blank rows only"]),
        ("a.csv", "text,label\nx,1\ny,2\n", {}, ["2 labelled rows", "20 are needed"]),
        ("a.jsonl", "\n", {}, ["no rows"]),
        ("a.csv", CSV, {"label": "mood"}, ["'mood'", "text, label"]),
        ("a.csv", CSV, {"text": "label", "label": "label"}, ["each column once"]),
        ("a.csv", CSV.replace("label", "mood"), {}, ["label", "--label", "text, mood"]),
        ("a.csv", WIDE.replace("text,label,", "one,label,two"), {}, ["--text", "one, label, two"]),
        ("a.csv", CSV.replace("text,label", "label,label"), {}, ["2 columns named 'label' (1, 2)"]),
        ("a.csv", CSV.replace("7,b\n", "7,\n", 1), {}, ["line 9", "no label"]),
        ("a.jsonl", JSONL.replace('7", "label": "b"', '7"', 1), {}, ["line 8", "no label"]),
        ("a.jsonl", JSONL.replace('"a"', "NaN", 1), {}, ["line 1", "'nan'"]),
        ("a.csv", CSV.replace(",a", ",0.5").replace(",b", ",inf"), {}, ["line 3", "'inf'", "finite"]),
        ("a.csv", CSV.replace(",a", ",1").replace("5,b", "5,nan", 1), {}, ["line 7", "'nan'"]),
        ("a.csv", CSV, {"kind": "regression"}, ["line 2", "'a'", "number"]),
        ("a.csv", CSV, {"kind": "ranking"}, ["'ranking'", "classification, regression or multilabel"]),
        ("a.csv", CSV.replace(",b", ",a"), {}, ["one label only", "'a'"]),
        ("a.csv", CSV.replace(",b", ",1").replace(",a", ",1"), {"kind": "regression"}, ["one label only"]),
        ("a.csv", CSV[:-3], {}, ["line 41", "1 columns", "2"]),
        ("a.csv", QUOTED[:-6], {}, ["line 41", "quotes", "cut"]),
        ("a.csv", CSV + '"open,a\n' + "more,b\n" * 30_000, {}, ["line 42", "quotes", "cut"]),
        ("a.csv", ",text,,label\n,x,,y\n", {}, ["2 columns without a name (1, 3)"]),
        ("a.jsonl", JSONL[:-9], {}, ["line 40", "JSON object", "cut"]),
        ("a.jsonl", JSONL + "[1]\n", {}, ["line 41", "JSON object"]),
        ("a.jsonl", JSONL.replace('"text 7"', '["text"]'), {}, ["line 8", "'text'", "list"]),
        ("a.csv", CSV.replace("39,b", "39,c"), {}, ["class 'c'", "1 different text in", "train, dev, test"]),
        ("a.csv", CSV + "new,c\nold,c\nnew,c\n", {}, ["class 'c'", "2 different texts"]),
        ("a.csv", "".join(CSV.splitlines(keepends=True)[:20]), {}, ["19 labelled rows", "20 are needed"]),
        ("a.csv", CSV.encode().replace(b"text 5", "t\xe9xt".encode() + b" \xe9 5"), {}, ["line 7", "UTF-8"]),
        ("a.csv", CSV.encode("utf-16")[:-1], {}, ["line ", "UTF-16", "save"]),
        ("a.parquet", b"PAR1 and more", {}, ["Parquet", "cut"]),
        ("a.csv", SPLIT.replace("7,b,dev", "7,b,x", 1), {}, ["'x'", "line 9", "validation"]),
        ("a.csv", SPLIT, {}, ["no train rows"]),
    ],
)  # fmt: skip
def test_bad_tables_get_one_sentence(tmp_path, name, content, options, parts):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        load(data=path, **options)
    message = str(error.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message


def test_a_parquet_file_that_is_cut(tmp_path):
    path = write_table(tmp_path / "a.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"a\.parquet .*Parquet .*cut"):
        load(data=path)


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({}, ["no train table"]),
        ({"dev.csv": ROWS}, ["no train table"]),
        ({"train.csv": ROWS, "train.tsv": ROWS}, ["train.csv and train.tsv: keep one"]),
        ({"train-1-of-2.csv": ROWS}, ["1 of 2 files such as train-1-of-2.csv: get the others"]),
        (
            {"train-0-of-2.csv": ROWS, "train-1-of-2.csv": [{"words": "x", "label": "pos"}]},
            ["train-0-of-2.csv", "train-1-of-2.csv", "other columns"],
        ),
        ({"dev.csv": ROWS, "valid.csv": ROWS, "train.csv": ROWS}, ["dev.csv and valid.csv"]),
        ({"train.csv": ROWS, "dev.csv": [{"words": "x", "label": "pos"}]}, ["dev.csv", "'text'", "words"]),
        ({"train.csv": ROWS, "dev.csv": [{"text": "x", "label": "odd"}]}, ["'odd'", "dev", "train"]),
        ({"train.csv": ROWS[:1] * 30, "dev.csv": ROWS}, ["train", "one label"]),
        (
            {"train.csv": ROWS, "test.csv": [ROWS[0], {"text": "x", "label": ""}]},
            ["line 4", "test.csv", "no label"],
        ),
    ],
)
def test_bad_folders_get_one_sentence(tmp_path, files, parts):
    for name, rows in files.items():
        write_table(tmp_path / name, rows)
    with pytest.raises(InputError) as error:
        load(data=tmp_path)
    assert all(part in str(error.value) for part in parts), str(error.value)
