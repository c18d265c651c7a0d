"""Tables in folds: every row is test once, and what belongs together stays together."""

from collections import Counter

import pytest

from pats import InputError, Run
from pats.tasks import load
from support.tables import labelled_rows, write_table

AB = ["a", "b", "b"] * 20


def in_folds(data, folds, **asked):
    return [load(data=data, folds=folds, fold=fold, **asked) for fold in range(1, folds + 1)]


@pytest.mark.parametrize("folds", [2, 5])
@pytest.mark.parametrize(
    ("labels", "asked"),
    [
        (AB, {}),
        (AB, {"group": "who"}),
        ([i / 7 for i in range(60)], {}),
        (["x; y", "x", "y", "z; y"] * 15, {"kind": "multilabel"}),
    ],
    ids=["classes", "groups", "scores", "several"],
)
def test_every_row_is_test_once_and_none_is_twice_in_a_fold(tmp_path, labels, asked, folds):
    rows = labelled_rows(labels, who=lambda i: f"author {i % 11}")
    made = in_folds(write_table(tmp_path / "t.csv", rows), folds, **asked)
    assert Counter(text for one in made for text in one.splits["test"].text) == Counter(
        row["text"] for row in rows
    )
    for one in made:
        held = [text for split in one.splits.values() for text in split.text]
        assert sorted(held) == sorted(row["text"] for row in rows)
        assert all(len(split) for split in one.splits.values())
    assert len({one.fingerprint for one in made}) == 1


def test_a_fold_has_its_share_of_every_class(tmp_path):
    for one in in_folds(write_table(tmp_path / "t.csv", labelled_rows(AB)), 5):
        for split in one.splits.values():
            assert abs(Counter(split.label)[0.0] / len(split) - 1 / 3) < 0.12


def test_twins_and_groups_are_in_one_fold(tmp_path):
    rows = [
        {"text": f"Text {i % 30}{' ' * (i // 30)}", "label": AB[i % 30], "who": i % 10} for i in range(60)
    ]
    path = write_table(tmp_path / "t.csv", rows)
    for asked, key in (({}, lambda text: text.strip().lower()), ({"group": "who"}, None)):
        who = {row["text"]: row["who"] for row in rows}
        for one in in_folds(path, 3, **asked):
            named = [{(key or who.__getitem__)(text) for text in split.text} for split in one.splits.values()]
            assert sum(map(len, named)) == len(set.union(*named))


def test_all_rows_are_for_the_model_that_is_exported(tmp_path):
    whole = load(data=write_table(tmp_path / "t.csv", labelled_rows(AB)), folds=5)
    assert {name: len(split) for name, split in whole.splits.items()} == {"train": 51, "dev": 9}
    assert not any("no test split" in note for note in whole.notes)
    assert any("60 rows were divided into 5 folds" in note for note in whole.notes)


def test_the_fingerprint_is_of_the_rows_their_division_and_the_number_of_folds(tmp_path):
    rows = labelled_rows(AB)
    path = write_table(tmp_path / "t.csv", rows)
    others = [
        load(data=path, folds=5),
        load(data=path, folds=4),
        load(data=path, folds=5, seed=1),
        load(data=path),
        load(data=write_table(tmp_path / "u.csv", [*rows[:-1], rows[-1] | {"label": "a"}]), folds=5),
    ]
    assert len({one.fingerprint for one in others}) == len(others)


@pytest.mark.parametrize(
    ("rows", "asked", "said"),
    [
        (labelled_rows(AB), {"folds": 21}, "class 'a' has 20 different texts in {}, too few for 21 folds"),
        (labelled_rows(AB), {"folds": 21}, "or take --folds 20"),
        (labelled_rows(AB), {"folds": 40}, "has 60 different texts, too few for 40 folds: take at most 30"),
        (
            labelled_rows(AB, who=lambda i: i % 4),
            {"folds": 5, "group": "who"},
            "has 4 groups of rows, too few for 5 folds: take at most 4",
        ),
        (
            labelled_rows(AB, who=lambda i: AB[i]),
            {"folds": 2, "group": "who"},
            "divides the rows into 1 part, but train, dev need one each",
        ),
        (
            labelled_rows(AB, split=lambda i: ["train", "dev", "test"][i % 3]),
            {"folds": 5},
            "{} brings its own splits, but --folds divides all rows",
        ),
        (
            labelled_rows(AB, day=lambda i: i),
            {"folds": 5, "time": "day"},
            "--folds makes every row test once",
        ),
    ],
)
def test_what_folds_cannot_be_made_of_is_refused(tmp_path, rows, asked, said):
    path = write_table(tmp_path / "t.csv", rows)
    with pytest.raises(InputError) as refused:
        load(data=path, **asked)
    assert said.format(path) in str(refused.value)


def test_rare_classes_are_those_with_fewer_texts_than_folds(tmp_path):
    path = write_table(tmp_path / "t.csv", labelled_rows([*AB, *"cccc"]))
    assert load(data=path).labels == ("a", "b", "c")
    with pytest.raises(InputError, match="class 'c' has 4 different texts"):
        load(data=path, folds=5)
    assert load(data=path, folds=5, drop_rare=True).labels == ("a", "b")
    assert load(data=path, folds=4, drop_rare=True).labels == ("a", "b", "c")


@pytest.mark.parametrize("given", [{"folds": 1}, {"folds": "x"}, {"folds": 3, "fold": 4}, {"fold": 1}])
def test_folds_that_are_none_are_refused(given):
    with pytest.raises(InputError, match="fold"):
        Run(**given)


def test_ids_without_folds_stay_and_every_fold_has_its_own():
    plain = Run(data="x.csv")
    ids = {plain.id, *(Run(data="x.csv", folds=3, fold=fold).id for fold in (None, 1, 2, 3))}
    assert len(ids) == 5
    assert plain.id == "b62cecd3f5ae1441"
