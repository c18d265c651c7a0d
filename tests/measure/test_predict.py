import csv
import json
import os
import shutil

import pytest

import pats.measure.predict as predict_module
from pats import InputError
from pats.cli import main
from pats.measure.predict import Labelling, predict
from pats.measure.trained import Encoder, load_model
from pats.run import Run, finetune
from support.tables import write_table
from support.written_tables import read_back, table


@pytest.fixture(scope="module")
def trained(trained_model):
    return trained_model


@pytest.fixture(scope="module")
def scored(tiny_bert, ratings, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored")
    finetune(Run(model=str(tiny_bert), data=str(ratings), epochs=1, precision="fp32"), out)
    return out / "model"


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


@pytest.mark.parametrize("text", ["row,text,prediction\n", "id,text\n1,x\n", ""])
def test_no_file_is_replaced_unless_asked(trained, reviews, tmp_path, text):
    """Not even earlier predictions: nothing tells that they are wanted no more."""
    out = tmp_path / "out.csv"
    out.write_text(text)
    with pytest.raises(InputError, match=r"is there already: .* --force"):
        predict(trained, reviews, out=out)
    assert out.read_text() == text
    predict(trained, reviews, out=out, force=True)
    assert len(list(csv.reader(out.open(newline="")))) == 101


def test_force_replaces_neither_table_nor_model_nor_folder(trained, tmp_path):
    data = table(tmp_path / "t.csv", ["text"], [["fine"]])
    (tmp_path / "folder.csv").mkdir()
    before = {path: path.read_bytes() for path in [data, *trained.iterdir()]}
    for out in (data, trained / "config.json", tmp_path / "folder.csv"):
        with pytest.raises(InputError):
            predict(trained, data, out=out, force=True)
    assert {path: path.read_bytes() for path in [data, *trained.iterdir()]} == before


@pytest.mark.parametrize("k", [1, 2, 9])
def test_the_best_few_classes(trained, tmp_path, k):
    data = table(tmp_path / "t.csv", ["text", "p"], [["the day was superb", ""], ["an awful film", ""]])
    everything = predict(trained, data)
    found = predict(trained, data, top_k=k, out=tmp_path / "o.csv")
    for one, all_of_it in zip(found, everything, strict=True):
        best = sorted(all_of_it.scores, key=all_of_it.scores.get, reverse=True)
        assert list(one.scores) == best[:k]
        assert one.label == all_of_it.label
    rows = read_back(tmp_path / "o.csv")
    more = ["prediction_2", "p_2"] if k > 1 else []
    assert list(rows[0]) == ["text", "p", "row", "prediction", "pats_p", *more]
    assert [row["prediction"] for row in rows] == [one.label for one in found]


def with_card(folder, copy, **changes):
    """A copy of a model whose stored facts are changed."""
    shutil.copytree(folder, copy)
    card = json.loads((copy / "pats.json").read_text())
    (copy / "pats.json").write_text(json.dumps(card | changes))
    return copy


@pytest.mark.parametrize("temperature", [0.5, 1, 4.0])
def test_probabilities_are_calibrated(trained, reviews, tmp_path, temperature):
    plain = predict(with_card(trained, tmp_path / "plain", temperature=1), reviews)
    cooled = predict(with_card(trained, tmp_path / "m", temperature=temperature), reviews)
    for one, other in zip(plain, cooled, strict=True):
        assert other.label == one.label
        odds = one.scores["good"] / one.scores["bad"]
        assert other.scores["good"] / other.scores["bad"] == pytest.approx(
            odds ** (1 / temperature), rel=1e-4
        )


SENSELESS = {
    "temperature 0": ({"temperature": 0}, "temperature = 0, but"),
    "temperature as text": ({"temperature": "1"}, "temperature = '1'"),
    "temperature NaN": ({"temperature": float("nan")}, "temperature = nan"),
    "columns of another kind": ({"text": {"a": "b"}}, "text = {'a': 'b'}, but that must be the name"),
    "length": ({"max_length": "long"}, "max_length = 'long'"),
    "pair": ({"pair": 1}, "pair = 1"),
}


@pytest.mark.parametrize("case", SENSELESS)
def test_what_is_stored_is_never_guessed_anew(trained, reviews, tmp_path, case):
    changes, said = SENSELESS[case]
    with pytest.raises(InputError, match=r"^[^\n]+export the model again$") as error:
        predict(with_card(trained, tmp_path / "m", **changes), reviews)
    assert said in str(error.value)


def test_several_columns_of_the_training_are_joined_again(trained, tmp_path):
    model = with_card(trained, tmp_path / "m", text=["a", "b"])
    data = table(
        tmp_path / "t.csv", ["b", "text", "a"], [["superb", "wrong", "the day"], ["", "wrong", "dull"]]
    )
    found = predict(model, data, out=tmp_path / "o.csv")
    assert [one.texts for one in found] == [("the day\nsuperb",), ("dull",)]
    assert list(read_back(tmp_path / "o.csv")[0])[:3] == ["b", "text", "a"]
    with pytest.raises(InputError, match="trained on"):
        predict(model, table(tmp_path / "u.csv", ["a", "text"], [["x", "y"]]))


def test_a_late_fault_of_the_table_is_found_before_the_work(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_module, "PIECE", 2)
    monkeypatch.setattr(Encoder, "predict", lambda *args: pytest.fail("the work has begun"))
    rows = [{"text": "a"}, {"text": "b"}, {"text": "c"}, {"text": ["d"]}]
    data = write_table(tmp_path / "t.jsonl", rows)
    with pytest.raises(InputError, match=r"line 4 of .* no text in column 'text'"):
        predict(trained, data, out=tmp_path / "o.csv")
    data.write_text('{"text": "a"}\n{"text": "\\ud83d"}\n')
    with pytest.raises(InputError, match=r"line 2 of .* has half a character"):
        predict(trained, data, out=tmp_path / "o.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.jsonl"]


def test_a_table_that_changes_meanwhile_is_noticed(trained, tmp_path):
    data = table(tmp_path / "t.csv", ["text"], [["fine"], ["dull"]])
    job = Labelling.of(load_model(trained), data)
    table(data, ["text"], [["fine"], ["dull"], ["cold"]])
    with pytest.raises(InputError, match="was changed while it was read"):
        job.write_file(tmp_path / "o.csv")
    table(data, ["text"], [["fine"]])
    with pytest.raises(InputError, match="was changed while it was read"):
        job.write_file(tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_columns_are_joined_where_they_are_named(trained, tmp_path, capsys):
    data = table(tmp_path / "new.csv", ["a", "b"], [["the day was", "superb"], ["the film was", "awful"]])
    assert [one.texts for one in predict(trained, data, text=("a", "b"))] == [
        ("the day was\nsuperb",),
        ("the film was\nawful",),
    ]
    assert main(["predict", str(trained), str(data), "--text", "a", "b", "--json"]) == 0
    assert [row["label"] for row in json.loads(capsys.readouterr().out)] == ["good", "bad"]
