"""A split that divides no group."""

from collections import Counter

import pytest

from pats import InputError, Run
from pats.run import finetune
from pats.tasks import load
from pats.tasks.groups import SCORED, blocks_of
from support.tables import labelled_rows, write_table

AB = ["a", "b", "b"]


def groups_of(data, rows):
    known = {row["text"]: row["author"] for row in rows}
    return {name: {known[text] for text in split.text} for name, split in data.splits.items()}


@pytest.mark.parametrize("authors", [10, 30, SCORED + 10])
@pytest.mark.parametrize("labels", [AB * 40, [1.5, 2.5, 3.5, 4.25] * 30])
def test_no_group_is_divided_and_the_split_stays_even(tmp_path, authors, labels):
    rows = labelled_rows(labels, author=lambda i: f"author {i * 7 % authors}")
    data = load(data=write_table(tmp_path / "a.csv", rows), group="author")
    groups = groups_of(data, rows)
    for one in groups:
        for other in groups:
            assert one == other or not groups[one] & groups[other]
    sizes = [len(split) for split in data.splits.values()]
    assert sum(sizes) == 120
    assert abs(sizes[0] - 84) <= 12
    if data.labels:
        for split in data.splits.values():
            assert abs(Counter(split.label)[0.0] / len(split) - 1 / 3) < 0.15
    assert (data.splits["test"].group is not None) is (authors <= SCORED)
    if authors <= SCORED:
        assert set(data.splits["test"].group) == groups["test"]


def test_rows_of_one_text_or_group_stay_together():
    assert blocks_of(["x", "y", "x", "z", "w"], ["1", "2", "3", "3", "2"]) == [[0, 2, 3], [1, 4]]


def test_rows_without_a_group_are_each_by_themselves(tmp_path):
    rows = labelled_rows(AB * 20, author=lambda i: "" if i % 2 else f"author {i % 8}")
    data = load(data=write_table(tmp_path / "a.csv", rows), group="author")
    assert all(len(split) > 5 for split in data.splits.values())


def test_a_split_of_the_table_that_divides_groups_is_reported(tmp_path):
    rows = labelled_rows(
        AB * 20, author=lambda i: f"author {i % 8}", split=lambda i: ["train", "train", "dev", "test"][i % 4]
    )
    data = load(data=write_table(tmp_path / "a.csv", rows), group="author")
    assert not any("have a group" in note for note in data.notes)
    rows = [row | {"author": f"author {i % 3}"} for i, row in enumerate(rows)]
    data = load(data=write_table(tmp_path / "b.csv", rows), group="author")
    assert any("15 rows of 15 in test have a group that is in train too" in note for note in data.notes)


def test_scores_are_told_by_group(tmp_path):
    rows = labelled_rows(AB * 20, author=lambda i: f"author {i * 7 % 10}")
    path = write_table(tmp_path / "a.csv", rows)
    result = finetune(Run(data=str(path), method="majority", group="author"))
    assert any(name.startswith("author ") for name in result.test)
    assert result.run.id != finetune(Run(data=str(path), method="majority")).run.id


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group": "writer"}, "no column 'writer'"),
        ({"group": "author", "time": "label"}, "--group and --time both"),
        ({"group": "text"}, "name each column once"),
    ],
)
def test_bad_groups_are_one_sentence(tmp_path, given, said):
    path = write_table(tmp_path / "a.csv", labelled_rows(AB * 20, author=lambda i: f"author {i % 8}"))
    with pytest.raises(InputError, match=said):
        load(data=path, text="text", label="label" if "time" not in given else None, **given)
