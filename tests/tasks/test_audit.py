import json
from collections import Counter

import pytest

from pats._errors import InputError
from pats.tasks import audit, load
from pats.tasks.audit import Row
from pats.tasks.columns import Columns
from pats.tasks.reading import open_table as read
from pats.tasks.table import examine
from support.tables import CSV, labelled_rows, write_table


def rows_of(*examples):
    return [Row(tuple(texts), label, label.strip(), "line 1", None) for *texts, label in examples]


def notes(tmp_path, rows, **options):
    return load(data=write_table(tmp_path / "a.csv", rows), **options).notes


def said(found, word):
    (note,) = [note for note in found if word in note]
    return note


ALIKE = {
    "case": (["Positive", "positive ", "neg"], ["'Positive' (20 rows)", "'positive ' (20 rows)", "stay 2"]),
    "form": (
        ["caf\u00e9", "cafe\u0301", "tea"],
        [r"'cafe\u0301' (20 rows)", "'café' (20 rows)", "as 'café'", "NFC"],
    ),
    "blanks": (["neg", " neg", "pos\t"], ["'neg' (20 rows)", "' neg' (20 rows)", "read as 'neg'"]),
    "invisible": (["neg", "neg\u200b", "pos"], [r"'neg\u200b' (20 rows)", "stay 2"]),
    "another blank": (["a\u00a0b", "a b", "c"], [r"'a\xa0b' (20 rows)", "stay 2"]),
    "numbers": (["1.0", "1", "0"], ["'1.0' (20 rows)", "'1' (20 rows)", "read as '1'"]),
}
CLASSES = {
    "case": ("Positive", "neg", "positive"),
    "form": ("café", "tea"),
    "blanks": ("neg", "pos"),
    "invisible": ("neg", "neg\u200b", "pos"),
    "another blank": ("a b", "a\u00a0b", "c"),
    "numbers": ("0", "1"),
}


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_labels_that_look_alike_are_named(tmp_path, kind, suffix):
    cells, told = ALIKE[kind]
    data = load(data=write_table(tmp_path / f"a{suffix}", labelled_rows(cells * 20)))
    assert data.labels == CLASSES[kind]
    note = said(data.notes, "look alike")
    assert note.startswith("Warning: ")
    assert all(part in note for part in told), note


def test_labels_that_differ_are_not_named(tmp_path):
    assert not any("look alike" in note for note in notes(tmp_path, labelled_rows(["a", "b", "1", "2"] * 10)))


def test_many_variants_make_one_short_sentence():
    names = [f"c{i}" for i in range(9)] + [f"C{i}" for i in range(9)]
    (found,) = audit.spellings(rows_of(*(("x", name) for name in names)), names)
    assert found.counts == {"groups": 9, "apart": 9}
    assert "and 4 more such groups" in found.message


TWINS = {
    "blank": ("film {} was fine", "film {} was  fine "),
    "case": ("film {} was fine", "FILM {} Was fine"),
    "invisible": ("film {} was fine", "film {} was\u200b fi\u00adne"),
    "unicode": ("café {}", "cafe\u0301 {}"),
    "same": ("film {} was fine", "film {} was fine"),
}


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("column", ["text", "sentence2"])
@pytest.mark.parametrize("seed", range(3))
def test_twins_stay_together_and_are_counted(tmp_path, kind, column, seed):
    rows = [
        {column: TWINS[kind][twin].format(i), "label": "ab"[i % 2]} for twin in range(2) for i in range(20)
    ]
    if column == "sentence2":
        rows = [{"sentence1": "so it was", **row} for row in rows]
    data = load(data=write_table(tmp_path / "a.csv", rows), seed=seed)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 28, "dev": 6, "test": 6}
    places = Counter()
    for split in data.splits.values():
        places.update({digits(text) for text in (split.text_pair or split.text)})
    assert places == dict.fromkeys(map(str, range(20)), 1)
    assert "40 rows hold 20 texts only" in said(data.notes, "stay in one split")


def digits(text):
    return "".join(c for c in text if c.isdigit())


def test_texts_that_differ_in_a_digit_are_no_twins(tmp_path):
    assert not any("rows hold" in note for note in notes(tmp_path, labelled_rows(["a", "b"] * 20)))


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        ([(f"t {i}", label) for i in range(20) for label in "ab"], "20 texts have two labels: {} 50 %{}"),
        ([("t", "a"), ("t", "a"), ("t", "b"), ("u", "a")], "1 text has two labels: {} 75 %{}"),
        ([("t", label) for label in "abc"] + [("u", "a")], "1 text has two or more labels: {} 50 %{}"),
        ([("t", "a"), ("T ", "b")], "1 text has two labels or more where case, blanks and invisible "),
        ([("t", "a"), ("t", "a"), ("u", "b")], None),
    ],
)
def test_texts_with_two_labels_set_a_ceiling(examples, told):
    rows = rows_of(*examples)
    found = audit.two_labels(rows, ["abc".index(row.label) for row in rows], regression=False)
    if told is None:
        assert found == []
    else:
        (one,) = found
        assert one.message.startswith(told.format("no method can be above", " accuracy."))
        assert one.severity == "warning"


def test_texts_with_two_scores_set_none():
    (found,) = audit.two_labels(rows_of(("t", "1"), ("t", "2")), [1.0, 2.5], regression=True)
    assert found.message == "1 text has two scores."


def test_the_ceiling_is_said_of_a_table(tmp_path):
    rows = [{"text": f"text {i // 2}", "label": "ab"[i % 2]} for i in range(40)]
    note = said(notes(tmp_path, rows), "two labels")
    assert note == "Warning: 20 texts have two labels: no method can be above 50 % accuracy."


