import csv
import json

import pyarrow.parquet as pq
import pytest

import pats.measure.predict as predict_module
from pats.measure.predict import predict
from pats.measure.trained import Encoder
from support.tables import write_table
from support.written_tables import read_back, table


@pytest.fixture(scope="module")
def trained(trained_model):
    return trained_model


WRITTEN = {
    "formulas": (["text", "=1+1"], [["=cmd|calc", "-2"], ["+1", "@x"]]),
    "names that are taken": (["prediction", "text", "row", "p_bad"], [["a", "b", "c", "d"]]),
    "a name without letters": (["", "text"], [["0", "b"]]),
    "line ends and quotes": (["text", "note"], [["a\rb", 'say "x",\ny'], ["c\r\nd", ""]]),
    "a blank row": (["text", "note"], [["a", "b"], ["", ""], ["c", "d"]]),
}


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


def test_formulas_are_defused_where_asked(trained, tmp_path):
    cells = ["=1+1", "+x", "-2", "-2+3", "@x", "\t=1", "fine", ""]
    data = table(tmp_path / "t.csv", ["text", "=n"], [[cell, "1"] for cell in cells])
    predict(trained, data, out=tmp_path / "o.csv", defuse_formulas=True)
    header, *rows = csv.reader((tmp_path / "o.csv").open(newline=""))
    assert header[:2] == ["text", "'=n"]
    assert [row[0] for row in rows] == ["'=1+1", "'+x", "-2", "'-2+3", "'@x", "'\t=1", "fine", ""]


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


def test_long_and_odd_texts(trained, tmp_path):
    texts = ["fine " * 200_000, "a\0b", "\ufeff\u202e", "👩‍👩‍👧" * 50]
    data = write_table(tmp_path / "t.jsonl", [{"text": text} for text in texts])
    found = predict(trained, data, out=tmp_path / "o.jsonl")
    assert [row["text"] for row in read_back(tmp_path / "o.jsonl")] == texts
    assert all(0 <= score <= 1 for one in found for score in one.scores.values())


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
