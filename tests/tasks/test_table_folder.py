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


def test_two_tables_in_the_folder_of_a_split_are_none(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("a", "b"):
        write_table(tmp_path / "train" / f"{name}.csv", ROWS)
    with pytest.raises(InputError, match="no train table"):
        tables_of(Asked(tmp_path))
