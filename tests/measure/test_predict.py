import csv
import json
import os
import shutil

import pytest

from pats import InputError
from pats.measure.predict import predict
from pats.run import Run, finetune


@pytest.fixture(scope="module")
def trained(tiny_bert, many_reviews, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    run = Run(
        model=str(tiny_bert), data=str(many_reviews), method="vanilla", lr=3e-3, epochs=6, batch_size=16,
        precision="fp32", text="text",
    )  # fmt: skip
    finetune(run, out)
    return out / "model"


@pytest.fixture(scope="module")
def scored(tiny_bert, ratings, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored")
    finetune(Run(model=str(tiny_bert), data=str(ratings), epochs=1, precision="fp32"), out)
    return out / "model"


def table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_classes(trained, tmp_path):
    texts = ["the day was superb and warm", "the film was awful and dull", ""]
    data = table(tmp_path / "new.csv", ["id", "text"], [[i, t] for i, t in enumerate(texts)])
    found = predict(trained, data, out=tmp_path / "sub" / "labels.csv")
    assert [one.texts for one in found] == [(text,) for text in texts]
    assert [one.label for one in found[:2]] == ["good", "bad"]
    for one in found:
        assert set(one.scores) == {"bad", "good"}
        assert sum(one.scores.values()) == pytest.approx(1)
        assert one.label == max(one.scores, key=one.scores.get)
    with (tmp_path / "sub" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "text", "row", "prediction", "p_bad", "p_good"]
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    assert [row["row"] for row in rows] == ["1", "2", "3"]
    assert [row["prediction"] for row in rows] == [one.label for one in found]


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_batch_size_does_not_matter(trained, reviews, batch_size):
    a, b = predict(trained, reviews), predict(trained, reviews, batch_size=batch_size)
    for one, other in zip(a, b, strict=True):
        assert one.scores["good"] == pytest.approx(other.scores["good"], abs=1e-5)


def test_regression_on_pairs(scored, ratings, tmp_path):
    found = predict(scored, ratings, out=tmp_path / "scores.csv")
    assert len(found) == 120
    assert {one.label for one in found} == {None}
    header, *rows = csv.reader((tmp_path / "scores.csv").open(newline=""))
    assert header == ["sentence1", "sentence2", "score", "row", "prediction"]
    assert [row[:3] for row in rows] == list(csv.reader(ratings.open(newline="")))[1:]


@pytest.fixture(scope="module")
def guessed(tiny_bert, reviews, tmp_path_factory):
    """A model trained on a column that was detected; a leading zero makes its labels text."""
    folder = tmp_path_factory.mktemp("guessed")
    text = reviews.read_text().replace("text,label", "review,stars").replace(",good", ",007")
    (folder / "stars.csv").write_text(text.replace(",bad", ",7"))
    run = Run(model=str(tiny_bert), data=str(folder / "stars.csv"), steps=1, method="vanilla")
    finetune(run, folder / "out")
    return folder / "out" / "model"


def test_the_column_of_the_training_is_read(guessed, tmp_path):
    rows = [["WRONG COLUMN", "the film was good"], ["WRONG COLUMN", "the film was bad"]]
    data = table(tmp_path / "new.csv", ["text", "review"], rows)
    notes = []
    found = predict(guessed, data, out=tmp_path / "out.csv", on_note=notes.append)
    assert [one.texts for one in found] == [("the film was good",), ("the film was bad",)]
    assert notes == ["The text is column 'review', as in training."]
    assert predict(guessed, data, text="text")[0].texts == ("WRONG COLUMN",)
    header, *written = csv.reader((tmp_path / "out.csv").open(newline=""))
    assert header == ["text", "review", "row", "prediction", "p_007", "p_7"]
    assert [row[:2] for row in written] == rows
    assert {row[3] for row in written} <= {"007", "7"}


def test_columns_that_were_joined_are_joined_again(guessed, tmp_path):
    joined = shutil.copytree(guessed, tmp_path / "joined")
    card = json.loads((joined / "pats.json").read_text())
    (joined / "pats.json").write_text(json.dumps(card | {"text": ["title", "body"]}))
    data = table(tmp_path / "new.csv", ["body", "text", "title"], [["good", "x", "a"], ["bad", "x", ""]])
    notes = []
    found = predict(joined, data, on_note=notes.append)
    assert [one.texts for one in found] == [("a\ngood",), ("bad",)]
    assert notes == ["The text is columns 'title', 'body', joined by line feeds, as in training."]
    with pytest.raises(InputError, match="name those to read with --text"):
        predict(joined, table(tmp_path / "less.csv", ["body"], [["good"]]))


def test_a_model_without_a_column_guesses(guessed, tmp_path):
    old = shutil.copytree(guessed, tmp_path / "old")
    card = json.loads((old / "pats.json").read_text())
    assert (card["text"], card["text_pair"]) == ("review", None)
    (old / "pats.json").write_text(json.dumps(card | {"text": None}))
    notes = []
    data = table(tmp_path / "new.csv", ["id", "text"], [["1", "good"]])
    assert predict(old, data, on_note=notes.append)[0].texts == ("good",)
    assert notes == ["The text is column 'text', by its name."]


def test_an_old_model_of_pairs_asks_for_the_second_text(scored, tmp_path):
    old = shutil.copytree(scored, tmp_path / "old")
    card = json.loads((old / "pats.json").read_text())
    assert (card["text"], card["text_pair"]) == ("sentence1", "sentence2")
    (old / "pats.json").write_text(json.dumps(card | {"text": None, "text_pair": None}))
    with pytest.raises(InputError, match=r"trained on pairs of texts.*--text-pair"):
        predict(old, table(tmp_path / "t.csv", ["note"], [["fine"]]))


WRITTEN = {
    "formulas": (["text", "=1+1"], [["=cmd|calc", "-2"], ["+1", "@x"]]),
    "names that are taken": (["prediction", "text", "row", "p_bad"], [["a", "b", "c", "d"]]),
    "a name without letters": (["", "text"], [["0", "b"]]),
    "line ends and quotes": (["text", "note"], [["a\rb", 'say "x",\ny'], ["c\r\nd", ""]]),
    "a blank row": (["text", "note"], [["a", "b"], ["", ""], ["c", "d"]]),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_every_column_is_written_again(trained, tmp_path, case):
    header, rows = WRITTEN[case]
    predict(trained, table(tmp_path / "t.csv", header, rows), out=tmp_path / "o.csv")
    written, *found = csv.reader((tmp_path / "o.csv").open(newline=""), strict=True)
    assert written[: len(header)] == header
    assert [row[: len(header)] for row in found] == rows
    assert len(set(written)) == len(written) == len(header) + 4
    if case == "names that are taken":
        assert written[4:] == ["pats_row", "pats_prediction", "pats_p_bad", "p_good"]


def test_cells_of_jsonl_are_written_as_text(trained, tmp_path):
    rows = [{"text": "a", "n": 1, "tags": ["x", "é"]}, {"text": None, "n": None, "tags": {"k": 1}}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(trained, tmp_path / "t.jsonl", out=tmp_path / "o.csv")
    _, *found = csv.reader((tmp_path / "o.csv").open(newline=""))
    assert [row[:3] for row in found] == [["a", "1", '["x", "é"]'], ["", "", '{"k": 1}']]


def test_another_column(trained, tmp_path):
    data = table(tmp_path / "t.csv", ["note", "opinion"], [["x", "a superb day"]])
    assert predict(trained, data, text="opinion")[0].texts == ("a superb day",)


WRONG = {
    "no column": (lambda t, s, f: (t, f, {"text": "nothing"}), "has no column 'nothing'"),
    "no table": (lambda t, s, f: (t, f.with_name("other.csv"), {}), "does not exist"),
    "no pair": (lambda t, s, f: (s, f, {}), "'sentence1' and 'sentence2', but"),
    "no pair named": (lambda t, s, f: (s, f, {}), "has the columns note: name those to read with --text and"),
    "no second text": (lambda t, s, f: (s, f, {"text": "note"}), "name those to read with --text-pair"),
    "no column of the training": (lambda t, s, f: (t, f, {}), "trained on 'text', but"),
    "no model": (lambda t, s, f: (t.with_name("other"), f, {}), "is no folder"),
    "batch size": (lambda t, s, f: (t, f, {"batch_size": 0}), "batch_size is 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input(trained, scored, tmp_path, case):
    make, said = WRONG[case]
    model, data, options = make(trained, scored, table(tmp_path / "t.csv", ["note"], [["fine"]]))
    with pytest.raises(InputError, match=r"^[^\n]+$") as error:
        predict(model, data, **options)
    assert said in str(error.value)


def test_untrained_model(tiny_bert, reviews):
    with pytest.raises(InputError, match="is not fine-tuned"):
        predict(tiny_bert, reviews)


def by(kind):
    """Makes another way to a file."""

    def make(table, tmp_path, monkeypatch):
        other = tmp_path / "other.csv"
        if kind == "itself":
            return table
        if kind == "a relative path":
            monkeypatch.chdir(table.parent)
            return f"../{table.parent.name}/{table.name}"
        {"a hard link": os.link, "a symbolic link": os.symlink}[kind](table, other)
        return other

    return make


@pytest.mark.parametrize("kind", ["itself", "a relative path", "a hard link", "a symbolic link"])
def test_the_table_is_never_overwritten(trained, tmp_path, monkeypatch, kind):
    data = table(tmp_path / "t.csv", ["text", "prediction"], [["fine", "good"]])  # as of predictions
    before = data.read_bytes()
    with pytest.raises(InputError, match=r"is the table or a file of the model|is a symbolic link"):
        predict(trained, data, out=by(kind)(data, tmp_path, monkeypatch))
    assert data.read_bytes() == before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "new.csv", "../model/new.csv"])
def test_nothing_is_written_into_the_model(trained, reviews, tmp_path, name):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    with pytest.raises(InputError, match="lies in the model's folder"):
        predict(trained, reviews, out=trained / name)
    os.link(trained / "config.json", tmp_path / "link.csv")
    with pytest.raises(InputError, match="a file of the model"):
        predict(trained, reviews, out=tmp_path / "link.csv")
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("row,text,prediction\n", True),
        ("id,text,pats_prediction,p_good\n", True),
        ("id,text\n1,x\n", False),
        ("", False),
    ],
)
def test_other_files_are_not_overwritten_and_earlier_predictions_are(trained, reviews, tmp_path, text, ours):
    (tmp_path / "out.csv").write_text(text)
    if ours:
        predict(trained, reviews, out=tmp_path / "out.csv")
        return
    with pytest.raises(InputError, match="not of PATS's making"):
        predict(trained, reviews, out=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == text
