import json

import pytest

from pats.cli import main


def test_a_page_and_words(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # its own page is replaced
        assert main(["explain", str(trained / "model"), "--text", "the <b>day</b> was fine"]) == 0
    told = capsys.readouterr().out
    assert "The page is explanation.html." in told
    assert "no proof that the model is right" in told
    page = (tmp_path / "explanation.html").read_text()
    assert "&lt;" in page
    assert "<b>" not in page


def test_a_row_as_json(trained, inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = inputs / "texts.csv"
    words = ["--table", str(table), "--row", "3", "--json", "--class", "bad"]
    assert main(["explain", str(trained / "model"), *words]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["texts"] == [table.read_text().splitlines()[3].split(",")[0]]
    assert list(found["attributions"]) == ["bad"]
    assert len(found["attributions"]["bad"]) == len(found["tokens"])
    assert told.err == "The text is column 'text', as in training.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name either --text"),
        (["--text", "a", "--table", "{table}"], "name either --text"),
        (["--text", "a", "--class", "goood"], "did you mean 'good'"),
        (["--text", "a", "--text-pair", "b"], "reads one text"),
        (["--table", "{table}", "--row", "0"], "has no row 0"),
        (["--table", "{table}", "--row", "81"], "name one from 1 to 80"),
        (["--table", "{table}", "--column", "no"], "has no column 'no'"),
        (["--table", "nowhere.csv"], "does not exist"),
        (["--text", "a", "--out", "mine.html"], "not of PATS's making"),
        (["--text", "a", "--out", "{model}/README.html"], "lies in the model's folder"),
        (["--table", "{table}", "--out", "{table}"], "is the table"),
    ],
)
def test_bad_input_is_one_sentence(trained, inputs, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.html").write_text("mine")
    places = {"table": inputs / "texts.csv", "model": trained / "model"}
    assert main(["explain", str(trained / "model"), *(word.format(**places) for word in words)]) == 2
    told = capsys.readouterr()
    assert said in told.err.splitlines()[-1]
    assert told.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]
