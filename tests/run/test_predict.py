import csv
import os

import pytest

from pats import InputError
from pats.run import Run, finetune, predict


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
    assert list(rows[0]) == ["row", "text", "prediction", "p_bad", "p_good"]
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
    assert (tmp_path / "scores.csv").read_text().splitlines()[0] == "row,sentence1,sentence2,prediction"


def test_another_column(trained, tmp_path):
    data = table(tmp_path / "t.csv", ["note", "opinion"], [["x", "a superb day"]])
    assert predict(trained, data, text="opinion")[0].texts == ("a superb day",)


WRONG = {
    "no column": (lambda t, s, f: (t, f, {"text": "nothing"}), "has no column 'nothing'"),
    "no table": (lambda t, s, f: (t, f.with_name("other.csv"), {}), "does not exist"),
    "no pair": (lambda t, s, f: (s, f, {}), "--text-pair"),
    "no model": (lambda t, s, f: (t.with_name("other"), f, {}), "is no folder"),
    "batch size": (lambda t, s, f: (t, f, {"batch_size": 0}), "batch_size is 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input(trained, scored, tmp_path, case):
    make, said = WRONG[case]
    model, data, options = make(trained, scored, table(tmp_path / "t.csv", ["text"], [["fine"]]))
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
