"""Rows of splits that a user brings: in named files, in a folder, in a column."""

import pytest

from pats import InputError, Run
from pats.tasks import load
from support.tables import labelled_rows, write_table

FILES = {"data": 40, "dev": 10, "test": 12}


def named_files(folder, names=FILES, **columns):
    """Tables of other texts each, under the names that they are passed as."""
    start, paths = 0, {}
    for name in names:
        rows = labelled_rows("ab" * (FILES[name] // 2), **columns)
        rows = [row | {"text": f"text {start + i}"} for i, row in enumerate(rows)]
        start += len(rows)
        paths[name] = write_table(folder / f"{name}.csv", rows)
    return paths


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        (("data", "dev", "test"), {"train": 40, "dev": 10, "test": 12}),
        (("data", "test"), {"train": 34, "dev": 6, "test": 12}),
        (("data", "dev"), {"train": 40, "dev": 10}),
    ],
)
def test_splits_in_named_files_are_kept(tmp_path, given, sizes):
    data = load(**named_files(tmp_path, given))
    assert {name: len(split) for name, split in data.splits.items()} == sizes
    assert data.name == "data"
    assert any("no test split" in note for note in data.notes) is ("test" not in given)


def test_named_files_are_as_those_of_a_folder(tmp_path):
    files = named_files(tmp_path)
    named = load(**files)
    files["data"].rename(tmp_path / "train.csv")
    assert load(data=tmp_path).splits == named.splits


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("test", [{"words": "x", "label": "a"}], "no column 'text'"),
        ("dev", [{"text": "x", "answer": "a"}], "no column 'label'"),
        ("test", [{"text": "x", "label": "c"}], "class 'c' is in test of {data}, but never in train"),
        ("test", None, "is a folder, but with --dev every split is one table: name the test table"),
        ("data", None, "is a folder, but with --dev every split is one table: name the train table"),
    ],
)
def test_named_files_that_do_not_fit_each_other_are_refused(tmp_path, name, rows, said):
    files = named_files(tmp_path)
    if rows is None:
        files[name] = tmp_path
    else:
        write_table(files[name], rows)
    with pytest.raises(InputError) as refused:
        load(**files)
    assert said.format(**files) in str(refused.value)


def test_twins_across_named_files_are_counted_and_a_test_without_labels_is_left_out(tmp_path):
    files = named_files(tmp_path)
    write_table(files["dev"], [{"text": f"TEXT  {i}", "label": "ab"[i % 2]} for i in range(10)])
    write_table(files["test"], [{"text": f"text {i}"} for i in range(50, 60)])
    data = load(**files)
    assert "test" not in data.splits
    told = " ".join(data.notes)
    assert "10 rows" in told
    assert "The test split has no labels: its 10 rows are left out" in told


def test_files_for_splits_belong_to_the_id_until_their_content_does(tmp_path):
    assert len({Run(data="x").id, Run(data="x", dev="y").id, Run(data="x", test="y").id}) == 3
    assert Run(data="x", test="y", fingerprint="f").id == Run(data="z", fingerprint="f").id


def test_what_a_folder_holds_beside_its_splits_is_said(tmp_path):
    for name, rows in (("train", 60), ("reviews_test", 30), ("eval", 30), ("unlabelled", 5)):
        write_table(
            tmp_path / f"{name}.csv", labelled_rows(["a", "b"] * rows, text=lambda i, n=name: f"{n} {i}")
        )
    data = load(data=tmp_path)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 120, "dev": 60}
    assert any("also holds reviews_test.csv, unlabelled.csv, not read here" in note for note in data.notes)
    (tmp_path / "reviews_test.csv").rename(tmp_path / "test.csv")
    assert not any("also holds" in note for note in load(data=tmp_path).notes)  # nothing is missing


