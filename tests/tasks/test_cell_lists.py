import pytest

from pats import InputError
from pats.tasks import load
from support.tables import labelled_rows, write_table


@pytest.mark.parametrize(
    "cells",
    [
        ['["joy", "love"]', '["joy"]', '["love"]', "[]"],
        ["['joy', 'love']", "['joy']", "['love']", "[]"],
        ["('joy', 'love')", "('joy',)", "['love']", "()"],
        ["{'joy', 'love'}", "{'joy'}", "{'love'}", "[]"],
        ["['joy' 'love']", "['joy']", "['love']", "[]"],
        ['{"choices": ["joy", "love"]}', '{"choices": ["joy"]}', '{"choices": ["love"]}', "[]"],
        ['{"choices": ["joy", "love"]}', "joy", "love", "[]"],  # as Label Studio writes single choices
    ],
)
def test_lists_that_are_written_out_are_read(tmp_path, cells):
    data = load(data=write_table(tmp_path / "a.csv", labelled_rows(cells * 15)))
    assert data.labels == ("joy", "love")
    assert {len(one) for one in data.sets} == {0, 1, 2}
    assert any("several labels, listed" in note for note in data.notes)


@pytest.mark.parametrize("marks", [(0.0, 1.0), (0, 1), (False, True)])
def test_marks_by_label_as_spacy_writes_them(tmp_path, marks):
    rows = [
        {"text": f"text {i}", "cats": {"joy": marks[i % 2], "love": marks[i % 3 == 0]}} for i in range(60)
    ]
    data = load(data=write_table(tmp_path / "a.jsonl", rows))
    assert data.multilabel
    assert data.labels == ("joy", "love")
    either = [
        {"text": f"text {i}", "cats": {"joy": marks[i % 2], "love": marks[1 - i % 2]}} for i in range(60)
    ]
    data = load(data=write_table(tmp_path / "b.jsonl", either))
    assert (data.labels, data.multilabel) == (("joy", "love"), False)


@pytest.mark.parametrize(
    ("cats", "said"),
    [
        ({"joy": 0.7, "love": 0.3}, "a number for each label: .*; mark each label with 0 or 1"),
        ({"joy": "1", "love": "0"}, "a number for each label: .*; mark each label with 0 or 1"),
        ({"score": 1}, "a number for each label: .*; mark each label with 0 or 1"),
        ({"joy": {"a": 1}}, "objects with parts of their own"),
    ],
)
def test_other_objects_by_label_are_refused(tmp_path, cats, said):
    rows = [{"text": f"text {i}", "cats": cats} for i in range(60)]
    with pytest.raises(InputError, match=said):
        load(data=write_table(tmp_path / "a.jsonl", rows))


def test_marks_of_some_rows_name_some_labels(tmp_path):
    cats = [{"joy": 1, "love": None}, {"love": 1.0}, {}, {"joy": True, "love": 1}, {"love": 0, "joy": 0}]
    rows = [{"text": f"text {i}", "cats": cats[i % 5]} for i in range(60)]
    data = load(data=write_table(tmp_path / "a.jsonl", rows))
    assert (data.labels, data.multilabel) == (("joy", "love"), True)
    assert {len(one) for one in data.sets} == {0, 1, 2}
    rows[0]["cats"] = "joy"
    with pytest.raises(InputError, match="objects with parts of their own"):
        load(data=write_table(tmp_path / "b.jsonl", rows))


def test_numbers_as_numpy_prints_them_and_names_with_a_comma(tmp_path):
    numbers = load(data=write_table(tmp_path / "a.csv", labelled_rows(["[27]", "[ 2 27]", "[2]"] * 20)))
    assert numbers.labels == ("2", "27")
    names = ["['Food, drink', 'Art']", "['Art']", "['Food, drink']"]
    assert load(data=write_table(tmp_path / "b.csv", labelled_rows(names * 20))).labels == (
        "Art",
        "Food, drink",
    )


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["['pos']", "['neg']"], ("neg", "pos")),
        (["[spam]", "[ham]"], ("[ham]", "[spam]")),
        (["[NAME CUT]", "(a)"], ("(a)", "[NAME CUT]")),
        (["['a', 'b']", "plain"], ("['a', 'b']", "plain")),
    ],
)
def test_one_label_a_row_is_a_class_and_what_is_no_list_stays(tmp_path, cells, labels):
    data = load(data=write_table(tmp_path / "a.csv", labelled_rows(cells * 20)), kind="classification")
    assert data.labels == labels


@pytest.mark.parametrize("cells", [["[1, 0, 1]", "[0, 0, 1]"], ["[0.1, 0.9]", "[0.75, 0.25]"]])
def test_numbers_for_labels_without_names_are_refused(tmp_path, cells):
    with pytest.raises(InputError, match="a number for each label without its name"):
        load(data=write_table(tmp_path / "a.csv", labelled_rows(cells * 20)))


def test_a_few_empty_lists_beside_single_labels_are_asked_about(tmp_path):
    rows = [{"text": f"text {i}", "label": [] if i < 3 else ["ab"[i % 2]]} for i in range(60)]
    path = write_table(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match="57 rows list exactly one label and 3 none"):
        load(data=path)
    with pytest.raises(InputError, match="--drop-unlabelled"):
        load(data=path, kind="classification")
    data = load(data=path, kind="classification", drop_unlabelled=True)
    assert sum(map(len, data.splits.values())) == 57
    assert load(data=path, kind="multilabel").multilabel


def test_objects_with_a_list_beside_words_are_lists(tmp_path):
    cells = [{"choices": ["joy", "love"]}, "joy", "love"]
    rows = [{"text": f"text {i}", "sentiment": cells[i % 3]} for i in range(60)]
    data = load(data=write_table(tmp_path / "a.jsonl", rows))
    assert data.labels == ("joy", "love")
    assert {len(one) for one in data.sets} == {1, 2}


def test_a_cell_that_only_begins_as_a_list_leaves_the_column_as_it_is(tmp_path):
    cells = ["['a', 'b']", "[broken", "plain"]
    with pytest.raises(InputError, match="too few"):
        load(
            data=write_table(tmp_path / "a.csv", labelled_rows([*cells * 20, "['c'"])), kind="classification"
        )
