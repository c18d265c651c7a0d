"""Folders as the datasets library and the hub lay them out, and files of splits."""

import datasets
import pytest

from pats import InputError
from pats.tasks import Asked, load
from pats.tasks.rows import tables_of
from pats.tasks.table_folder import tables_in
from support.tables import write_table

ROWS = [{"text": f"a film of {i} minutes", "label": i % 2} for i in range(30)]
FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
)
NAMED = [{**row, "label": ("no", "yes")[row["label"]]} for row in ROWS]
HASH = "a09b74b3ef9c3b56"


def of(rows):
    return datasets.Dataset.from_list(rows, features=FEATURES)


def rows_in(folder):
    return {split: list(table.rows()) for split, table in tables_in(folder).items()}


@pytest.mark.parametrize("shards", [1, 3])
def test_what_datasets_saves(tmp_path, shards):
    of(ROWS).save_to_disk(tmp_path / "flat", num_shards=shards)
    assert rows_in(tmp_path / "flat") == {None: NAMED}
    splits = datasets.DatasetDict({"train": of(ROWS), "validation": of(ROWS[:6]), "test": of(ROWS[6:9])})
    splits.save_to_disk(tmp_path / "dict", num_shards={"train": shards, "validation": 1, "test": 1})
    assert rows_in(tmp_path / "dict") == {"train": NAMED, "dev": NAMED[:6], "test": NAMED[6:9]}
    data = load(data=tmp_path / "dict")
    assert (data.labels, len(data.splits["train"])) == (("no", "yes"), 30)


@pytest.mark.parametrize("place", [".", "data"])
@pytest.mark.parametrize("ending", ["", f"-{HASH}"])
def test_the_layout_of_the_hub(tmp_path, place, ending):
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    (tmp_path / "README.md").write_text("what this is")
    for split, part, total, rows in (
        ("train", 0, 2, ROWS[:9]),
        ("train", 1, 2, ROWS[9:]),
        ("test", 0, 1, ROWS[:4]),
    ):
        of(rows).to_parquet(folder / f"{split}-{part:05}-of-{total:05}{ending}.parquet")
    assert rows_in(tmp_path) == {"train": NAMED, "test": NAMED[:4]}
    (train, _) = tables_in(tmp_path).values()
    assert "2 files are one table." in train.notes
    assert train.line(29) == f"row 30 of {folder}"