def test_rows_of_one_text_are_not_said_to_stay_together_where_the_table_has_splits(tmp_path):
    rows = labelled_rows(
        ["a", "b"] * 40, text=lambda i: f"t {i % 50}", split=lambda i: "train" if i < 50 else "test"
    )
    notes = load(data=write_table(tmp_path / "a.csv", rows)).notes
    assert any("rows hold 30 texts only" in note for note in notes)
    assert not any("stay in one split" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "value", "options", "read"),
    [
        ("subset", lambda i: "test" if i % 3 == 0 else "train", {}, True),
        ("data_split", lambda i: "dev" if i % 3 == 0 else "train", {}, True),
        ("word", lambda i: "test" if i % 3 == 0 else "train", {}, False),  # what a text is about
        ("set", lambda i: "test" if i % 3 == 0 else "dev", {}, False),  # environments of a program
        ("set", lambda i: "test" if i % 3 == 0 else "train", {"folds": 3}, False),
        ("set", lambda i: "test" if i % 3 == 0 else "train", {"group": "set"}, False),
    ],
)
def test_a_column_is_read_as_the_split_by_its_name_and_its_content(tmp_path, name, value, options, read):
    rows = labelled_rows(["a", "b"] * 60, **{name: value})
    if "group" in options:
        rows = [{**row, name: f"{row[name]}{i % 9}"} for i, row in enumerate(rows)]
    data = load(data=write_table(tmp_path / "a.csv", rows), **options)
    assert any(f"The splits are those of column '{name}'" in note for note in data.notes) is read


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("header", ["text,label", "TEXT, Label", '"text","label"'])
def test_files_that_were_joined_are_one_table(tmp_path, mark, header):
    rows = [f"text {i},{'ab'[i % 2]}" for i in range(60)]
    text = "\n".join([mark + "text,label", *rows[:30], mark + header, *rows[30:]])
    (tmp_path / "a.csv").write_text(text, "utf-8")
    data = load(data=tmp_path / "a.csv")
    assert (sum(map(len, data.splits.values())), data.labels) == (60, ("a", "b"))
    lines = "\n".join(
        f'{mark * (i % 30 == 0)}{{"text": "t {i}", "label": "{"ab"[i % 2]}"}}' for i in range(60)
    )
    (tmp_path / "a.jsonl").write_text(lines, "utf-8")
    assert sum(map(len, load(data=tmp_path / "a.jsonl").splits.values())) == 60


@pytest.mark.parametrize(("name", "again"), [("label", 2), ("score", 1)])
def test_a_header_that_is_repeated_is_no_row(tmp_path, name, again):
    lines = [f"text {i},{i % 2}" for i in range(60)]
    header = f"text,{name}"
    for i in range(again):
        lines.insert(20 * (i + 1), header)
    (tmp_path / "a.csv").write_text("\n".join([header, *lines]))
    data = load(data=tmp_path / "a.csv")
    assert sum(map(len, data.splits.values())) == 60
    more = ", and so 1 other row does" if again > 1 else ""
    place = f"line 22 of {tmp_path / 'a.csv'}"
    assert f"Warning: {place} repeats the names of the columns{more}: such rows are skipped." in data.notes


@pytest.mark.parametrize(("filled", "said"), [(6, True), (2, False)])
def test_labels_of_merged_cells_are_to_be_filled_down(tmp_path, filled, said):
    rows = [
        {"text": f"text {i}", "label": "ab"[i // filled % 2] if i % filled == 0 else ""} for i in range(240)
    ]
    with pytest.raises(InputError) as error:
        load(data=write_table(tmp_path / "a.csv", rows))
    assert ("fill it down" in str(error.value)) is said


@pytest.mark.parametrize(("third", "classes"), [("c", ("a", "b", "c")), ("+", ("+", "-", "a", "b"))])
def test_a_minus_is_a_missing_label_where_there_is_no_plus(tmp_path, third, classes):
    rows = [{"text": f"text {i}", "label": ["a", "b", third, "-"][i % 4]} for i in range(80)]
    path = write_table(tmp_path / "a.csv", rows)
    assert load(data=path, drop_unlabelled=True).labels == classes
    warned = any("--drop-unlabelled leaves out the rows of '-'" in note for note in load(data=path).notes)
    assert warned is (third == "c")
