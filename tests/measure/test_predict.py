import csv
import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

import pats.measure.predict as predict_module
from pats import InputError
from pats.measure.predict import Labelling, predict
from pats.measure.trained import Encoder, load_model
from pats.run import Run, finetune
from support.tables import write_table


@pytest.fixture(scope="module")
def trained(trained_model):
    return trained_model


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


def read_back(path):
    """The rows of a written table, as its own format has them."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(csv.DictReader(path.open(newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("source", ["csv", "jsonl", "parquet"])
def test_every_format_holds_the_same(trained, tmp_path, monkeypatch, source, suffix):
    """In pieces of two rows; a column that only a later row has is there, and every cell is."""
    monkeypatch.setattr(predict_module, "PIECE", 2)
    rows = [{"id": i, "text": f"a {word} day", "é": None} for i, word in enumerate(["fine", "dull", "cold"])]
    rows[2]["é"] = "=1\t2\n3"
    if source == "jsonl":
        rows[0].pop("é")
    data = write_table(tmp_path / f"t.{source}", rows)
    found = predict(trained, data, out=tmp_path / f"out.{suffix}")
    back = read_back(tmp_path / f"out.{suffix}")
    assert [list(row) for row in back] == 3 * [["id", "text", "é", "row", "prediction", "p_bad", "p_good"]]
    assert [str(row["id"]) for row in back] == ["0", "1", "2"]
    assert [row["text"] for row in back] == [one.texts[0] for one in found]
    assert [row["é"] or None for row in back] == [None, None, "=1\t2\n3"]
    assert [int(row["row"]) for row in back] == [1, 2, 3]
    for row, one in zip(back, found, strict=True):
        assert row["prediction"] == one.label
        assert float(row["p_good"]) == pytest.approx(one.scores["good"], rel=1e-6)
    if suffix in ("jsonl", "parquet") and source != "csv":
        assert [row["id"] for row in back] == [0, 1, 2]  # numbers stay numbers


def test_columns_of_mixed_cells_become_text_in_parquet(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_module, "PIECE", 1)
    cells = [(1, 1, 0, "x"), (2.5, "b", None, None), (None, [1], 3, {"k": 1})]
    lines = [json.dumps({"text": "a", **dict(zip("mnop", row, strict=True))}) for row in cells]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    predict(trained, tmp_path / "t.jsonl", out=tmp_path / "o.parquet")
    written = pq.read_table(tmp_path / "o.parquet").to_pydict()
    assert written["m"] == [1.0, 2.5, None]
    assert written["n"] == ["1", "b", "[1]"]
    assert written["o"] == [0, None, 3]
    assert written["p"] == ["x", None, '{"k": 1}']


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
    plain = predict(trained, reviews)
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


def test_formulas_are_defused_where_asked(trained, tmp_path):
    cells = ["=1+1", "+x", "-2", "-2+3", "@x", "\t=1", "fine", ""]
    data = table(tmp_path / "t.csv", ["text", "=n"], [[cell, "1"] for cell in cells])
    predict(trained, data, out=tmp_path / "o.csv", defuse_formulas=True)
    header, *rows = csv.reader((tmp_path / "o.csv").open(newline=""))
    assert header[:2] == ["text", "'=n"]
    assert [row[0] for row in rows] == ["'=1+1", "'+x", "-2", "'-2+3", "'@x", "'\t=1", "fine", ""]


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError(28, "full")])
def test_an_interrupted_prediction_leaves_no_file(trained, reviews, tmp_path, monkeypatch, error):
    monkeypatch.setattr(predict_module, "PIECE", 16)
    whole, done = Encoder.predict, []

    def stop(self, *args):
        done.append(1)
        if len(done) == 2:
            raise error
        return whole(self, *args)

    monkeypatch.setattr(Encoder, "predict", stop)
    with pytest.raises(error if isinstance(error, type) else OSError):
        predict(trained, reviews, out=tmp_path / "o.csv")
    assert list(tmp_path.iterdir()) == []


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


def test_long_and_odd_texts(trained, tmp_path):
    texts = ["fine " * 200_000, "a\0b", "\ufeff\u202e", "👩‍👩‍👧" * 50]
    data = write_table(tmp_path / "t.jsonl", [{"text": text} for text in texts])
    found = predict(trained, data, out=tmp_path / "o.jsonl")
    assert [row["text"] for row in read_back(tmp_path / "o.jsonl")] == texts
    assert all(0 <= score <= 1 for one in found for score in one.scores.values())