def test_twins_across_own_splits_are_counted(tmp_path):
    rows = [*labelled_rows(["a", "b"] * 20), {"text": "TEXT 7", "label": "a"}, {"text": "new", "label": "b"}]
    rows += [{"text": "text  8", "label": "a"}, {"text": "New ", "label": "b"}, {"text": "old", "label": "a"}]
    splits = ["train"] * 40 + ["dev"] * 2 + ["test"] * 3
    rows = [row | {"split": split} for row, split in zip(rows, splits, strict=True)]
    data = load(data=write_table(tmp_path / "a.csv", rows))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "dev": 2, "test": 3}
    assert "Warning: 1 of 2 rows of dev have the same text as a row of train," in said(data.notes, "of dev")
    assert "2 of 3 rows of test have the same text as a row of train or dev," in said(data.notes, "of test")


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["text", "label"], None),
        (["date", "text", "label"], "Column left out: 'date'."),
        (["", "text", "label"], "Column left out: one without a name."),
        (["id", "text", "title", "label", ""], "Columns left out: 'id', 'title', one without a name."),
        (["text", "label", "prediction"], "Column left out: 'prediction'."),
        (["Text", "text", "label"], "Warning: Column left out: 'Text'. 'Text' differs from 'text', which is"),
    ],
)
def test_columns_left_out_are_named(tmp_path, names, note):
    table = read(write_table(tmp_path / "a.csv", [dict.fromkeys(names, "x")]))
    found = [str(one) for one in audit.left_out(table, Columns("text", None, "label"))]
    assert len(found) == (note is not None)
    assert all(one.startswith(note) for one in found)


def test_a_split_column_is_not_left_out(tmp_path):
    rows = labelled_rows(["a", "b"] * 30, split=lambda i: ("train", "dev", "test")[i // 20], id=str)
    assert said(notes(tmp_path, rows), "left out") == "Column left out: 'id'."


def test_all_columns_that_are_used_are_said(tmp_path):
    found = notes(tmp_path, labelled_rows(["a", "b"] * 20), label="label")
    assert found[:2] == ("The label is column 'label', as named.", "The text is column 'text', by its name.")


@pytest.mark.parametrize(
    ("cells", "several"),
    [
        (["a", "b", "a,b"], True),
        (["a", "b", "c", "a, c", "b ,c"], True),
        (["joy;love", "joy", "love"], True),
        (["['joy', 'love']", "['joy']", "['love']"], True),
        (["drama|war", "drama", "war", "drama|war|love"], True),
        (["2,5", "2", "5"], True),
        (["Paris, France", "Lyon, France", "Bonn, Germany"], False),
        (["yes", "no", "yes, but later"], False),
        (["a", "b"], False),
    ],
)
def test_several_labels_a_cell(tmp_path, cells, several):
    path = write_table(tmp_path / "a.csv", labelled_rows(cells * 10))
    if cells[0] == "2,5":  # the comma may be a decimal one
        with pytest.raises(
            InputError, match=r"--kind regression .* --kind multilabel .* --kind classification"
        ):
            load(data=path)
        assert load(data=path, kind="multilabel").labels == ("2", "5")
    else:
        data = load(data=path)
        assert data.multilabel is several
        if several:
            said = "listed" if cells[0][0] == "[" else "--kind classification"  # lists are no names
            assert any(said in note for note in data.notes)
    assert set(load(data=path, kind="classification").labels) == set(cells)


def test_a_table_is_examined_even_if_it_cannot_be_learnt(tmp_path):
    rows = [{"id": i, "text": f"text {i % 300}", "label": 18 + i % 60} for i in range(600)]
    examined = examine(write_table(tmp_path / "a.csv", rows))
    found = {finding.code: finding for finding in examined.findings}
    assert list(found) == ["columns", "left-out", "kind", "twins"]
    assert found["kind"].severity == audit.ERROR
    assert found["kind"].counts == {"labels": 60}
    assert found["twins"].counts == {"rows": 600, "texts": 300}
    assert len(examined.rows) == 600


def test_lists_among_names_are_several_labels(tmp_path):
    path = write_table(tmp_path / "a.jsonl", labelled_rows(["a", ["a", "b"]] * 20))
    data = load(data=path)
    assert data.multilabel
    assert data.labels == ("a", "b")
    for kind in ("classification", "regression"):
        with pytest.raises(InputError, match=rf"line 2 .* 2 labels, but {kind} has one"):
            load(data=path, kind=kind)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV + ",\n , \n"),
        ("a.csv", CSV.replace("text 7,b\n", 'text 7,b\n,\n"",""\n', 1)),
        (
            "a.jsonl",
            "".join(json.dumps(row) + "\n" for row in labelled_rows(["a", "b"] * 20))
            + '{}\n{"text": " ", "label": null}\n',
        ),
    ],
)
def test_blank_rows_are_skipped_and_counted(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    data = load(data=tmp_path / name)
    assert sum(map(len, data.splits.values())) == 40
    assert "2 blank rows are skipped." in data.notes


@pytest.mark.parametrize("label", ["", " ", "\u200b", "\u00a0"])
def test_a_row_without_a_label_is_refused_by_its_number(tmp_path, label):
    (tmp_path / "a.csv").write_text(CSV + f"one more,{label}\n")
    with pytest.raises(InputError, match=r"line 42 .* has no label"):
        load(data=tmp_path / "a.csv")