def test_a_folder_for_each_split_with_one_table_in_it(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        write_table(tmp_path / split / "reviews.csv", ROWS)
        (tmp_path / split / "about.json").write_text("{}")
    assert {split: len(table) for split, table in tables_in(tmp_path).items()} == {"train": 30, "dev": 30}


def test_the_only_table_of_a_folder(tmp_path):
    write_table(tmp_path / "reviews.csv", ROWS)
    (tmp_path / "README.txt").write_text("what this is")
    assert {split: len(table) for split, table in tables_in(tmp_path).items()} == {None: 30}
    write_table(tmp_path / "others.csv", ROWS)
    with pytest.raises(InputError, match="no train table"):
        tables_in(tmp_path)


def lay(folder, names):
    """Write small tables at these places: texts where a name ends in .txt or .md, fastText's by a split's."""
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix in (".txt", ".md"):
            place.write_text(f"a text of {name}")
        elif place.suffix in (".fit", ".train", ".valid", ".test"):
            place.write_text("__label__a one\n__label__b two\n__label__a three\n")
        elif place.suffix == ".parquet":
            of(ROWS[:3]).to_parquet(place)
        else:
            write_table(place, ROWS[:3])
    return folder


def texts(*folders):
    return [f"{folder}/{i}.txt" for folder in folders for i in range(3)]


# Files of a folder, and the rows of every split.
READ = {
    "a folder and a file": (["train/a.csv", "test.csv"], {"train": 3, "test": 3}),
    "classes and a file": ([*texts("train/pos", "train/neg"), "test.csv"], {"train": 6, "test": 3}),
    "splits in data and above it": (["data/train.csv", "test.csv"], {"train": 3, "test": 3}),
    "classes in data": (texts("data/train/a", "data/train/b", "data/test/a"), {"train": 6, "test": 3}),
    "a train table alone": (["train.csv", "data/other.csv"], {None: 3}),
    "a test split of one class": (texts("train/a", "train/b", "test/a"), {"train": 6, "test": 3}),
    "classes called as splits are": (texts("train", "bus", "tram"), {None: 9}),
    "JSON that is the table": (["train/a.json"], {None: 3}),
    "the only table is JSON": (["a.json"], {None: 3}),
    "shards beside a cache": (["data-00000-of-00001.csv", "cache-12ab.csv", "state.json"], {None: 3}),
    "what a Mac and Excel add": (["train.csv", "._train.csv", "~$train.csv", ".test.csv"], {None: 3}),
    "one configuration of the hub": (["plain/train-0-of-1.csv", "plain/test.csv"], {"train": 3, "test": 3}),
    "fastText's files": (["cooking.train", "cooking.valid", "cooking.fit"], {"train": 3, "dev": 3}),
    "documents by class": (["a/1.md", "a/2.MD", "b/1.md", "README.md"], {None: 3}),
    "a name in capitals": (["TRAIN.csv", "Test/a.csv"], {"train": 3, "test": 3}),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_what_a_folder_holds(tmp_path, case):
    names, sizes = READ[case]
    found = tables_in(lay(tmp_path, names))
    assert {split: len(table) for split, table in found.items()} == sizes
    assert not any("Warning" in note for table in found.values() for note in table.notes)


# Files of a folder, and what is said of the part that is not read.
WARNED = {
    "texts without a class": ([*texts("train/a", "train/b"), *texts("test")], "test is named for a split"),
    "an empty folder": (["train.csv", "test/sub/a.csv"], "test is named for a split"),
    "a document beside texts": ([*texts("a", "b"), "b/README.md"], "1 files beside the texts are not read"),
    "a table beside classes": ([*texts("pos", "neg"), "names.csv"], "also holds names.csv"),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_is_not_read_is_warned_of(tmp_path, case):
    names, part = WARNED[case]
    (table,) = tables_in(lay(tmp_path, names)).values()
    assert [part in note for note in table.notes if note.startswith("Warning")] == [True]


# Files of a folder, and parts of the error.
REFUSED = {
    "two tables of a split": (["train.csv", "test/a.csv", "test/b.csv"], ["test holds a.csv, b.csv"]),
    "a file and a folder": (["train.csv", "train/a.csv"], ["train.csv", "train/a.csv", "keep one"]),
    "two folders of a split": (["train.csv", "val/a.csv", "valid/a.csv"], ["val/a.csv and valid/a.csv"]),
    "two folders of classes": (texts("train/a", "train/b", "Train/a"), ["Train and train: keep one"]),
    "here and in data": (["test.csv", "data/train.csv", "data/test.csv"], ["test.csv and data/test.csv"]),
    "a shard twice": (
        [f"train-00000-of-00002-{HASH}.csv", f"train-00000-of-00002-{HASH[::-1]}.csv"],
        ["train-00000-of-00002", "keep one"],
    ),
    "shards of two formats": (
        ["train-00000-of-00002.csv", "train-00001-of-00002.parquet"],
        ["train-00000-of-00002.csv and train-00001-of-00002.parquet"],
    ),
    "shards of two sizes": (["train-0-of-2.csv", "train-1-of-3.csv"], ["-0-of-2.csv and train-1-of-3.csv"]),
    "shards and the whole": (["train-0-of-2.csv", "train-1-of-2.csv", "train.csv"], ["train.csv and train-"]),
    "a shard is missing": (["train-0-of-3.csv", "train-2-of-3.csv"], ["2 of 3 files"]),
    "several configurations": (["en/train.csv", "de/train.csv"], ["several folders with splits (de, en)"]),
    "two tables": (["a.csv", "b.csv"], ["no train table"]),
    "nothing": ([], ["no train table"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_apart_is_refused(tmp_path, case):
    names, parts = REFUSED[case]
    with pytest.raises(InputError) as error:
        tables_in(lay(tmp_path, names))
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_two_tables_in_the_folder_of_a_split_are_none(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("a", "b"):
        write_table(tmp_path / "train" / f"{name}.csv", ROWS)
    with pytest.raises(InputError, match="no train table"):
        tables_of(Asked(tmp_path))
